"""Linear algebra on kernels in memory or on disk.

`matrix` is what a kernel has, and how far one is from another; `cholesky` factors it, for
`regression` and `eigenvalues`; `labels` tells how well it goes with classes.
"""
