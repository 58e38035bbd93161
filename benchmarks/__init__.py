"""Measurements, off by default: `make bench`, or `python -m benchmarks kernels` for one of them."""
