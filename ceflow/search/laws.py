"""Relative variance Var(K)/E[K]^2 of a member: by the exponential law, exact, or measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from ceflow import variance
from ceflow.search.costs import power_laws
from ceflow.spec import Member


class Law(Protocol):
    """A function that returns Var(K)/E[K]^2 of a member, or infinity if it is unknown."""

    def __call__(self, member: Member) -> float: ...

    def why_infinite(self, member: Member) -> str:
        """Return a message on why a member has no finite variance, and what to do."""
        ...


@dataclass(frozen=True)
class Exponential:
    """The law `exp(alpha S) - 1` (CE eq. 9), infinite on overflow.

    >>> from ceflow.spec import Mlp
    >>> round(Exponential(3.0)(Mlp(widths=[20, 20])), 4)
    0.3499
    """

    alpha: float

    def __post_init__(self) -> None:
        if not 0 < self.alpha < math.inf:
            raise ValueError(
                f"alpha = {self.alpha:.4g} says that narrow networks vary no more than wide ones,"
                " so that there is nothing to search for; fit it to more draws, or give alpha"
            )

    def __call__(self, member: Member) -> float:
        try:
            return math.expm1(self.alpha * member.fan_in_sum)
        except OverflowError:
            return math.inf

    def why_infinite(self, member: Member) -> str:
        return (
            f"the baseline's variance by the law overflows: alpha S ="
            f" {self.alpha * member.fan_in_sum:.3g}; it holds for alpha S of order 1, so widen the"
            " baseline or lower alpha"
        )


class Exact:
    """The exact variance of ReLU and linear networks (see `ceflow.variance.exact_moments`).

    >>> from ceflow.spec import Mlp
    >>> round(Exact()(Mlp(widths=[20, 20])), 4)
    0.3536
    """

    def __call__(self, member: Member) -> float:
        import numpy as np

        try:
            with np.errstate(over="ignore", invalid="ignore"):
                ratio = float(variance.exact_moments(member.entry).ratio)
        except variance.MomentsOverflow:
            return math.inf
        return ratio - 1 if math.isfinite(ratio) else math.inf

    def why_infinite(self, member: Member) -> str:
        return "the exact variance of the baseline overflows; widen it"


@dataclass(frozen=True)
class Measured:
    """A law that interpolates the logarithm of measured moment ratios over S.

    `fan_in_sums` and `moment_ratios` are those of the points of a variance stage. Raises
    `ValueError` if a ratio is not above 1, which is noise, or there are fewer than two points.

    >>> from ceflow.spec import Mlp
    >>> law = Measured((0.1, 0.4), (math.exp(0.3), math.exp(1.2)))
    >>> round(math.log1p(law(Mlp(widths=[5]))), 9), law(Mlp(widths=[2]))
    (0.6, inf)
    """

    fan_in_sums: Sequence[float]
    moment_ratios: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.fan_in_sums) < 2:
            raise ValueError(
                "a curve needs at least two widths; give the variance stage more ratios"
            )
        lowest = min(self.moment_ratios)
        if lowest <= 1:
            raise ValueError(
                f"a measured E[K^2]/E[K]^2 of {lowest:.6g}, not above 1, is noise; raise the"
                " draws of the variance stage, or leave out its widest networks"
            )

    @cached_property
    def _logarithm(self) -> Callable[[float], float]:
        return power_laws(self.fan_in_sums, [math.log(ratio) for ratio in self.moment_ratios])

    def __call__(self, member: Member) -> float:
        logarithm = self._logarithm(member.fan_in_sum)
        return math.expm1(logarithm) if logarithm < 700 else math.inf

    def why_infinite(self, member: Member) -> str:
        low, high = min(self.fan_in_sums), max(self.fan_in_sums)
        return (
            f"the variance was measured for S from {low:.4g} to {high:.4g}, and the baseline's is"
            f" {member.fan_in_sum:.4g}; let the variance stage measure the ratio 1.0 too"
        )
