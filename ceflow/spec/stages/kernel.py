"""The `kernel` stage."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, create_model
from pydantic_core import PydanticCustomError

from ceflow.spec.base import Count, NonNegative, RelativeError
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Model
from ceflow.spec.stages.stage import References, StageSpec, no_limit_fault, one_network_fault

if TYPE_CHECKING:
    from ceflow.spec.document import Document


def _spectrum(value: Any) -> Any:
    if isinstance(value, bool) or value == "full":
        return value
    raise PydanticCustomError("spectrum_type", 'must be true, false or "full"')


Spectrum = Annotated[
    bool | Literal["full"],
    BeforeValidator(_spectrum),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"const": "full"}]}),
]

FEWEST_KERNEL_DRAWS = 16
"""Minimum number of draws before a standard error may end the drawing: its own relative error is
then 18 %."""


FROM = (
    "A kernel that was computed before, used in place of a `method`: an array of another run, as"
    ' `"runs/a/arrays/ntk.zarr"`, or an `.npy` or `.npz` file with one array. The path is relative'
    " to the document. It must be a kernel of this document's training inputs: see"
    " [kernels computed before](stages.md#kernels-computed-before)."
)
"""Meaning of the key `from`."""

# No class body can declare a field of this name, which is a keyword of Python.
_Field: Any = (str | None, Field(None, description=FROM))
_FromFile = create_model("_FromFile", __base__=StageSpec, __module__=__name__, **{"from": _Field})


class Kernel(_FromFile):
    """A kernel matrix over the training inputs."""

    type: Literal["kernel"] = "kernel"
    """A kernel matrix over the training inputs."""
    kind: Literal["ntk", "nngp"] = "ntk"
    """`ntk`: the neural tangent kernel; `nngp`: the covariance of the outputs at initialisation, of
    a network drawn the mean of f_a(x) f_a(x') over its outputs a."""
    method: Literal["analytic", "empirical", "mean"] = "analytic"
    """`analytic`: the kernel in the limit of infinite width; `empirical`: the kernel of networks
    drawn from the seed; `mean`: the mean over such draws, for the NTK the neural mean kernel."""
    outputs: Literal["mean", "full"] = "mean"
    """`mean`: the mean of K^aa over outputs a, shape (N, N); `full`: all pairs of outputs, shape
    (N, N, outputs, outputs)."""
    draws: Count | None = None
    """Number of networks drawn. `empirical`: 1 by default; the kernel of the first is kept,
    statistics are over all. `mean`: 100 by default; with `error` it is the maximum, 10,000 by
    default. `analytic` draws none."""
    error: RelativeError | None = None
    """Method `mean` only: draw until the standard error of the mean kernel, relative in Frobenius
    norm, is at most this; at least 16 networks are drawn."""
    reference: str | None = None
    """An earlier kernel stage; the distance from its kernel, relative in Frobenius norm, is
    reported."""
    tile: Count | None = None
    """Number of rows of a tile. Keeps the kernel on disk and computes it in square tiles, for
    kernels larger than memory. An interrupted run continues with the missing tiles."""
    spectrum: Spectrum = False
    """Whether to compute the largest and smallest eigenvalue of the resulting kernel, and its
    condition number. `"full"`: also all eigenvalues, the power of the targets in the eigenmodes,
    and the learning curve that these predict."""
    alignment: bool = False
    """Whether to compute the alignment of the kernel with the targets."""
    ridge: NonNegative | None = None
    """Ridge of a kernel regression on the targets, as a fraction of the mean diagonal entry of the
    kernel. The errors on the training and the test examples are reported, and for test examples the
    posterior of a Gaussian process: [posterior](semantics.md#the-posterior)."""
    solver: Literal["cholesky", "cg"] = "cholesky"
    """How the regression is solved. `cholesky`: by a Cholesky factor; `cg`: by conjugate gradients,
    for many examples: in less time and without a factor on disk, but without posterior standard
    deviations."""
    tolerance: Annotated[float, Field(ge=1e-12, le=0.1)] | None = None
    """Solver `cg` only: relative residual at which it ends; 1e-6 by default."""

    test_blocks: bool = False
    """Whether to keep two more arrays: the kernel between test and training examples, and the
    kernel among test examples."""

    path_keys: ClassVar = ("from",)

    if TYPE_CHECKING:
        from_: str | None = None
    else:

        @property
        def from_(self) -> str | None:
            """Path of the file that the kernel is read from, or None: the key `from`."""
            return getattr(self, "from")

    @property
    def most_draws(self) -> int:
        """Maximum number of networks drawn."""
        if self.draws is not None or self.method != "mean":
            return self.draws or 1
        return 10_000 if self.error else 100

    @property
    def is_limit(self) -> bool:
        return self.method == "analytic" or self.from_ is not None

    @property
    def why_no_flow(self) -> tuple[str, str] | None:
        """Reason why no flow can follow the kernel, and what to do; None if one can."""
        if self.outputs == "full":
            return "has more than one number per entry", "name another kernel stage"
        if self.kind == "nngp" and self.method == "empirical":
            message = "is the NNGP of one network, which is the NTK of no layer"
            return message, 'use method = "mean" or "analytic" there'
        return None

    @property
    def trains_last_layer(self) -> bool:
        """True if a flow under this kernel trains the last layer of an infinite network alone."""
        return self.kind == "nngp" and self.method == "analytic" and self.from_ is None

    def reads_data(self, model: Model) -> bool:
        return True

    def references(self) -> References:
        return {"reference": Kernel}

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        if document.data is None:
            yield Fault("CE202", "a kernel needs inputs", part="key", help="add a [data] table")
        elif self.test_blocks and getattr(document.data, "test", 0) == 0:
            message = "there are no test examples, so there are no test_blocks to keep"
            help = "set data.test" if hasattr(document.data, "test") else "leave test_blocks out"
            yield Fault("CE202", message, ("test_blocks",), "key", help)
        if self.from_ is not None:
            yield from self._read_faults()
        else:
            yield from self._method_faults(model)
            yield from self._shape_faults()
            yield from self._tile_faults()
        yield from self._solver_faults()
        reference = document.stages.get(self.reference or "")
        if reference and Kernel.expect(reference).outputs == "full":
            message = f"the reference {self.reference!r} has more than one number per entry"
            yield Fault("CE202", message, ("reference",), help='use outputs = "mean" there')

    def _solver_faults(self) -> Iterator[Fault]:
        if self.solver != "cholesky" and self.ridge is None:
            message = "the solver is that of a regression, and there is none without ridge"
            yield Fault("CE202", message, ("solver",), "key", "set ridge, as ridge = 1e-3")
        if self.tolerance is not None and self.solver != "cg":
            message = 'only the solver "cg" has a tolerance'
            yield Fault("CE202", message, ("tolerance",), "key", 'use solver = "cg"')

    def _read_faults(self) -> Iterator[Fault]:
        for key in ("method", "outputs", "draws", "error", "tile"):
            if self.changes(key):
                message = f"a kernel that is read from a file has no {key}"
                yield Fault("CE202", message, (key,), "key", f"leave {key} out, or from")

    def _method_faults(self, model: Model) -> Iterator[Fault]:
        if self.method == "analytic":
            yield from self._analytic_faults(model)
        else:
            yield from self._drawn_faults(model)
        if self.error is not None and self.method != "mean":
            message = 'only the method "mean" has a standard error'
            help = 'use method = "mean"' if model.is_finite else "leave error out"
            yield Fault("CE202", message, ("error",), "key", help)
        if self.method == "mean" and self.draws == 1:
            message = "a mean with a standard error needs at least two draws"
            yield Fault("CE202", message, ("draws",), help="set draws to 2 or more")

    def _shape_faults(self) -> Iterator[Fault]:
        asked = ("spectrum", "reference", "alignment")
        given = [key for key in asked if getattr(self, key)]
        given += ["ridge"] if self.ridge is not None else []
        if self.outputs == "full" and given:
            key = given[0]
            help = 'use outputs = "mean"'
            yield Fault("CE202", f"{key} needs one number per entry", (key,), "key", help)

    def _tile_faults(self) -> Iterator[Fault]:
        if self.tile is None:
            return
        if self.outputs == "full":
            message = "tiles hold one number per entry"
            yield Fault("CE202", message, ("tile",), "key", 'use outputs = "mean"')
        if self.method == "mean" or self.most_draws > 1:
            message = "tiles hold the kernel of one network, not of several draws"
            yield Fault("CE202", message, ("tile",), "key", "leave tile out, or draw one network")

    def _analytic_faults(self, model: Model) -> Iterator[Fault]:
        if reason := model.why_no_limit:
            yield no_limit_fault(reason, ("method",))
        if self.most_draws > 1:
            yield Fault(
                "CE202",
                "an infinite-width kernel is not drawn",
                ("draws",),
                "key",
                'leave draws out, or use method = "empirical"',
            )
        if self.outputs == "full":
            yield Fault(
                "CE202",
                "an infinite-width kernel is the same for every output",
                ("outputs",),
                help='use outputs = "mean"',
            )

    def _drawn_faults(self, model: Model) -> Iterator[Fault]:
        if model.has_weights and self.method == "mean":
            yield replace(one_network_fault("method"), help='use method = "empirical"')
        elif model.has_weights and self.most_draws > 1:
            yield one_network_fault("draws")
        if not model.is_finite:
            yield Fault(
                "CE203",
                "a network with an infinite layer cannot be drawn",
                ("method",),
                help='use method = "analytic", or finite widths',
            )
