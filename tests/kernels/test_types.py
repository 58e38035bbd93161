"""Numbers of any type give the kernels of the same numbers as floats; what overflows is said."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import ml_dtypes
import numpy as np
import pytest

from ceflow import bottlenecks, dynamics, kernels, nets, variance
from ceflow.kernels import empirical_ntk
from ceflow.seeding import Seed
from ceflow.spec import Block, Bottleneck, Mlp

TYPES = (bool, "u1", "i1", "i2", "i4", "i8", np.float16, ml_dtypes.bfloat16)
"""Products of the rows below pass what the narrow ones hold, and none rounds their entries."""

ROWS = np.random.default_rng(0).integers(80, 120, (3, 4))
OTHERS = ROWS[:2, ::-1]


def of_type(x: np.ndarray, kind: Any) -> np.ndarray:
    return (x > 100).astype(bool) if kind is bool else x.astype(kind)


def network(key: int = 0) -> Any:
    return eqx.nn.MLP(4, 2, 5, 1, activation=jnp.tanh, key=jax.random.key(key))


@pytest.mark.parametrize("trace", [True, False], ids=["trace", "full"])
@pytest.mark.parametrize("others", [None, OTHERS], ids=["itself", "others"])
@pytest.mark.parametrize("method", ["auto", "structured", "jacobian", "products"])
def test_empirical_kernels_of_all_types(method: Any, others: Any, trace: bool):
    ask: Any = partial(empirical_ntk, network(), method=method, trace=trace)
    for kind in TYPES:
        given = [None if x is None else of_type(x, kind) for x in (ROWS, others)]
        wanted = [None if x is None else x.astype(np.float32) for x in given]
        np.testing.assert_array_equal(ask(*given), ask(*wanted))


@pytest.mark.parametrize(("kind", "factor"), [("u1", 1), ("i2", 100), ("i4", 1000), ("i8", 2**40)])
def test_a_linear_kernel_is_that_of_exact_products(kind: str, factor: int):
    linear = eqx.nn.Linear(4, 1, use_bias=False, key=jax.random.key(0))
    x = ROWS * factor
    exact = x.astype(object) @ x.T.astype(object)
    found = empirical_ntk(linear, x.astype(kind), trace=True)
    np.testing.assert_allclose(found, exact.astype(float), rtol=1e-6)  # a few roundings of 6e-8


@pytest.mark.parametrize("method", ["structured", "jacobian", "products"])
@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16])
def test_modules_of_16_bits_are_computed_in_32(kind: Any, method: Any):
    module = jax.tree.map(lambda a: a.astype(kind) if eqx.is_array(a) else a, network())
    wide = jax.tree.map(lambda a: a.astype("float32") if eqx.is_array(a) else a, module)
    x = (4 * ROWS).astype(kind)  # entries are above 65,504
    found = empirical_ntk(module, x, method=method)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, empirical_ntk(wide, x, method=method))


def test_a_module_that_looks_up_gets_whole_numbers():
    class Sentence(eqx.Module):
        words: eqx.nn.Embedding

        def __call__(self, x: jax.Array) -> jax.Array:
            return jax.vmap(self.words)(x).sum(axis=0)

    sentence = Sentence(eqx.nn.Embedding(5, 2, key=jax.random.key(0)))
    tokens = np.array([[0, 1, 1], [1, 4, 4]], np.uint8)
    np.testing.assert_array_equal(empirical_ntk(sentence, tokens)[..., 0, 0], [[5, 2], [2, 5]])


# every other door

MODEL = Mlp(widths=[6], inputs=4, outputs=1, activation="erf")
BLOCK = Block(widths=[4, 4], channels=4)
RELU = Mlp(widths=[6])
ENSEMBLE = nets.Ensemble(lambda key: eqx.nn.Linear(4, 1, key=key), 2, key=jax.random.key(0))
NARROW = Bottleneck(size=4, encoder=bottlenecks.relu(), decoder=bottlenecks.relu())
LOSS = dynamics.SquaredError()


def wide_network() -> Any:
    return bottlenecks.sample(NARROW, 4, 2, Seed(0), width=8)


def flow_of(x: Any) -> Any:
    flow, start = dynamics.parameter_flow(network(), x, x[:, :2], LOSS)
    return flow(0.0, start).layers[0].weight


def derivatives_at(x: Any) -> Any:
    flow, start = dynamics.parameter_flow(network(), ROWS, ROWS[:, :2], LOSS)
    return dynamics.ntk_derivatives(flow, start, x, 1, trace=True)


def simulated(x: Any) -> Any:
    simulation = bottlenecks.Simulation(NARROW, wide_network(), x, x[:, :2])
    return bottlenecks.composed_ntk(simulation, simulation.start())


def averaged(x: Any) -> Any:
    average = kernels.KernelAverage()
    average.add(x)
    average.add(x[::-1])
    return average.mean, average.stderr


OF_EXAMPLES: dict[str, Callable[[Any], Any]] = {
    "analytic": lambda x: kernels.analytic(MODEL, x)[:2],
    "analytic, of a block": lambda x: kernels.analytic(BLOCK, patches(x)),
    "block_kernel": lambda x: kernels.block_kernel(MODEL, "ntk")(x, x[:2]),
    "conditional_ntk": lambda x: kernels.conditional_ntk(MODEL, x, key=jax.random.key(0)),
    "ensemble_ntk": lambda x: kernels.ensemble_ntk(ENSEMBLE, x, trace=True),
    "ntk_operator": lambda x: kernels.ntk_operator(network(), x, x[:2]).mv(jnp.ones((2, 2))),
    "assemble": lambda x: kernels.assemble(lambda a, b: a @ b.T, x, tile=2),
    "mean_kernel": lambda x: (
        kernels.mean_kernel(
            lambda key: empirical_ntk(eqx.nn.Linear(4, 1, key=key), x, trace=True), draws=2
        ).mean
    ),
    "draw_ntk": lambda x: next(variance.draw_ntk(MODEL, x[0], x[1], draws=2)),
    "exact_moments": lambda x: variance.exact_moments(Mlp(widths=[3], inputs=4), x[0]),
    "parameter_flow": flow_of,
    "ntk_derivatives": derivatives_at,
    "Linearised": lambda x: dynamics.Linearised(network(), x).initial,
    "squared error": lambda x: LOSS(x, x[::-1]),
    "its slopes": lambda x: LOSS.chi(x, x[::-1]),
    "integrate": lambda x: dynamics.integrate(lambda t, y: -y * y, x, [0.0, 0.01]).state,
    "Simulation": simulated,
    "WideNetwork": lambda x: wide_network()(x),
    "WideDecoder": lambda x: wide_network().decoder.jacobian(x),
    "EncoderKernel": lambda x: bottlenecks.EncoderKernel(NARROW)(x[0], x[1], x[2]),
    "DecoderKernels": lambda x: bottlenecks.DecoderKernels(NARROW).ntk_slope(x, x),
}

SQUARE = ROWS[:, :3] + np.diag([20, 30, 40]) - 60
SQUARE = SQUARE // 2 + SQUARE.T // 2

OF_KERNELS: dict[str, Callable[[Any], Any]] = {
    "alignment": lambda k: kernels.alignment(k, k[:, :1]),
    "relative_distance": lambda k: kernels.relative_distance(k, k[::-1]),
    "spectrum": lambda k: kernels.spectrum(k)[:2],
    "eigenvalue_max": lambda k: kernels.eigenvalue_max(k),
    "fit": lambda k: kernels.fit(k, k[:, :1], ridge=50.0),
    "accuracy": lambda k: kernels.accuracy(k, k[::-1]),
    "KernelAverage": averaged,
    "ConstantKernel": lambda k: dynamics.ConstantKernel(k).train(0.01, k, k[::-1]),
    "row_blocks": lambda k: [block * block for _, block in kernels.row_blocks(k)],
}

DOORS = [(name, call, ROWS) for name, call in OF_EXAMPLES.items()]
DOORS += [(name, call, SQUARE) for name, call in OF_KERNELS.items()]


def patches(x: Any) -> Any:
    return x[:, np.tile(np.arange(x.shape[1]), 9)]


@pytest.mark.parametrize(("name", "call", "x"), DOORS, ids=[door[0] for door in DOORS])
def test_every_door_computes_in_floats(name: str, call: Callable[[Any], Any], x: np.ndarray):
    kinds = ("u1", "i8") if name in OF_KERNELS else ("u1", np.float16)
    wanted = jax.tree.leaves(call(x.astype(np.float32)))
    for kind in kinds:
        for found, float_found in zip(jax.tree.leaves(call(x.astype(kind))), wanted, strict=True):
            # The same numbers in NumPy, whose float64 some of these take further.
            np.testing.assert_allclose(found, float_found, rtol=1e-6, err_msg=str(kind))


NO_NUMBERS: dict[str, Callable[[np.ndarray], Any]] = {
    "text": lambda x: x.astype(str),
    "objects": lambda x: x.astype(object),
    "datetime64": lambda x: x.astype("datetime64[D]"),
    "complex": lambda x: x * 1j,
    "key<fry>": lambda x: jax.random.split(jax.random.key(0), x.shape),
}


@pytest.mark.parametrize(("name", "call", "x"), DOORS, ids=[door[0] for door in DOORS])
def test_every_door_refuses_what_is_no_number(name: str, call: Callable[[Any], Any], x: np.ndarray):
    for what, make in NO_NUMBERS.items():
        with pytest.raises(ValueError, match=f"numbers is wanted, not one of {what}"):
            call(make(x))


ODD: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "complex": (lambda x: x * 1j, "array of real numbers is wanted, not one of complex"),
    "ragged": (lambda x: [[1.0], [1.0, 2.0]], "rows of an array must have equal lengths"),
    "NaN": (lambda x: np.where(x == x.min(), np.nan, x), "holds NaN or infinity; leave those"),
    "one row": (lambda x: x[0], r"must be \(examples, 4\), not \(4,\)"),
    "too narrow": (lambda x: x[:, :3], r"must be \(examples, 4\), not \(3, 3\)"),
    "a number": (lambda x: 1.0, r"must be \(examples, 4\), not \(\)"),
}
DECODER = bottlenecks.DecoderKernels(NARROW)
OF_BATCHES = {name: OF_EXAMPLES[name] for name in ("ntk_derivatives", "WideNetwork")} | {
    "decode": lambda x: wide_network().decode(x),
    **{
        f"DecoderKernels.{name}": partial(lambda name, x: getattr(DECODER, name)(ROWS, x), name)
        for name in ("nngp", "ntk", "nngp_slope", "nngp_mixed", "ntk_slope")
    },
}


@pytest.mark.parametrize("name", OF_BATCHES)
def test_doors_of_batches_say_what_is_wrong_with_one(name: str):
    for make, says in ODD.values():
        with pytest.raises(ValueError, match=says):
            OF_BATCHES[name](make(ROWS))


def test_rows_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match="the rows of an array must have equal lengths"):
        nets.numbers([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("others", [None, OTHERS], ids=["itself", "others"])
def test_an_operator_computes_with_vectors_of_any_type(others: Any):
    operator = kernels.ntk_operator(network(), ROWS, others)
    size = len(ROWS if others is None else others)
    for transposed in (False, True):
        operator = operator.T if transposed else operator
        size = operator.in_size() // 2
        vector = np.arange(2 * size).reshape(size, 2) - 1
        wanted = operator.mv(jnp.asarray(vector, jnp.float32))
        for kind in ("i1", "i8", np.float16, ml_dtypes.bfloat16, np.float64):
            np.testing.assert_array_equal(operator.mv(vector.astype(kind)), wanted)
        with pytest.raises(ValueError, match="real numbers is wanted, not one of complex"):
            operator.mv(vector * 1j)
        with pytest.raises(ValueError, match="numbers is wanted, not one of text"):
            operator.mv(vector.astype(str))
        with pytest.raises(ValueError, match=r"takes an array of shape \(.*, 2\), not \(.*, 1\)"):
            operator.mv(vector[:, :1])


def test_tiles_on_disk_are_floats(tmp_path: Path):
    for number, kind in enumerate(("u1", np.float16)):
        tiles = kernels.write_tiles(tmp_path / str(number), lambda a, b: a @ b.T, ROWS.astype(kind))
        np.testing.assert_array_equal(tiles[:, :], ROWS @ ROWS.T)


# what is not finite is said


class Halved(eqx.Module):
    """A module that multiplies in float16 of its own will."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return (self.weight.astype("float16") @ x.astype("float16")).astype("float32")


HUGE = np.full((2, 4), 1e25)
LINEAR = eqx.nn.Linear(4, 1, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: empirical_ntk(LINEAR, HUGE), r"infinite at examples 0 and 0: .* 3.4028e\+38; .*"),
        (lambda: empirical_ntk(LINEAR, HUGE), "or a module and inputs of float64"),
        (lambda: empirical_ntk(Halved(jnp.ones((1, 4))), HUGE), "computes in float16, which .*655"),
        (lambda: kernels.ensemble_ntk(ENSEMBLE, HUGE), "the kernel is NaN or infinite at"),
        (lambda: kernels.assemble(lambda a, b: a @ b.T * jnp.inf, ROWS), r"tile \(0, 0\) .* NaN"),
        (lambda: averaged(np.full((2, 2), np.inf)), "the kernel holds NaN or infinity"),
        (lambda: kernels.alignment(np.diag([1, np.nan]), np.ones(2)), "holds NaN or infinity"),
        (lambda: kernels.relative_distance(np.diag([1, np.inf]), np.eye(2)), "holds NaN or inf"),
        (lambda: next(variance.draw_ntk(RELU, HUGE[0], draws=2)), "a draw .* is NaN or infinite"),
    ],
)
def test_what_is_not_finite_is_said(call: Callable[[], Any], says: str):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize(("one", "two"), [(0.0, 1e30), (1e30, 0.0), (2.0, 1e30)])
@pytest.mark.parametrize(
    "call",
    [
        partial(kernels.analytic, MODEL),
        kernels.block_kernel(MODEL, "ntk"),
        partial(kernels.analytic_error, MODEL),
    ],
)
def test_the_largest_of_both_sides_is_named(call: Callable[..., Any], one: float, two: float):
    with pytest.raises(ValueError, match=r"the kernel of inputs of up to 1e\+30 has variances"):
        call(np.full((2, 4), one), np.full((3, 4), two))


# what a method cannot do


@jax.custom_vjp
def step(x: jax.Array) -> jax.Array:
    return jnp.sign(x)


step.defvjp(lambda x: (jnp.sign(x), x), lambda x, g: (g * (jnp.abs(x) < 1),))


class Binary(eqx.Module):
    """Weights rounded to signs, by a function that has a gradient of its own."""

    one: jax.Array
    two: jax.Array
    round: Any = eqx.field(static=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.round(self.two) @ jnp.tanh(self.round(self.one) @ x)


def in_scan(x: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda x, _: (step(x), None), x, length=2)[0]


def in_branch(x: jax.Array) -> jax.Array:
    return jax.lax.cond(x[0, 0] > 9, jnp.tanh, step, x)


def called_back(x: jax.Array) -> jax.Array:
    """Known by its transpose alone: no library function is written so, but users' are."""
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    f = jax.custom_vjp(lambda x: jax.pure_callback(np.sign, shape, x, vmap_method="broadcast_all"))
    f.defvjp(lambda x: (f(x), x), lambda x, g: (g * (jnp.abs(x) < 1),))
    return f(x)


ROUNDINGS = {"plain": step, "jit": jax.jit(step), "scan": in_scan, "cond": in_branch}
ROUNDINGS |= {"remat": jax.checkpoint(step), "vmap": jax.vmap(step), "callback": called_back}


@pytest.mark.parametrize("name", ROUNDINGS)
def test_auto_takes_what_can_run(name: str):
    one, two, x = (jax.random.normal(jax.random.key(i), (5, 5)) for i in range(3))
    module = Binary(one, two, ROUNDINGS[name])
    found = empirical_ntk(module, x, memory=1)  # products would fit best
    expected = empirical_ntk(module, x, method="jacobian")
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(jnp.abs(expected).max()))
    with pytest.raises(ValueError, match=r'method "products" needs derivatives in forward mode'):
        empirical_ntk(module, x, method="products")
    with pytest.raises(ValueError, match=r"the operator needs derivatives in forward mode"):
        kernels.ntk_operator(module, x)


class Loop(eqx.Module):
    """A layer applied until a sum is large, whenever that is."""

    layer: eqx.nn.Linear

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: self.layer(x) ** 2 + 1, x)


@pytest.mark.parametrize("method", ["auto", "structured", "jacobian", "products", "operator"])
def test_no_method_goes_back_through_a_loop_of_unknown_length(method: Any):
    module = Loop(eqx.nn.Linear(4, 4, key=jax.random.key(0)))
    of_method = partial(empirical_ntk, method=method)
    ask: Any = kernels.ntk_operator if method == "operator" else of_method
    with pytest.raises(ValueError, match=r"no derivatives in reverse mode.*use jax\.lax\.scan"):
        ask(module, ROWS)


# the operator and CG

IDENTITY = lx.IdentityLinearOperator(jax.ShapeDtypeStruct((3, 2), jnp.float32))


@pytest.mark.parametrize(
    "shifted",
    [
        lambda k: k + 2.0 * IDENTITY,
        lambda k: k + IDENTITY * jnp.array(2.0),
        lambda k: k + IDENTITY / 0.5,
        lambda k: k + IDENTITY + IDENTITY,
        lambda k: 2 * (k / 2 + IDENTITY),
        lambda k: k + lx.TaggedLinearOperator(2.0 * IDENTITY, lx.positive_semidefinite_tag),
    ],
)
def test_multiples_of_the_identity_keep_the_operator_positive(shifted: Callable[[Any], Any]):
    x, y = jnp.asarray(ROWS / 100), jnp.arange(6.0).reshape(3, 2)
    matrix = empirical_ntk(network(), x).transpose(0, 2, 1, 3).reshape(6, 6) + 2 * jnp.eye(6)
    found = lx.linear_solve(
        shifted(kernels.ntk_operator(network(), x)), y, lx.CG(rtol=1e-6, atol=1e-6)
    )
    # condition 10, so to ten times the solver's own tolerance
    np.testing.assert_allclose(found.value.ravel(), jnp.linalg.solve(matrix, y.ravel()), atol=1e-4)


def test_a_ridge_that_is_traced_counts_as_positive():
    operator = kernels.ntk_operator(network(), ROWS / 100)

    @jax.jit
    def solved(ridge: jax.Array) -> jax.Array:
        return lx.linear_solve(
            operator + ridge * IDENTITY, jnp.ones((3, 2)), lx.CG(1e-5, 1e-5)
        ).value

    assert bool(jnp.isfinite(solved(jnp.array(2.0))).all())
    assert not lx.is_positive_semidefinite(operator + -2.0 * IDENTITY)
