"""Kernels of networks that are drawn: without weights, averaged, on several devices."""
