"""Linear algebra on kernels in memory or on disk.

`matrix` defines the interface of a kernel and the distance between two; `cholesky` factorises
kernels, for `regression` and `eigenvalues`, and `gradients` solves a regression without a factor;
`labels` measures the alignment with targets, `predictive` how well Gaussian predictions agree with
them, and `learning` predicts how many examples it takes to learn them.
"""
