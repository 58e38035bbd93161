"""Kernels of infinitely wide networks with a bottleneck.

`encoder` computes Theta, and `rows` keeps or recomputes its rows; `whole` computes Theta of images
at once. `decoder` computes Sigma, K, Xi
and other derivatives for pairs of points, from closed forms in `kinked` or by differentiation in
`smooth`; `deep` has those of several hidden layers, and of biases. `past` sums K and Xi over many
past points by matrix products.
"""
