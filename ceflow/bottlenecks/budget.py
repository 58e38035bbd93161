"""What a simulation may take."""

MEMORY = 2**30
"""Bytes that Theta may take; beyond, its rows are made as they are needed."""
