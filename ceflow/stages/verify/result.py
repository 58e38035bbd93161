"""The result of a `verify` stage."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict, Field

from ceflow.blocks import counted
from ceflow.history import History
from ceflow.stages.result import Record, Result

if TYPE_CHECKING:
    import numpy as np


class Numbers(Record):
    """A number that a claim predicts; a number that is not finite is undefined."""

    value: float | None
    """The number found."""
    expected: float | None
    """The number that the claim predicts."""
    tolerance: float | None
    """Largest allowed deviation from the prediction."""
    holds: bool | None
    """Whether the deviation is within the tolerance; null if that could not be decided."""


class PartResult(Numbers):
    """One of the numbers of a claim."""

    name: str
    """The name of the part."""

    @property
    def says_little(self) -> bool:
        """Whether it holds by a tolerance as large as any relative error."""
        return bool(self.holds) and self.expected == 0 and (self.tolerance or 0) >= 1


class ClaimResult(Numbers):
    """A claim, which holds if all its parts hold; the numbers are those of the worst part."""

    part: str | None
    """The part whose numbers these are: the one nearest to its tolerance, or farthest beyond it."""
    parts: list[PartResult]
    """All parts, with their numbers; the claim holds only if all of them do. Empty if it could not
    be decided."""
    multiplicities: list[int] | None = None
    """`lemma-1` and `theorem-1`: numbers of members of the ensembles drawn."""
    distances: list[float | None] | None = None
    """`lemma-1`: distance from the mean kernel at each multiplicity, root mean square over
    ensembles."""
    drifts: list[float | None] | None = None
    """`theorem-1`: drift of the kernel in training at each multiplicity, median over ensembles."""
    stderrs: list[float | None] | None = None
    """`lemma-1` and `theorem-1`: standard error of each distance or drift."""
    deviations: dict[str, list[float | None]] | None = None
    """`lemma-3.1`: relative deviation of the covariances `JJ`, `ff` and `Jf` from their limits, for
    each pair of points (BN figure 11)."""
    learning_rate: float | None = None
    """`theorem-3.2`, `chain` and `lemma-4.1`: learning rate of the descent that is followed, 1/100
    of the largest stable one; for `lemma-4.1` that of the encoder, whose half is the decoder's."""
    depths: list[int] | None = None
    """`lemma-4.1`: numbers of layers of the encoder and of the decoder, L_g and L_f."""
    encoder_share: float | None = None
    """`eq-5`: norm of the outputs' rate of change due to the encoder's weights, divided by that of
    the whole rate."""
    step: float | None = None
    """`eq-41` for an activation with a kink: step of the difference quotient that replaces a
    derivative."""


class VerifyResult(Result):
    """The result of each claim, by its name in the language, as in `result["lemma-1"]`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, ClaimResult] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        init=False
    )

    @property
    def claims(self) -> dict[str, ClaimResult]:
        """The results of the claims, in the order of the stage."""
        return self.__pydantic_extra__

    def headline(self) -> str:
        held = sum(claim.holds is True for claim in self.claims.values())
        return f"{held} of {counted(len(self.claims), 'claim')} hold{'s' * (held == 1)}"

    def columns(self) -> "dict[str, np.ndarray]":
        """Return the recorded histories as columns; if there are none, the parts of all claims."""
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
