"""The numbers that stages record from moment to moment."""

from ceflow.spec.stages import Flow, Stage, Train

MEASURED = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "test_stddev")
"""By stages that record anything: of test examples where there are some, accuracies where there
are classes, a standard deviation where there is a Gaussian process."""

RECORDED = {
    "drift": ("drift", "drift_stderr", "drift_relative"),
    "alignment": ("alignment",),
    "spectrum": ("eigenvalue_max", "eigenvalue_min"),
}
"""Numbers that come of a word in `record`."""


def recorded(stage: Stage) -> tuple[str, ...]:
    """List the numbers that a stage may record, what it counts moments by first.

    They are recorded from moment to moment; there are none of a stage without moments.

    >>> recorded(Flow(time=1.0, record=["alignment"]))[::6]
    ('time', 'alignment')
    """
    if not isinstance(stage, Flow | Train):
        return ()
    clock = "time" if isinstance(stage, Flow) else "step"
    asked = (key for word in stage.record for key in RECORDED.get(word, ()))
    return (clock, *MEASURED, *asked)
