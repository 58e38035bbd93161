"""The numbers that programs are chosen by: for them, and for forecasts of them. Loads no JAX."""

LARGEST = 2**12
"""Numbers in all arrays that a small program is given, which is compiled plainly."""
