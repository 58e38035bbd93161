"""Solution of ordinary differential equations; no other package calls diffrax.

`integrate` solves a flow through given times, `solvers` lists the solvers, and `stepping` takes
single steps.
"""
