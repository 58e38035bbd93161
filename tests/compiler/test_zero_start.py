"""Residual paths whose last scale starts at 0: what starts otherwise, and who says so."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow.compiler import compile
from ceflow.exports import equinox_file, torchvision_line
from ceflow.nets import Frozen, Residual
from ceflow.spec import Document, Network, Resnext, SpecError
from ceflow.spec.models import ModelSpec

NORMALISED = [{"type": "convolution", "channels": 4}, "batch-norm"]
MEMBERS = {"type": "ensemble", "multiplicity": 3, "layers": [*NORMALISED, "relu", *NORMALISED]}
PROJECTED = {"type": "residual", "body": [MEMBERS], "shortcut": NORMALISED}
TWICE = {"type": "residual", "body": [{"type": "sequence", "layers": NORMALISED, "repeat": 2}]}
UNNORMALISED = {"type": "residual", "body": [{"type": "convolution", "channels": 4}, "relu"]}


def network(*layers: Any, **fields: Any) -> Network:
    ends = "global-average", {"type": "dense", "units": 2}
    tree: Any = [*layers, *ends]
    return Network(layers=tree, inputs=(3, 6, 6), **fields)


MODELS: dict[str, tuple[Any, int, int]] = {
    "resnext": (Resnext(blocks=[2, 1], base_width=2, inputs=(2, 6, 6), outputs=3), 3, 3),
    "network": (network(PROJECTED, TWICE, UNNORMALISED), 2, 3),
}
"""Models, how many paths end in batch-norm, and how many residual connections there are."""


def zeroed(model: Any) -> Any:
    return model.replaced({"zero_init_residual": True})


def parts(module: Any, kind: type) -> list[Any]:
    found = jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in found if isinstance(node, kind)]


def pair(name: str) -> tuple[Any, Any]:
    """The modules of a model as it starts usually, and from 0."""
    key = jax.random.key(3, impl="unsafe_rbg")
    usual, zero = (
        compile(Document(model=model)).module(key)
        for model in (MODELS[name][0], zeroed(MODELS[name][0]))
    )
    return usual, zero


@pytest.mark.parametrize("name", MODELS)
def test_only_the_last_scale_of_a_path_starts_otherwise(name):
    usual, zero = (jax.tree.leaves(eqx.filter(module, eqx.is_array)) for module in pair(name))
    pairs = list(zip(usual, zero, strict=True))
    changed = [(a, b) for a, b in pairs if not np.array_equal(a, b)]
    assert len(changed) == MODELS[name][1]
    assert all((a == 1).all() and (b == 0).all() for a, b in changed)


@pytest.mark.parametrize("name", ["network", pytest.param("resnext", marks=pytest.mark.slow)])
def test_each_block_starts_as_its_shortcut(name):
    usual, zero = pair(name)
    assert len(parts(zero.module, Residual)) == MODELS[name][2]
    for module, expected in ((usual, 0), (zero, MODELS[name][1])):
        assert sum(is_shortcut(module, block) for block in parts(module.module, Residual)) == (
            expected
        )


def is_shortcut(module: Any, block: Any) -> bool:
    """Whether a block of a network gives on random images just what its shortcut does."""
    first = parts(block.body, jax.Array)[0]
    x = jax.random.normal(jax.random.key(1), (first.shape[-3], 4, 4))
    straight = x if block.shortcut is None else Frozen(block.shortcut, module.state)(x)
    return bool((Frozen(block, module.state)(x) == straight).all())


def test_a_network_without_a_normalisation_at_the_end_of_a_path_is_refused():
    with pytest.raises(SpecError, match='no body of a residual ends in "batch-norm"') as caught:
        compile(Document(model=network(UNNORMALISED, zero_init_residual=True)))
    assert caught.value.faults[0].path == ("model", "zero_init_residual")


INNER = PROJECTED | {"body": [*NORMALISED, "relu", *NORMALISED]}
INSIDE = {"type": "ensemble", "multiplicity": 2, "layers": [INNER]}
BEFORE = {"type": "residual", "body": [MEMBERS, "relu", *NORMALISED], "shortcut": NORMALISED}
NEVER = {"type": "residual", "body": [MEMBERS, "relu"], "shortcut": NORMALISED}


@pytest.mark.parametrize(
    ("layers", "at_zero"),
    [
        ([PROJECTED], True),
        ([BEFORE], True),
        ([NEVER, TWICE], False),
        ([MEMBERS, TWICE], False),
        ([INSIDE], False),
    ],
)
def test_a_network_knows_whether_its_members_start_at_zero(layers, at_zero):
    model = network(*layers)
    focused: ModelSpec = zeroed(model).focused(None)
    assert focused.members_start_at_zero == at_zero
    assert not model.focused(None).members_start_at_zero


def test_a_member_keeps_the_start_of_the_paths_inside_it():
    member = zeroed(network(INSIDE)).focused(None).member
    assert member.zero_init_residual


LAWS = """
[model]
type = "resnext"
blocks = [1]
base_width = 64
zero_init_residual = {}

[stages.alpha]
type = "variance"

[stages.measured]
type = "search"
variance = "alpha"

[stages.given]
type = "search"
alpha = 2.0
"""


def test_laws_of_members_that_start_at_zero_warn(tmp_path):
    warned = {}
    for zero in ("true", "false"):
        run = ceflow.run(ceflow.loads(LAWS.format(zero)), tmp_path / zero)
        said = {name: " ".join(run.results[name].warnings) for name in run.results}
        warned[zero] = {name for name, text in said.items() if "zero_init_residual" in text}
    assert warned == {"true": {"alpha", "measured", "given"}, "false": set()}
    optimal = ceflow.load(tmp_path / "true" / "optimal.toml").model
    assert isinstance(optimal, Resnext)
    assert optimal.zero_init_residual


@pytest.mark.slow
def test_exported_files_start_so_too():
    plan = compile(Document(model=zeroed(MODELS["resnext"][0])))
    names: dict[str, Any] = {}
    exec(equinox_file(plan), names)
    make = eqx.filter_jit(eqx.nn.make_with_state(names["Resnext"]))
    module, _ = make(key=jax.random.key(0, impl="unsafe_rbg"))
    arrays = jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))
    scales = [array for array in arrays if array.ndim == 1 and (array == array[0]).all()]
    assert sum(bool((array == 0).all()) for array in scales) == 3 + 12  # and the shifts of all
    assert all(jnp.isfinite(array).all() for array in arrays)


def test_the_line_of_torchvision_has_the_same_key():
    big = Resnext(stem="imagenet", blocks=[3, 4, 6, 3], base_width=64, zero_init_residual=True)
    line = torchvision_line(compile(Document(model=big)))
    assert line == "torchvision.models.resnet50(zero_init_residual=True)"
