"""Kernels larger than memory: `computing` makes tiles of one, `writing` puts them on disk, and
`kernel` reads them back."""
