"""Linear algebra on kernels in memory or on disk: spectrum, regression, labels, distance."""
