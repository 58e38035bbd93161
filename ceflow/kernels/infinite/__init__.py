"""Infinitely wide networks.

`limits` offers the kernels. `recursion` follows `moments` up the layers of a network on vectors,
`spatial` on images; `duals` and `quadrature` take them through activations; `angles` measures the
inputs, `polynomials` are the functions of angles that all use, `pairwise` makes blocks.
"""
