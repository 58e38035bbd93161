"""The empirical NTK and NNGP of a module, from an analysis of its jaxpr.

`ntk` and `nngp` have the public functions. `networks` traces the module; `uses` finds the products
of its weights in the jaxpr, and `layouts` describes their axes. `plans` chooses the method and the
sizes of tiles, by the costs in `counting`. `features` computes the features of examples, by
`evaluate`; `contractions` and `blocks` combine them to tiles of the kernel. `convolutions` makes
convolutions fast on a CPU. `operator` is the NTK as a linear operator, which is never formed.
"""
