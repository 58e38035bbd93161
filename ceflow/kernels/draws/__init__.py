"""Kernels of random networks.

`mean` estimates the neural mean kernel, `average` accumulates mean and spread of kernels,
`conditional` draws a kernel without the network's weights, and `devices` distributes work over
devices.
"""
