"""Kernels at infinite width of every kind of layer, against wide networks that are drawn."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler.lowering import lower_each
from ceflow.compiler.models import expand
from ceflow.kernels import analytic
from ceflow.spec import Network

WIDTH = 48
Table = dict[str, Any]


def convolution(channels: int | None = WIDTH, **keys: Any) -> Table:
    given = {} if channels is None else {"channels": channels}
    return {"type": "convolution", **given, **keys}


def dense(units: int = WIDTH, **keys: Any) -> Table:
    return {"type": "dense", "units": units, **keys}


def norm(axes: str = "all", affine: bool = True) -> Table:
    return {"type": "layer-norm", "axes": axes, "affine": affine}


def residual(*body: Any, shortcut: list[Any] | None = None) -> Table:
    return {"type": "residual", "body": [*body]} | ({"shortcut": shortcut} if shortcut else {})


def ensemble(multiplicity: int, *layers: Any) -> Table:
    return {"type": "ensemble", "multiplicity": multiplicity, "layers": [*layers]}


class Case(NamedTuple):
    """Layers before the last, dense one."""

    layers: list[Any]
    inputs: Any = (3, 4, 4)
    bias: float = 0.0
    slow: bool = True
    bound: float = 1e-3
    """Most that the error bound in float32 may be: wide where many layers or pools follow each
    other, of which each adds its own."""

    @property
    def draws(self) -> int:
        """Number of networks; those of vectors cost little."""
        return (96 if self.slow else 40) if isinstance(self.inputs, tuple) else 200


DEPTHWISE = convolution(None, groups="depthwise")

CASES = {
    "strides and even kernels": Case(
        [convolution(kernel=2, stride=2), "relu", convolution(kernel=2), "erf", "flatten"]
    ),
    "no padding": Case([convolution(padding="valid"), "relu", "flatten"], bias=0.2),
    "wide padding": Case([convolution(padding=2, stride=2), "relu", convolution(), "flatten"]),
    "circular": Case(
        [convolution(padding="circular"), "relu", convolution(padding="circular"), "flatten"],
    ),
    "circular with strides and pooling": Case(
        [convolution(padding="circular", kernel=4, stride=3), "relu", "global-average"], bias=0.1
    ),
    "overlapping pools": Case(
        bound=0.005,
        layers=[
            *(convolution(), "relu", {"type": "average-pool", "window": 3, "stride": 1}),
            *(convolution(), "relu", "global-average"),
        ],
    ),
    "a pool before a stride": Case(
        bound=0.003,
        layers=[
            *(convolution(), {"type": "average-pool", "window": 2, "stride": 1}),
            *(convolution(kernel=2, stride=2, padding="valid"), "relu", "global-average"),
        ],
    ),
    "pools of part of an image": Case(
        [convolution(), "relu", {"type": "average-pool", "window": 3}, convolution(), "flatten"],
        inputs=(2, 5, 4),
    ),
    "residual": Case(
        [
            *(convolution(), residual("relu", convolution(), "relu", convolution())),
            *(residual("relu", convolution(stride=2), shortcut=[convolution(kernel=1, stride=2)]),),
            *("relu", "flatten"),
        ],
        bias=0.1,
    ),
    "norm of an image": Case([convolution(), norm(), convolution(), "relu", "flatten"]),
    "norm of channels": Case(
        [convolution(), norm("channels"), convolution(), "relu", "flatten"], slow=False
    ),
    "norms before activations": Case(
        [
            *(convolution(), norm(affine=False), "relu"),
            *(convolution(), norm("channels", False), "erf", "global-average"),
        ],
        bias=0.3,
    ),
    "norm of a residual stream": Case(
        [
            *(convolution(kernel=1), residual(norm(), convolution(), "relu", convolution())),
            *(norm("channels"), "global-average"),
        ]
    ),
    "ensembles in ensembles": Case(
        [
            convolution(),
            ensemble(2, "relu", convolution(24), "relu", ensemble(3, convolution())),
            *("relu", "flatten"),
        ],
    ),
    "depthwise, norm, pointwise": Case(
        bound=0.015,
        layers=[
            *(
                convolution(),
                residual(
                    DEPTHWISE,
                    norm("channels"),
                    convolution(kernel=1),
                    "gelu",
                    convolution(kernel=1),
                ),
            ),
            *(DEPTHWISE, convolution(kernel=1), "relu", "global-average"),
        ],
    ),
    "embeddings and scales": Case(
        [
            *(convolution(), {"type": "position-embedding", "variance": 0.5}, "relu"),
            *(convolution(), residual("relu", convolution(), {"type": "scale", "initial": 0.7})),
            "global-average",
        ]
    ),
    "groups": Case(
        [convolution(groups=1), "relu", convolution(groups=2), "relu", "flatten"], bias=0.2
    ),
    "groups of the inputs": Case(
        [
            convolution(72, groups=3),
            convolution(72, groups="depthwise"),
            *(convolution(kernel=1), "relu", "flatten"),
        ]
    ),
    "repeated": Case(
        [convolution(), {**residual("relu", convolution()), "repeat": 3}, "global-average"]
    ),
    "vectors with residuals and norms": Case(
        [
            *(dense(), residual(norm(), dense(), "relu", dense()), norm(affine=False), "relu"),
            *(ensemble(2, dense(), norm()), dense(), "relu"),
        ],
        inputs=5,
        bias=0.1,
        slow=False,
    ),
    "a residual connection before the last layer": Case(
        [dense(), residual("relu", dense()), "dropout"], inputs=5, slow=False
    ),
    "dropout and flatten of vectors": Case(
        [dense(), "relu", {"type": "dropout"}, "flatten", dense(), "relu"], inputs=5
    ),
}


def network(case: Case) -> Network:
    layers: Any = [*case.layers, "dense"]
    return Network(layers=layers, inputs=case.inputs, bias_variance=case.bias)


def inputs_of(case: Case) -> np.ndarray:
    """Two unlike examples, and one near the first."""
    shape = case.inputs if isinstance(case.inputs, tuple) else (case.inputs,)
    x = np.random.default_rng(0).standard_normal((3, *shape))
    x[2] = x[0] + 0.3 * x[2]
    return x


def drawn(model: Network, x: np.ndarray, draws: int) -> np.ndarray:
    """NNGP and NTK of networks of one output, from gradients: (draws, 2, n, n).

    The gradient in the weights of the last layer, on which the output depends linearly, is that
    of the NNGP: the mean of f f' over these weights.
    """
    root = expand(model.sized(outputs=1))

    def kernels(module: Any) -> jax.Array:
        weights, static = eqx.partition(module, eqx.is_inexact_array)

        def gradients(x: jax.Array) -> Any:
            return jax.grad(lambda each: eqx.combine(each, static)(x)[0])(weights)

        found = jax.vmap(gradients)(jnp.asarray(x))

        def gram(part: Any) -> jax.Array:
            rows = [leaf.reshape(len(x), -1) for leaf in jax.tree.leaves(part)]
            return sum(row @ row.T for row in rows)  # pyright: ignore

        return jnp.stack([gram(found.layers[-1]), gram(found)])

    modules = lower_each(root, jax.random.split(jax.random.key(5), draws))
    arrays, static = eqx.partition(modules, eqx.is_array)
    each = jax.jit(lambda a: jax.lax.map(lambda one: kernels(eqx.combine(one, static)), a))
    return np.asarray(each(arrays))


EACH = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=pytest.mark.slow if case.slow else ())
        for name, case in CASES.items()
    ],
)


@EACH
@pytest.mark.filterwarnings("ignore::ceflow.kernels.InaccurateKernelWarning")
def test_the_mean_of_wide_networks_is_near_the_limit(case: Case):
    model, x = network(case), inputs_of(case).astype(np.float32)
    draws = drawn(model, x, case.draws)
    found = analytic(model, x)
    for limit, each in zip(found[:2], np.moveaxis(draws, 1, 0), strict=True):
        mean, error = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(case.draws)
        # Five standard errors of 240 entries in all, 1e-4 by chance (t of 47 degrees: 2e-3); and
        # the mean at a width of n is off by O(layers/n).
        assert (np.abs(mean - limit) < 5 * error + 3 / WIDTH * np.max(limit)).all()
        assert (error < 0.05 * np.max(limit)).all()  # so what is wrong is seen


@EACH
@pytest.mark.filterwarnings("ignore::ceflow.kernels.InaccurateKernelWarning")
def test_float32_is_within_its_bound_of_float64(case: Case):
    model, x = network(case), inputs_of(case)
    with jax.enable_x64(True):
        exact = analytic(model, x)
    found = analytic(model, x.astype(np.float32))
    largest = np.asarray(exact.ntk).max()
    for wide, narrow in zip(exact[:2], found[:2], strict=True):
        assert np.abs(np.asarray(wide) - narrow).max() <= float(found.error) * largest
        np.testing.assert_array_equal(narrow, narrow.T)
    assert float(found.error) < case.bound


@pytest.mark.parametrize("before", [["dense"], ["convolution", "global-average"]])
def test_flattening_a_vector_changes_nothing(before: list[str]):
    first: Table = {"dense": dense(), "convolution": convolution()}
    layers: list[Any] = [first.get(name, name) for name in before]
    inputs = 5 if before == ["dense"] else (3, 4, 4)
    end: list[Any] = ["relu", dense(1)]
    straight = Network(layers=[*layers, *end], inputs=inputs)
    between: list[Any] = [*layers, "flatten"]
    flat = Network(layers=[*between, *end], inputs=inputs)
    x = np.random.default_rng(0).standard_normal((3, 5) if inputs == 5 else (3, 3, 4, 4))
    # through a flatten, vectors are images of one position, of which lengths round elsewhere
    np.testing.assert_allclose(analytic(flat, x).ntk, analytic(straight, x).ntk, atol=1e-6)


@pytest.mark.parametrize(
    "member",
    [
        [convolution(), "relu"],
        [residual("relu", convolution())],
        [{"type": "average-pool", "window": 2}],
    ],
    ids=["activations with a mean", "a shared shortcut", "no weights"],
)
def test_members_that_are_correlated_have_no_limit(member: list[Any]):
    """Their kernels depend on their number: by wide networks, 1.5 to 4 times as much for four."""
    layers: Any = [convolution(), ensemble(4, *member), convolution(), "relu", "flatten", "dense"]
    model = Network(layers=layers, inputs=(3, 4, 4)).sized(outputs=1)
    with pytest.raises(ValueError, match="members are correlated"):
        analytic(model, np.ones((1, 3, 4, 4)))
    with pytest.raises(ValueError, match="members of an ensemble are correlated"):
        analytic(expand(model), np.ones((1, 3, 4, 4)))
    alone: Any = [convolution(), ensemble(1, *member), convolution(), "relu", "flatten", "dense"]
    assert Network(layers=alone, inputs=(3, 4, 4)).why_no_limit is None


@pytest.mark.parametrize(
    "layers",
    [["scale"], ["layer-norm"], [residual("relu", dense())]],
    ids=["scale", "norm", "residual"],
)
def test_an_example_of_zeros_has_kernels_of_zero(layers: list[Any]):
    every: list[Any] = [dense(), *layers, dense(2)]
    model = Network(layers=every, inputs=3)
    nngp, ntk, error = analytic(model, np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], np.float32))
    assert error < 1e-4
    np.testing.assert_array_equal(nngp[1], 0)
    constant = layers == ["layer-norm"]  # the shift of a norm adds 1 to the NTK
    assert (np.asarray(ntk[1]) > 0).all() if constant else not np.asarray(ntk[1]).any()
    with pytest.raises(ValueError, match="out of the range"):
        analytic(model, np.full((1, 3), 1e-30, np.float32))
