"""Media made for tests: nothing binary is kept in the repository."""
