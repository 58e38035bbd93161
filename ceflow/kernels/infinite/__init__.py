"""Infinitely wide networks.

`limits` offers the kernels, of networks that `gaussian` finds to have them. `recursion` follows
`moments` up the layers of a network on vectors, `spatial` on images, by their `positions`. `duals`
takes them through activations, by `forms`, `mixtures` or `quadrature`; `angles` measures the
inputs, `polynomials` are the functions of angles that all use, `pairwise` makes blocks, and
`errors` bounds what is lost on the way.
"""
