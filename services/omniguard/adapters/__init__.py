"""One file an I/O backend, and the in-memory twin of every port."""
