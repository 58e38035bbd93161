"""Networks of layers with the ensemble inside them that a stage acts on, and its members."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, Self

from ceflow.spec.base import KeyPath
from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.models.layers import (
    ActivationLayer,
    AveragePoolLayer,
    DropoutLayer,
    EnsembleLayer,
    FlattenLayer,
    GlobalAverageLayer,
    LayerSpec,
    MaxPoolLayer,
    Shape,
    ends_in_batch_norm,
    layer_at,
    shape_before,
    short_form,
    through,
)
from ceflow.spec.models.members import fan_in_sum, known_member, one_output
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.network import Network
from ceflow.spec.models.resnext import Block
from ceflow.spec.models.widths import FreeWidth, changed, free_widths
from ceflow.spec.suggest import MOST_LISTED, did_you_mean

POSITIVE = (AveragePoolLayer, MaxPoolLayer, GlobalAverageLayer, FlattenLayer, DropoutLayer)
"""Layers behind which the values of a ReLU are still not negative."""

_free_widths = lru_cache(maxsize=64)(free_widths)


class NetworkMember(Network):
    """The layers of one member of an ensemble, as a network by themselves."""

    usual_inputs: Literal["iid", "rectified"] = "iid"
    at: KeyPath = ()
    """Path of the layers' ensemble below the model; empty if there is none."""

    @property
    def free(self) -> tuple[FreeWidth, ...]:
        """The widths that can be chosen."""
        return _free_widths(self.layers)

    @property
    def widths(self) -> tuple[float, ...]:
        return tuple(width.value for width in self.free)

    @property
    def width_steps(self) -> tuple[int, ...]:
        return tuple(width.step for width in self.free)

    @property
    def known(self) -> Mlp | Block | None:
        """The mlp or block with the same NTK entries; None if there is none."""
        return known_member(self)

    @property
    def fan_in_sum(self) -> float:
        known = self.known
        return known.fan_in_sum if known else fan_in_sum(self.layers, self._known_inputs)

    @property
    def _known_inputs(self) -> Shape:
        assert self.inputs is not None, "a plan knows the inputs"
        return self.inputs

    @property
    def why_drawn(self) -> str | None:
        known = self.known
        if known is None:
            return "layers other than those of an mlp or a block"
        return known.why_drawn

    @property
    def has_closed_moments(self) -> bool:
        known = self.known
        return known is not None and known.has_closed_moments

    @property
    def member(self) -> "NetworkMember":
        return self

    @property
    def entry(self) -> "Mlp | Block | NetworkMember":
        return self.known or one_output(self)

    def with_widths(self, widths: Sequence[float]) -> Self:
        """Return a copy with other widths.

        Raises `SpecError` if they do not fit a layer that a plugin adds.
        """
        values = {
            path: {layer_at(self.layers, path).width_key or "": width}
            for free, width in zip(self.free, widths, strict=True)
            for path in free.paths
        }
        layers = changed(self.layers, values)
        if math.inf not in widths and any(layer.is_added for _, layer in self.every):
            self._require_fit(layers, widths)
        return self.replaced({"layers": layers})

    def _require_fit(self, layers: Sequence[LayerSpec], widths: Sequence[float]) -> None:
        try:
            through(layers, self._known_inputs, *self.at, "layers")
        except SpecError as error:
            fault = error.faults[0]
            tried = " and ".join(map(str, widths))
            message = (
                f"of width {tried}, model.{path_text(fault.path)} does not fit: {fault.message}"
            )
            help = "give widths that fit at every ratio, or let the plugin's layer state its step"
            raise SpecError(Fault("CE204", message, part="key", help=help)) from None

    def sized(self, **sizes: Any) -> Self:
        """Return the same: inputs and outputs are those of the layers."""
        return self


class Focus(Network):
    """A network, and the ensemble layer inside it that a stage acts on.

    A network without one is its own member, once.
    """

    at: KeyPath
    """Path of the ensemble layer below the model; empty if there is none."""

    @property
    def has_members(self) -> bool:
        return True

    @property
    def whole(self) -> Any:
        return Network.model_construct(**{key: getattr(self, key) for key in Network.model_fields})

    @property
    def place(self) -> str | None:
        return path_text(self.at) if self.at else None

    @property
    def is_finite(self) -> bool:
        return self.whole.is_finite

    @property
    def multiplicity(self) -> int:
        ensemble = self._ensemble
        return ensemble.multiplicity if ensemble else 1

    @property
    def member(self) -> NetworkMember:
        ensemble, inputs, below = self._ensemble, self.inputs, self.at[1:]
        if ensemble and inputs is not None:
            inputs = shape_before(self.layers, inputs, below)
        return NetworkMember.model_construct(
            layers=ensemble.layers if ensemble else self.layers,
            inputs=inputs,
            weight_variance=self.weight_variance,
            bias_variance=self.bias_variance,
            parameterisation=self.parameterisation,
            zero_init_residual=self.zero_init_residual,
            at=self.at,
            usual_inputs="rectified" if ensemble and _follows_relu(self.layers, below) else "iid",
        )

    @property
    def members_start_at_zero(self) -> bool:
        around = (self.at[1:end] for end, key in enumerate(self.at) if key == "body")
        bodies = (getattr(layer_at(self.layers, path), "body") for path in around)  # noqa: B009
        return self.zero_init_residual and any(map(ends_in_batch_norm, bodies))

    @property
    def _ensemble(self) -> EnsembleLayer | None:
        if not self.at:
            return None
        return EnsembleLayer.expect(layer_at(self.layers, self.at[1:]))

    @property
    def widths(self) -> tuple[float, ...]:
        return self.member.widths

    @property
    def width_steps(self) -> tuple[int, ...]:
        return self.member.width_steps

    @property
    def fan_in_sum(self) -> float:
        return self.member.fan_in_sum

    @property
    def why_no_examples(self) -> str | None:
        if self.at[1:] not in ((), (0,)):
            return f"{self.place} acts on the outputs of other layers"
        if self.inputs and self.member.entry.inputs != self.inputs:
            return f"an output of {self.place} depends on a patch of the image"
        return None

    def with_members(self, widths: Sequence[float], multiplicity: int) -> "Focus":
        layers = self.member.with_widths(widths).layers
        if not self.at:
            ensemble = EnsembleLayer.model_construct(multiplicity=multiplicity, layers=layers)
            return self.replaced({"layers": (ensemble,), "at": ("layers", 0)})
        values = {self.at[1:]: {"multiplicity": multiplicity, "layers": layers}}
        return self.replaced({"layers": changed(self.layers, values)})

    def smaller(self, cost: str) -> str:
        return "fewer or smaller layers beside the ensemble" if self.at else super().smaller(cost)


def focus(network: Network, at: str | None) -> Focus:
    """Choose the ensemble layer that a stage acts on (see `Network.focused`)."""
    return require_width(Focus.model_construct(**dict(network), at=_path(network, at)), at)


def require_width(found: Focus, at: str | None = None) -> Focus:
    """Return what a stage acts on. Raises `SpecError` if no width of it can be changed."""
    if found.member.free:
        return found
    message = f"{found.place or 'the network'} has no width that can be changed"
    help = "give it a layer before the last, whose width is not tied to its inputs or outputs"
    raise _refusal(at, "CE203", message, help)


def _path(network: Network, at: str | None) -> KeyPath:
    """Return the path of the ensemble layer below the model; empty if there is none."""
    layers = (path for path, layer in network.every if isinstance(layer, EnsembleLayer))
    paths = {path_text(path): path for path in layers}
    if at is not None and at not in paths:
        raise _refusal(at, "CE201", *_no_ensemble(network, at, list(paths)))
    if at is None and len(paths) > 1:
        message = f"the model has {len(paths)} ensembles: {', '.join(paths)}"
        raise _refusal(at, "CE202", message, f'name one: at = "{next(iter(paths))}"')
    if not paths and not network.ends_in_weights:
        message = "the model has no ensemble layer, and its last layer has no weights"
        help = f"put layers into {ENSEMBLE}"
        raise _refusal(at, "CE203", message, help)
    return paths[at] if at else next(iter(paths.values()), ())


ENSEMBLE = '{type = "ensemble", multiplicity = 1, layers = [...]}'


def _no_ensemble(network: Network, at: str, paths: Sequence[str]) -> tuple[str, str]:
    """Say that there is no ensemble layer at a path, and how to have one."""
    kinds = {path_text(path): layer for path, layer in network.every}
    if at in kinds:
        kind = getattr(kinds[at], "type")  # noqa: B009 (each kind has one)
        named = f"name {' or '.join(paths[:MOST_LISTED])}; or " if paths else ""
        message = f'{at} is no ensemble, but a layer of type "{kind}"'
        return message, f"{named}put it, or several layers, into {ENSEMBLE}"
    message = f"{at!r} is no ensemble layer of the model"
    if paths:
        return message, did_you_mean(at, paths)
    named = ", ".join(
        f"layers.{index} is {short_form(layer) or getattr(layer, 'type')}"  # noqa: B009
        for index, layer in enumerate(network.layers[:3])
    )
    return message, f"there is none: put layers into {ENSEMBLE}, and name its path ({named}, ...)"


def _refusal(at: str | None, code: str, message: str, help: str) -> SpecError:
    """Make the error at the key `at` of the stage, or at the stage if it has no such key."""
    if at is None:
        return SpecError(Fault(code, message, part="key", help=help))
    return SpecError(Fault(code, message, ("at",), help=help))


def path_text(path: KeyPath) -> str:
    """Write a path below the model.

    >>> path_text(("layers", 2, "body", 1))
    'layers.2.body.1'
    """
    return ".".join(map(str, path))


def _follows_relu(layers: Sequence[LayerSpec], path: KeyPath, before: bool = False) -> bool:
    """Tell whether the inputs of the layer at a path are outputs of a ReLU."""
    index, *deeper = path
    for layer in layers[: int(index)]:
        if not isinstance(layer, POSITIVE):
            before = isinstance(layer, ActivationLayer) and layer.name == "relu"
    if not deeper:
        return before
    inner = getattr(layers[int(index)], str(deeper[0]))
    return _follows_relu(inner, tuple(deeper[1:]), before)
