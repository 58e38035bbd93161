"""Costs of networks (counted or interpolated from timings), numbers of members that a cost buys,
and costs of the search itself."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

from ceflow._words import one_of
from ceflow.compiler import nodes
from ceflow.costs import Demand, Work
from ceflow.spec import Member, Model

Cost = Callable[[Model], float]
"""A function that returns the cost of a network."""
Counted = Literal["parameters", "flops"]


class Costs(NamedTuple):
    """Costs of a member's path, compared along the curve, and of whole networks.

    m members cost m times `path`. A network can also have parts that its members share, such as the
    stem, shortcuts and last layer of a ResNeXt; so `whole` is affine in the number of members.
    """

    path: Callable[[Member], float]
    whole: Cost


def counted(expand: Callable[[Model], nodes.Node], kind: Counted) -> Costs:
    """Return costs that count parameters (CE eq. 8) or FLOPs (CE eq. 15).

    `expand` returns the layers of a model.

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


def timed(widths: Sequence[int], seconds: Sequence[float], shared: float = 0.0) -> Costs:
    """Return costs in seconds, interpolated over the largest width of a member.

    They are infinite outside of the range of `widths`. A network's seconds are the sum of its
    members' `seconds` and of the `shared` ones, of parts that members share.

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
        return shared + model.multiplicity * seconds if math.isfinite(seconds) else math.inf

    return Costs(path, whole)


def power_laws(x: Sequence[float], y: Sequence[float]) -> Callable[[float], float]:
    """Return a function that interpolates log y over log x by monotone cubics (PCHIP).

    It is exact at the points and for y = a x^b, and infinite outside of their range. `x` must be
    positive and distinct, and `y` positive. Raises `ValueError` for fewer than two points.

    >>> square = power_laws([1, 2, 10], [3, 12, 300])
    >>> round(square(4), 9), square(11)
    (48.0, inf)
    """
    from scipy.interpolate import PchipInterpolator

    if len(x) < 2:
        raise ValueError("an interpolation needs at least two points")
    points = sorted(zip(map(math.log, x), map(math.log, y), strict=True))
    ends = min(x), max(x)
    smooth = PchipInterpolator([at for at, _ in points], [value for _, value in points])

    def value(at: float) -> float:
        return math.exp(smooth(math.log(at))) if ends[0] <= at <= ends[1] else math.inf

    return value


CANDIDATE_BYTES = 2e4
"""Bytes of memory per candidate."""

CANDIDATE_SECONDS = {"law": 1e-4, "exact": 1e-3, "curve": 2e-4}
"""Seconds per candidate, by the source of its variance: a law, exact moments, or a curve."""

TIMED_CALLS = 6
"""Least number of calls by which a network is timed."""

LAYERS_PER_COMPILATION = 6
"""Number of layers whose creation and compilation take as long as a small function's."""

CONVOLUTION_SLOWDOWN = 5.0
"""Factor by which a grouped convolution takes longer than a matrix product of as many FLOPs, on a
CPU."""

TIMING_SETUP_SECONDS = 6.0
"""Seconds that timing takes besides the calls."""


def comparing(model: Model, using: str, *, free: bool) -> Demand:
    """Forecast the cost of comparing all candidates, for widths in proportion or `free` widths."""
    candidates = min(1000, max(model.widths))
    seconds = CANDIDATE_SECONDS[using] * candidates * (10 if free else 1)
    return Demand(CANDIDATE_BYTES * candidates, Work(seconds=seconds))


def timing(root: nodes.Node, networks: int, batch: int) -> Demand:
    """Forecast the cost of timing `networks` networks as large as `root`, each on a batch."""
    layers = [layer for _, layer in nodes.leaves(root)]
    slow = CONVOLUTION_SLOWDOWN if any(isinstance(n, nodes.Convolution) for n in layers) else 1.0
    work = Work(
        flops=TIMED_CALLS * networks * batch * root.flops * slow,
        compilations=networks * max(1.0, len(layers) / LAYERS_PER_COMPILATION),
        seconds=TIMING_SETUP_SECONDS,
    )
    return Demand(4 * (networks * root.parameters + batch * nodes.units(root.inputs)), work)


MEMBER_ROUNDING = 1e-9
"""Rounding error of a number of members: a number this close below an integer counts as it."""


def most_members(limit: float, cost_of: Callable[[int], float]) -> float:
    """Compute the real number of members whose network costs `limit`.

    `cost_of(m)` is the cost of the network of m members. The result is below 1 if a single member
    costs more than `limit`.

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
    """Find the integer number of members, at least 1, whose network costs nearest to `target`.

    With `beside`, only the two integers around this number are considered.

    >>> nearest_multiplicity(790, lambda m: 50 + 100 * m)
    7
    >>> nearest_multiplicity(790, lambda m: 50 + 100 * m, beside=8.4)
    8
    """
    real = most_members(target, cost_of) if beside is None else beside
    low = math.floor(real)
    return min((max(1, low), max(1, low + 1)), key=lambda m: abs(cost_of(m) - target))


def whole_members(multiplicity: float) -> int:
    """Round a number of members down to an integer, allowing for rounding errors.

    >>> whole_members(7 - 1e-12), whole_members(7.9), whole_members(0.5)
    (7, 7, 0)
    """
    return math.floor(multiplicity * (1 + MEMBER_ROUNDING))
