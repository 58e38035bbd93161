"""Discrete dynamics: SGD on the functions of a network.

`engines` represent the decoder in training, `steps` computes steps, and `loop` runs them over
batches. `ntk` computes the kernel during training, and the largest stable learning rate.
`simulation` combines these
into a training on data, and `checks` finds faults in the data.
"""
