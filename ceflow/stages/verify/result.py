"""The result of a `verify` stage."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict, Field

from ceflow.history import History
from ceflow.stages.result import Record, Result

if TYPE_CHECKING:
    import numpy as np


class Numbers(Record):
    """A number that a claim says something of; undefined where it is not finite."""

    value: float | None
    """The number that was found."""
    expected: float | None
    """What it should be."""
    tolerance: float | None
    """How far from that it may be."""
    holds: bool | None
    """Whether it is no farther; null where that could not be decided."""


class PartResult(Numbers):
    """One of the numbers of a claim."""

    name: str
    """The name of the part."""


class ClaimResult(Numbers):
    """A claim, which holds if all its parts do; the numbers are those of the worst."""

    part: str | None
    """The part whose numbers these are: the one nearest to its tolerance, or farthest beyond."""
    parts: list[PartResult]
    """All of them, with numbers of their own: they all hold, or the claim does not. Empty where it
    could not be decided."""
    multiplicities: list[int] | None = None
    """Of `lemma-1` and `theorem-1`: the numbers of members of the ensembles that are drawn."""
    distances: list[float | None] | None = None
    """Of `lemma-1`: from the mean kernel at each of them, root mean square over ensembles."""
    drifts: list[float | None] | None = None
    """Of `theorem-1`: of the kernel in training at each of them, the median over ensembles."""
    stderrs: list[float | None] | None = None
    """Of `lemma-1` and `theorem-1`: the standard error of each distance or drift."""
    deviations: dict[str, list[float | None]] | None = None
    """Of `lemma-3.1`: of each pair of points the relative deviation of the covariances `JJ`, `ff`
    and `Jf` from their limits (BN figure 11)."""
    learning_rate: float | None = None
    """Of `theorem-3.2` and `lemma-4.1`: that of the descent that is followed, 1/100 of the largest
    stable one."""
    depths: list[int] | None = None
    """Of `lemma-4.1`: the layers of the encoder and of the decoder, L_g and L_f."""
    encoder_share: float | None = None
    """Of `eq-5`: of the rate of the outputs, that which comes from the encoder's weights, norms."""
    step: float | None = None
    """Of `eq-41` with a kink: that of the difference quotient that stands for a derivative."""


class VerifyResult(Result):
    """Each claim by its name in the language, as in `result["lemma-1"]`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, ClaimResult] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        init=False
    )

    @property
    def claims(self) -> dict[str, ClaimResult]:
        """The claims, in the order of the stage."""
        return self.__pydantic_extra__

    def columns(self) -> "dict[str, np.ndarray]":
        """Tell what claims have recorded; where none has, the parts of all."""
        if isinstance(self.history, History):
            return super().columns()
        rows = History.of_lines(
            [
                {"claim": name, "part": part.name}
                | {key: part[key] for key in Numbers.model_fields}
                for name, claim in self.claims.items()
                for part in claim.parts
            ]
        )
        return {key: rows[key] for key in rows.columns}
