"""Ensembles of whole networks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ceflow.spec.base import Count, KeyPath
from ceflow.spec.diagnostics import Fault
from ceflow.spec.models.focus import Focus, require_width
from ceflow.spec.models.layers import EnsembleLayer
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.model import End, ModelSpec, NoLimit
from ceflow.spec.models.network import Network

if TYPE_CHECKING:
    MemberPart = Any  # for stages, which act on what `focused` returns
else:
    from ceflow.spec.models.parts import MemberPart


class Ensemble(ModelSpec):
    """A collegial ensemble: the sum of independent members over sqrt(multiplicity) (CE eq. 4)."""

    type: Literal["ensemble"] = "ensemble"
    """A collegial ensemble."""
    multiplicity: Count
    """Number of members, m."""
    member: MemberPart
    """The network of each member, an [mlp](models.md#mlp) or a table of type
    [network](models.md#network) or [external](models.md#external); each member has its own
    weights. `inputs` and `outputs` are set here."""

    usual_kinds: ClassVar[Mapping[str, Any]] = {"member": Mlp}

    @property
    def has_members(self) -> bool:
        return self.member.has_members

    @property
    def is_dense(self) -> bool:
        return self.member.is_dense

    @property
    def has_one_activation(self) -> bool:
        return self.member.has_one_activation

    @property
    def module_name(self) -> str | None:
        return self.member.module_name

    @property
    def module_path(self) -> KeyPath:
        return ("member", *self.member.module_path)

    @property
    def has_batch_norm(self) -> bool:
        return self.member.has_batch_norm

    @property
    def takes_images(self) -> bool:
        return self.member.takes_images

    @property
    def widths_key(self) -> str:
        return f"member.{self.member.widths_key}"

    @property
    def widths(self) -> Sequence[float]:
        return self.member.widths

    @property
    def activations(self) -> frozenset[str]:
        return self.member.activations

    @property
    def single(self) -> Mlp | Network:
        return self.member

    @property
    def limit(self) -> Mlp | Network:
        return self.member.limit

    @property
    def why_no_limit(self) -> NoLimit | None:
        reason = self.member.why_no_limit
        return reason and reason._replace(path=reason.path and ("member", *reason.path))

    def with_members(self, widths: Sequence[float], multiplicity: int) -> "Ensemble":
        return self.member.with_members(widths, multiplicity)

    def bound(self, binding: Any) -> Self:
        """Return a copy whose member's name is bound."""
        return self.replaced({"member": self.member.bound(binding)})

    def focused(self, at: str | None) -> Any:
        super().focused(at)
        return self.member.focused_in(self)

    def part_with(self, end: End) -> tuple[KeyPath, Mlp | Network]:
        return ("member",), self.member

    def sized(self, **sizes: Any) -> Self:
        """
        >>> pair = Ensemble(multiplicity=2, member=Mlp(widths=[3]))
        >>> pair.sized(inputs=4, outputs=1).member.inputs
        4
        """
        return self.replaced({"member": self.member.sized(**sizes)})

    def smaller(self, cost: str) -> str:
        return self.member.smaller(cost)

    def faults(self) -> list[Fault]:
        if self.member.has_weights:
            message = "the members would be equal: their weights are read from a file"
            return [Fault("CE202", message, ("member", "weights"), "key", "leave it out")]
        return [fault.below("member") for fault in self.member.faults()]


class NetworkEnsemble(Focus):
    """An ensemble of networks, as the one layer of a network that a stage acts on."""

    @classmethod
    def of(cls, ensemble: Ensemble) -> Focus:
        """Make it of an ensemble. Raises `SpecError` if no width of its members can be changed."""
        keys = dict(ensemble.member)
        inner = {"multiplicity": ensemble.multiplicity, "layers": keys["layers"]}
        layers = (EnsembleLayer.model_construct(**inner),)
        return require_width(cls.model_construct(**keys | {"layers": layers, "at": ("layers", 0)}))

    @property
    def whole(self) -> Ensemble:
        ensemble = self._ensemble
        assert ensemble is not None, "the layer at the path is one"
        keys: dict[str, Any] = {key: getattr(self, key) for key in Network.model_fields}
        keys["layers"] = ensemble.layers
        member = Network.model_construct(**keys)
        return Ensemble.model_construct(multiplicity=self.multiplicity, member=member)

    @property
    def place(self) -> None:
        return None

    @property
    def is_finite(self) -> bool:
        return self.whole.is_finite

    @property
    def widths_key(self) -> str:
        return "member.layers"
