"""Discrete dynamics: `engines` are what is known of the decoder, `steps` one step of SGD and many,
`simulation` all of it from the data on, `rates` the largest stable one, `batches` the order."""
