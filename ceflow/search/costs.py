"""What networks cost, counted, timed or interpolated; how many members a cost is of; and what the
search itself costs."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

from ceflow._words import one_of
from ceflow.compiler import nodes
from ceflow.costs import Demand, Work
from ceflow.spec import Member, Model

Cost = Callable[[Model], float]
"""What a network costs."""
Counted = Literal["parameters", "flops"]


class Costs(NamedTuple):
    """The costs that are compared along the curve, and what a whole network costs.

    m members cost m times `path`; a network also has parts that its members share, as a ResNeXt its
    stem, shortcuts and last layer. `whole` is affine in the number of members.
    """

    path: Callable[[Member], float]
    whole: Cost


def counted(expand: Callable[[Model], nodes.Node], kind: Counted) -> Costs:
    """Count parameters (CE eq. 8) or FLOPs (CE eq. 15), of the layers that `expand` gives.

    >>> from ceflow.compiler.models import expand
    >>> from ceflow.spec import Ensemble, Mlp
    >>> costs = counted(expand, "parameters")
    >>> member = Mlp(widths=[4], inputs=3, outputs=2)
    >>> costs.path(member), costs.whole(Ensemble(multiplicity=5, member=member))
    (20, 100)
    """
    one_of("kind", kind, get_args(Counted))
    counts: dict[Model, float] = {}

    def count(model: Model) -> float:
        if model not in counts:
            counts[model] = getattr(expand(model), kind)
        return counts[model]

    return Costs(count, count)


def timed(widths: Sequence[int], seconds: Sequence[float]) -> Costs:
    """Interpolate seconds of one member, by its largest width, between those measured.

    inf outside of the range of `widths`. A network's seconds are its members'.

    >>> from ceflow.spec import Ensemble, Mlp
    >>> costs = timed([1, 4], [1e-3, 2e-3])
    >>> round(costs.whole(Ensemble(multiplicity=10, member=Mlp(widths=[2, 2]))), 6)
    0.014142
    """
    of_width = power_laws(widths, seconds)

    def path(member: Member) -> float:
        return of_width(max(member.widths))

    def whole(model: Model) -> float:
        seconds = path(model.member)
        return model.multiplicity * seconds if math.isfinite(seconds) else math.inf

    return Costs(path, whole)


def power_laws(x: Sequence[float], y: Sequence[float]) -> Callable[[float], float]:
    """Interpolate log y over log x monotonically: smooth pieces that do not overshoot (PCHIP).

    Exact at the points and for y = a x^b; inf outside of their range. `x` are positive, none twice,
    and `y` positive. Raises `ValueError` with fewer than two points.

    >>> square = power_laws([1, 2, 10], [3, 12, 300])
    >>> round(square(4), 9), square(11)
    (48.0, inf)
    """
    from scipy.interpolate import PchipInterpolator

    if len(x) < 2:
        raise ValueError("there is nothing between fewer than two points")
    points = sorted(zip(map(math.log, x), map(math.log, y), strict=True))
    ends = min(x), max(x)
    smooth = PchipInterpolator([at for at, _ in points], [value for _, value in points])

    def value(at: float) -> float:
        return math.exp(smooth(math.log(at))) if ends[0] <= at <= ends[1] else math.inf

    return value


POINT = 2e4
"""Bytes of a candidate, in results and on its way there."""

SECONDS = {"law": 1e-4, "exact": 1e-3, "curve": 2e-4}
"""Of a candidate whose variance is by a law, by exact moments or by a curve of them."""

CALLS = 6
"""Times that a network is called to be timed, or more."""

LAYERS = 6
"""Layers that take as long to make and compile as a small function."""

SETTLING = 6.0
"""Seconds that timing takes beside the calls."""


def comparing(model: Model, using: str, *, free: bool) -> Demand:
    """Count what it takes to compare all candidates: of one ratio, or of a free width vector."""
    candidates = min(1000, max(model.widths))
    seconds = SECONDS[using] * candidates * (10 if free else 1)
    return Demand(POINT * candidates, Work(seconds=seconds))


def timing(root: nodes.Node, networks: int, batch: int) -> Demand:
    """Count what it takes to time as many networks as large as this, each on a batch."""
    layers = sum(1 for _ in nodes.leaves(root))
    work = Work(
        flops=CALLS * networks * batch * root.flops,
        compilations=networks * max(4.0, layers / LAYERS),
        seconds=SETTLING,
    )
    return Demand(4 * (networks * root.parameters + batch * nodes.units(root.inputs)), work)


ROUNDING = 1e-9
"""What a number of members may be short of a whole one by rounding."""


def most_members(limit: float, cost_of: Callable[[int], float]) -> float:
    """Solve for the real number of members whose network costs `limit`; below 1 if one costs more.

    `cost_of(m)` is the cost of the network of m members.

    >>> most_members(750, lambda m: 50 + 100 * m)
    7.0
    """
    one = cost_of(1)
    if not math.isfinite(one):
        return 0.0
    return 1 + (limit - one) / (cost_of(2) - one)


def nearest_multiplicity(
    target: float, cost_of: Callable[[int], float], beside: float | None = None
) -> int:
    """Find the whole number of members, 1 or more, whose network's cost is nearest to `target`.

    With `beside` only the two whole numbers around that one are considered.

    >>> nearest_multiplicity(790, lambda m: 50 + 100 * m)
    7
    >>> nearest_multiplicity(790, lambda m: 50 + 100 * m, beside=8.4)
    8
    """
    real = most_members(target, cost_of) if beside is None else beside
    low = math.floor(real)
    return min((max(1, low), max(1, low + 1)), key=lambda m: abs(cost_of(m) - target))


def whole_members(multiplicity: float) -> int:
    """Round a number of members down, past the rounding of numbers.

    >>> whole_members(7 - 1e-12), whole_members(7.9), whole_members(0.5)
    (7, 7, 0)
    """
    return math.floor(multiplicity * (1 + ROUNDING))
