"""Kernels larger than memory.

`computing` computes a kernel's tiles, `writing` writes them to disk, and `kernel` reads them.
"""
