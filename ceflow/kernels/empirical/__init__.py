"""The empirical NTK: how a traced network is taken apart, and the kernel put together.

`ntk` asks `networks` to trace the module, `uses` finds the products of its weights in the jaxpr, of
which `layouts` tells the axes, with `evaluate`; `plans` chooses by `counting` a method and how much
to do at once. `features` runs the examples, `contractions` and `blocks` make tiles of the result,
with `convolutions` that are fast on a CPU; `operator` never forms the kernel.
"""
