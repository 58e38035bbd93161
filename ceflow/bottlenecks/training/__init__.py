"""Discrete dynamics: SGD on the functions of a network.

`engines` represent the decoder in training, `steps` computes steps, and `loop` runs them over
batches. `ntk` computes the kernel during training, and the largest stable learning rate.
`simulation` combines these
from the data on, and `checks` says what is wrong with those.
"""
