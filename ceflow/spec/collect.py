"""What is gathered over the runs of a sweep."""

from typing import TYPE_CHECKING, Any, Literal

from ceflow.spec.base import Spec
from ceflow.spec.diagnostics import Fault
from ceflow.spec.suggest import did_you_mean

if TYPE_CHECKING:
    from ceflow.spec.document import Document


class Collect(Spec):
    """One number of every run of a sweep against another: a table, a fit and a figure."""

    x: str
    """A swept path, as `"model.multiplicity"`; widths that are all equal count as that number."""
    y: str
    """A number that a stage finds: `"stages.NAME.KEY"`."""
    by: str | None = None
    """Another swept path: a curve, and a fit, for each of its values."""
    fit: Literal["none", "power"] = "none"
    """`power`: y = factor x^exponent, by least squares of log y on log x."""

    @property
    def result(self) -> tuple[str, ...]:
        """Stage and keys of y among the results."""
        return tuple(self.y.split(".")[1:])

    def faults_in(self, document: "Document") -> list[Fault]:
        """What is wrong with it in its document."""
        if document.sweep is None:
            message = "there is nothing to collect without a sweep"
            return [Fault("CE202", message, part="key", help="add a [sweep] table")]
        swept = list(document.sweep.paths)
        faults = []
        for key in ("x", "by"):
            path = getattr(self, key)
            if path is not None and path not in swept:
                message = f"{path!r} is not swept"
                faults.append(Fault("CE201", message, (key,), help=did_you_mean(path, swept)))
        names = list(document.stages)
        if self.y.split(".")[0] != "stages" or len(self.result) < 2:
            help = f'as "stages.{names[0] if names else "NAME"}.KEY"'
            faults.append(Fault("CE104", "y must name a number of a stage", ("y",), help=help))
        elif self.result[0] not in names:
            help = did_you_mean(self.result[0], names) or "there is none"
            faults.append(Fault("CE201", f"{self.result[0]!r} is no stage", ("y",), help=help))
        return faults


def at_path(tree: Any, path: str) -> Any:
    """The value at a dotted path of a tree; None where there is none.

    >>> at_path({"model": {"widths": [3]}}, "model.widths")
    [3]
    """
    for step in path.split("."):
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree
