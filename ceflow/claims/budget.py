"""The numbers of networks drawn for a claim: for it, and for forecasts of it."""

MULTIPLES = (1, 2, 4, 8)
"""Of the model's multiplicity, at which a claim on ensembles draws networks."""
