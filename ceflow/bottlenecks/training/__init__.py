"""Discrete dynamics: what one step of SGD does to the functions of a network, and many.

`engines` are what is known of the decoder, `steps` are the steps, `loop` makes all of them in their
batches; `ntk` finds the kernel on the way and the largest stable rate. `simulation` is all of it
from the data on, and `checks` says what is wrong with those.
"""
