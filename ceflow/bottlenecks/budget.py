"""The budget of a simulation, and how it is cut into pieces: for it, and for forecasts of it."""

from ceflow._machine import MEMORY as MEMORY  # of Theta; beyond, its rows are made as needed

ROWS = 2**24
"""Bytes that the rows of Theta may take that are made at once."""

CHUNK = 512
"""Examples whose outputs are computed at once: one takes as many numbers as a layer has units."""

PAST = 4096
"""Past points at once: intermediates of a batch then stay in the processor's caches."""

LARGE = 1000
"""Units of the bottleneck of a sampled network, where it should have infinitely many."""
