"""Kernels of infinitely wide networks.

`limits` has the public functions; `gaussian` checks that a network has such kernels. `recursion`
propagates `moments` through the layers for vectors, and `spatial` for images, whose moments at
pairs of positions are in `positions`; `states` compiles its steps, and `images` takes all pairs of
images, in batches. `duals` propagates moments through activations, by `forms`, `mixtures` or
`quadrature`; between positions, `kinks` does so for activations with a kink. `angles` computes the
angles between inputs, `polynomials` has functions of angles, `pairwise` splits kernels into blocks,
and `errors` bounds the errors.
"""
