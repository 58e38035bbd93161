"""Kernels of infinitely wide networks with a bottleneck.

`encoder` has Theta, of which `rows` are kept or made. `decoder` offers Sigma, K, Xi and their kin
one pair at a time, from `kinked` where there are closed forms and from `smooth` elsewhere; `past`
sums K and Xi over many pairs by matrix products.
"""
