"""The CPU engine: small models that package registries ship, and heads of our own over them."""
