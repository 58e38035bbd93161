"""Ordinary differential equations: the one package that calls diffrax.

`integrate` goes through given times with one of the `solvers`, and `stepping` takes the steps.
"""
