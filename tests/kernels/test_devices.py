"""Several devices of one host: the same numbers as one device gives."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.kernels import analytic, empirical_ntk, ensemble_ntk, spread, write_tiles
from ceflow.nets import Dense, Ensemble
from ceflow.spec import Document, Mlp

SPEC = Mlp(widths=(float("inf"),) * 2, bias_variance=0.1)
FINITE = Mlp(widths=(16, 16), inputs=5, outputs=2)
MEMBERS = (3, 11)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)


def analytic_ntk(x1: Any, x2: Any) -> jax.Array:
    return analytic(SPEC, x1, x2).ntk


def gram(x1: jax.Array, x2: jax.Array) -> jax.Array:
    return x1 @ x2.T


def ensemble(members: int) -> Ensemble:
    def member(key: jax.Array) -> Dense:
        return Dense(5, 2, bias_variance=0.3, key=key)

    return Ensemble(member, members, key=jax.random.key(1))


def ensemble_kernel(x1: Any, x2: Any) -> jax.Array:
    return empirical_ntk(ensemble(2), x1, x2, trace=True)


def draw(key: jax.Array) -> jax.Array:
    """The NTK of a network drawn with a key."""
    return empirical_ntk(compile(Document(model=FINITE)).module(key), rows(4), trace=True)


def results(folder: Path) -> dict[str, np.ndarray]:
    """All that is spread, on as many devices as this process has."""
    found: dict[str, Any] = {
        "gram tiles": write_tiles(folder / "g", jax.jit(gram), rows(11), tile=2),
        "analytic tiles": write_tiles(folder / "a", analytic_ntk, rows(100), tile=64),
        "empirical tiles": write_tiles(folder / "e", ensemble_kernel, rows(9), tile=5),
        "draws": spread(draw)(jax.random.split(jax.random.key(2), 11)),
    }
    for members in MEMBERS:
        found[f"{members} members"] = ensemble_ntk(ensemble(members), rows(6))
    found["trace"] = ensemble_ntk(ensemble(11), rows(6), rows(9), trace=True)
    return {name: np.asarray(value) for name, value in found.items()} | {
        "devices": np.array(jax.local_device_count())
    }


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The results of a process that takes this host for eight devices."""
    if jax.default_backend() != "cpu":
        pytest.skip("a host is several devices on CPUs alone")
    folder = tmp_path_factory.mktemp("eight")
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    subprocess.run([sys.executable, __file__, str(folder)], env=environment, check=True)
    return dict(np.load(folder / "results.npz"))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return results(tmp_path_factory.mktemp("one"))


def test_there_are_eight_devices_and_one(several: Any, one: Any):
    assert (several["devices"], one["devices"]) == (8, 1)


@pytest.mark.parametrize("name", ["gram tiles", "analytic tiles", "empirical tiles"])
def test_tiles_have_the_same_bits(several: Any, one: Any, name: str):
    assert np.abs(one[name]).max() > 0
    np.testing.assert_array_equal(several[name], one[name])


@pytest.mark.parametrize("name", ["draws", "trace", *(f"{members} members" for members in MEMBERS)])
def test_draws_and_members_are_the_same_to_rounding(several: Any, one: Any, name: str):
    # sums of some ten terms, of members in another order, each rounded to 6e-8 of the largest
    atol = 1e-6 * np.abs(one[name]).max()
    np.testing.assert_allclose(several[name], one[name], rtol=0, atol=atol)


def test_each_draw_has_its_own_key(several: Any):
    keys = jax.random.split(jax.random.key(2), 11)
    assert len(np.unique(several["draws"], axis=0)) == len(keys)
    np.testing.assert_allclose(several["draws"][9], draw(keys[9]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("trace", [False, True])
def test_the_mean_over_members_is_the_kernel_of_the_ensemble(members: int, trace: bool, x64: None):
    module, x1, x2 = ensemble(members), rows(3), rows(4)
    for other in (None, x2):
        found = ensemble_ntk(module, x1, other, trace=trace)
        # sums of some ten terms
        np.testing.assert_allclose(
            found, empirical_ntk(module, x1, other, trace=trace), rtol=0, atol=1e-14
        )


def test_a_function_is_mapped_over_trees():
    stacked = {"a": jnp.arange(6.0).reshape(3, 2), "b": np.arange(3.0)}
    found = spread(lambda tree, c: {"sum": tree["a"].sum() + tree["b"], "c": c})(
        stacked, jnp.arange(3)
    )
    np.testing.assert_array_equal(found["sum"], [1, 6, 11])
    np.testing.assert_array_equal(found["c"], [0, 1, 2])


def test_a_spread_function_is_traced_once_a_shape():
    traces = []

    def square(x: jax.Array) -> jax.Array:
        traces.append(x.shape)
        return x**2

    mapped = spread(square)
    for value in range(3):
        np.testing.assert_array_equal(mapped(jnp.full(4, value)), np.full(4, value**2))
    assert len(traces) == 1


@pytest.mark.parametrize("stacked", [(np.ones(2), np.ones(3)), (np.ones((0, 2)),), ()])
def test_arrays_of_several_lengths_or_none_are_refused(stacked: Any):
    with pytest.raises(ValueError, match="stacked arrays must have one length, 1 or more"):
        spread(lambda *rows: rows)(*stacked)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    np.savez(folder / "results.npz", **results(folder))  # pyright: ignore[reportArgumentType]
