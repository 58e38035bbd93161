"""Names of axes: a word and its symbol, in place of the key of a number."""

AXES = {
    "time": "time μt",
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
    "train_error": "training error",
    "test_error": "test error",
    "train_mse": "training error, squared",
    "test_mse": "test error, squared",
    "drift": "drift |K(t) - K(0)|",
    "drift_relative": "drift |K(t) - K(0)|/|K(0)|",
    "alignment": "alignment of the NTK",
    "eigenvalue_max": "largest eigenvalue λ",
    "eigenvalue_min": "smallest eigenvalue λ",
    "alpha": "constant α of the law",
    "efficiency": "efficiency ρ",
    "variance": "variance Var/E²",
    "fan_in_sum": "fan-in sum S = Σ 1/fan-in",
    "log_moment_ratio": "log moment ratio, log E[K²]/E[K]²",
    "angle": "angle θ between the points (rad)",
    "kernel": "kernel K",
    "multiplicity": "multiplicity m",
    "widths": "width n",
    "size": "size d of the bottleneck",
    "learning_rate": "learning rate μ",
}
"""Label of an axis by the last key of a path."""


def axis_name(path: str) -> str:
    """Name an axis by the path of its number: by a word and a symbol, or else by the path.

    >>> axis_name("stages.flow.time"), axis_name("stages.flow.derivative_1"), axis_name("seed")
    ('time μt', 'flow.derivative_1', 'seed')
    """
    return AXES.get(path.rpartition(".")[2], path.removeprefix("stages."))
