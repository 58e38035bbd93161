"""Kernels larger than memory: tiles of them, computed, on disk and read back."""
