"""What a `verify` stage finds."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict, Field

from ceflow.history import History
from ceflow.stages.result import Record, Result

if TYPE_CHECKING:
    import numpy as np


class Numbers(Record):
    """A number that a claim says something of; undefined where it is not finite."""

    value: float | None
    """As measured."""
    expected: float | None
    """What the claim says."""
    tolerance: float | None
    """How far the one may be from the other."""
    holds: bool | None
    """Whether it is not farther; undefined where the claim could not be decided."""


class PartResult(Numbers):
    """One of the numbers of a claim."""

    name: str
    """Of the part."""


class ClaimResult(Numbers):
    """A claim, which holds if all its parts do; the numbers are those of the worst."""

    part: str | None
    """The worst, nearest to its tolerance or farthest beyond."""
    parts: list[PartResult]
    """All of them; none where the claim could not be decided."""
    multiplicities: list[int] | None = None
    """Of lemma-1 and theorem-1: members of the ensembles that are drawn."""
    distances: list[float | None] | None = None
    """Of lemma-1: from the mean kernel, root mean square over ensembles, by multiplicity."""
    drifts: list[float | None] | None = None
    """Of theorem-1: of the kernel in training, the median over ensembles, by multiplicity."""
    stderrs: list[float | None] | None = None
    """Of lemma-1 and theorem-1: the standard error of each distance or drift."""
    deviations: dict[str, list[float | None]] | None = None
    """Of lemma-3.1: of each covariance from its limit, relative, pair by pair (BN figure 11)."""
    learning_rate: float | None = None
    """Of theorem-3.2 and lemma-4.1: of the descent that is followed."""
    depths: list[int] | None = None
    """Of lemma-4.1: layers of the encoder and of the decoder."""
    encoder_share: float | None = None
    """Of eq-5: how much of the outputs' velocity is by the encoder's weights."""
    step: float | None = None
    """Of eq-41: of the difference quotient that stands for a derivative at a kink."""


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
