"""The Triton side: the guard model contract and its engines."""
