"""Benchmarks and load tests. They speak to loopback only, and measure what they state."""
