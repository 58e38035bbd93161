"""The `verify` stage."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from ceflow.spec.base import Count
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models import Bottleneck, Model
from ceflow.spec.stages.stage import StageSpec, width_faults

if TYPE_CHECKING:
    from ceflow.spec.document import Document

Claim = Literal[
    "lemma-1",
    "theorem-1",
    "lemma-3.1",
    "theorem-3.2",
    "chain",
    "lemma-4.1",
    "eq-5",
    "eq-6",
    "eq-41",
]

ENSEMBLE_CLAIMS = ("lemma-1", "theorem-1")
"""Claims of CE, about ensembles; all others are claims of BN, about bottlenecks, but for those of
chains."""

CHAIN_CLAIMS = ("chain",)
"""Claims about chains of bottlenecks."""

DRAWN_CLAIMS = (*ENSEMBLE_CLAIMS, "lemma-3.1")
"""Claims that are tested on many networks."""

PLAIN_CLAIMS = ("lemma-3.1", "eq-41")
"""Claims that are tested for decoders of one hidden layer without biases."""

FEWEST_CLAIM_DRAWS = 20
"""Minimum number of draws for a meaningful standard error."""


class Verify(StageSpec):
    """Claims of the papers, tested on networks of finite width."""

    type: Literal["verify"] = "verify"
    """Tests of claims of the papers, each with a number and a verdict."""
    claims: Annotated[Sequence[Claim], AfterValidator(tuple), Field(min_length=1)]
    """Claims to test, in this order, each once. For an `ensemble`: `lemma-1`, the distance of its
    NTK from the mean kernel goes as m^-1/2; `theorem-1`, its NTK changes by O(1/m). For a
    `bottleneck`: `lemma-3.1`, the covariances of f and J; `theorem-3.2`, the evolution equations;
    `lemma-4.1`, linear networks behave as two layers; `eq-5` and `eq-6`, the evolution at finite
    width; `eq-41`, dK_n/dx approaches Xi. For a `chain`: `chain`, the evolution equations of each
    segment."""
    width: Count = 10_000
    """Width n of the finite networks that approximate infinitely wide ones; the members of an
    ensemble keep their own widths."""
    draws: Count = 1000
    """Number of networks drawn for `lemma-3.1`, `lemma-1` and `theorem-1`, at least 20; for an
    ensemble at each of four multiplicities."""
    points: Count = 16
    """Number of standard normal inputs. For `lemma-3.1` and `eq-41`: number of pairs of standard
    normal points in the bottleneck."""
    steps: Count = 100
    """Steps of gradient descent in `theorem-3.2`, `chain`, `lemma-4.1` and `theorem-1`: so many
    that the loss halves, or [wrong theories pass too](semantics.md#claims)."""

    def faults_in(self, document: "Document", model: Model) -> Iterator[Fault]:
        for index, claim in enumerate(self.claims):
            for message, help in self._claim_faults(claim, model):
                yield Fault("CE203", message, ("claims", index), help=help)
        if len(set(self.claims)) < len(self.claims):
            yield Fault("CE104", "a claim is named twice", ("claims",), help="name each once")
        yield from width_faults(model, self.width)
        yield from self._size_faults()

    def _claim_faults(self, claim: str, model: Model) -> Iterator[tuple[str, str]]:
        """Find why a claim does not apply to the model, and what to do."""
        ensemble = claim in ENSEMBLE_CLAIMS
        kind = "chain" if claim in CHAIN_CLAIMS else "ensemble" if ensemble else "bottleneck"
        if model.type != kind:
            others = {"ensemble": ENSEMBLE_CLAIMS, "chain": CHAIN_CLAIMS}.get(model.type, ())
            own = f"claim {' or '.join(others)}, or " if others else ""
            yield f"{claim} is about {kind}s", f'{own}give the [model] type = "{kind}"'
        elif ensemble and not model.is_finite:
            yield f"{claim} is about members of finite width", "give them finite widths"
        elif claim == "theorem-1" and model.kinks:
            message = f"theorem 1 assumes an analytic activation, which {min(model.kinks)} is not"
            yield message, 'use activation = "erf", "tanh" or another smooth one'
        elif not ensemble and not model.is_wide_bottleneck:
            message = f"{claim} is about a finite bottleneck between infinitely wide layers"
            yield message, "make the widths inf and the size a number; `width` says n"
        elif claim == "chain" and min(each.size for each in model.bottlenecks) < 2 and model.kinks:
            message = "with kinks the claim is tested for bottlenecks of two units or more: values"
            message += " of one unit pass 0, where all slopes jump at once"
            yield message, 'give other sizes, or use activation = "erf", or another smooth one'
        elif claim in PLAIN_CLAIMS and not Bottleneck.expect(model).has_plain_decoder:
            message = f"{claim} is about a decoder of one hidden layer without biases"
            yield message, "leave the claim out, or use widths = [inf] in the decoder"
        elif claim == "lemma-4.1" and Bottleneck.expect(model).encoder.as_mlp is None:
            message = "lemma 4.1 is about an encoder of dense layers, with one activation between"
            yield message, "leave the claim out, or take another encoder"

    def _size_faults(self) -> Iterator[Fault]:
        """Find experiments that are too small to be meaningful."""
        if self.draws < FEWEST_CLAIM_DRAWS and set(self.claims) & set(DRAWN_CLAIMS):
            message = f"{self.draws} draws are too few to estimate the noise"
            yield Fault("CE202", message, ("draws",), help=f"draw {FEWEST_CLAIM_DRAWS} or more")
        if self.points < 2 and "theorem-1" in self.claims:
            message = "theorem 1 is tested at pairs of two inputs"
            yield Fault("CE202", message, ("points",), help="give two points or more")
