"""The size limit of small programs, for `programs` and for forecasts. Does not load JAX."""

LARGEST_SMALL_PROGRAM = 2**12
"""Largest number of entries in all array arguments of a small program, which is compiled without
optimisation."""
