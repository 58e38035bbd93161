"""Kernels of networks that are drawn.

`mean` is the neural mean kernel, `average` how much kernels vary; `conditional` draws one without
its weights, and `devices` spreads such work.
"""
