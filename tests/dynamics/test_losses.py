"""Losses: their derivatives, their reductions, and the two forms of cross-entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.dynamics import LOSSES, CrossEntropy, Loss, SquaredError

OUTPUTS = jax.random.normal(jax.random.key(0), (5, 3))
TARGETS = {
    "one-hot": jax.nn.one_hot(jnp.array([0, 2, 1, 1, 0]), 3),
    "signed": jnp.array([[1.0], [-1.0], [1.0], [1.0], [-1.0]]),
}


REDUCTIONS = [
    (name, reduction)
    for name in LOSSES
    for reduction in ("sum", "mean", "mean-all")
    if (name, reduction) != ("cross-entropy", "mean-all")
]


@pytest.mark.parametrize(("name", "reduction"), REDUCTIONS)
@pytest.mark.parametrize("kind", TARGETS)
def test_chi_is_the_derivative(name, kind, reduction):
    loss, targets = LOSSES[name](reduction), TARGETS[kind]
    outputs = OUTPUTS[:, : targets.shape[1]]
    expected = jax.grad(loss)(outputs, targets)
    # Two float32 sums of numbers of size 1.
    np.testing.assert_allclose(loss.chi(outputs, targets), expected, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_that_of_any_loss(name):
    loss = LOSSES[name]()
    by_jax = Loss.gradient(loss, OUTPUTS, TARGETS["one-hot"])
    np.testing.assert_allclose(loss.gradient(OUTPUTS, TARGETS["one-hot"]), by_jax, atol=1e-6)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("name", LOSSES)
def test_the_curvature_is_the_largest_there_is(name, kind):
    loss, target = LOSSES[name](), TARGETS[kind][:1]
    size = target.shape[1]

    def largest(f: jax.Array) -> jax.Array:
        hessian = jax.hessian(lambda out: loss.per_example(out[None], target)[0])(f)
        return jnp.linalg.eigvalsh(hessian)[-1]

    some = 2 * jax.random.normal(jax.random.key(1), (1000, size))
    # Two classes of equal outputs far above the third are where cross-entropy bends most.
    worst = jnp.array([10.0, 10.0, -10.0])[:size] if size > 1 else jnp.zeros(1)
    found = jax.vmap(largest)(jnp.concatenate([some, worst[None]]))
    np.testing.assert_allclose(found.max(), loss.curvature(size), rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "shapes", [((3, 1), (3,)), ((3,), (3,)), ((3, 2), (1, 2)), ((0, 2), (0, 2))]
)
def test_shapes_that_have_no_loss_are_refused(name, shapes):
    outputs, targets = (jnp.ones(shape) for shape in shapes)
    for value in (LOSSES[name](), LOSSES[name]().chi):
        with pytest.raises(ValueError, match=r"both must be \(examples, outputs\)"):
            value(outputs, targets)


def test_mse_is_half_of_the_square():
    assert SquaredError()(jnp.full((2, 3), 2.0), jnp.zeros((2, 3))) == 12
    assert SquaredError("mean")(jnp.full((2, 3), 2.0), jnp.zeros((2, 3))) == 6
    assert SquaredError("mean-all")(jnp.full((2, 3), 2.0), jnp.zeros((2, 3))) == 2


def test_cross_entropy_has_no_mean_over_outputs():
    with pytest.raises(ValueError, match="no mean over outputs"):
        CrossEntropy("mean-all")


def test_cross_entropy_of_equal_outputs_is_the_logarithm_of_the_classes():
    value = CrossEntropy("mean")(jnp.zeros((5, 3)), TARGETS["one-hot"])
    assert float(value) == pytest.approx(np.log(3), rel=1e-6)  # float32


def test_logistic_loss_is_cross_entropy_of_two_classes():
    signed, f = TARGETS["signed"], OUTPUTS[:, :1]
    two = jnp.concatenate([f / 2, -f / 2], axis=1)
    one_hot = jnp.concatenate([signed > 0, signed < 0], axis=1).astype(float)
    np.testing.assert_allclose(CrossEntropy()(f, signed), CrossEntropy()(two, one_hot), rtol=1e-6)


def test_large_outputs_do_not_overflow():
    outputs, targets = jnp.array([[500.0], [-500.0]]), jnp.array([[-1.0], [-1.0]])
    assert CrossEntropy()(outputs, targets) == 500
    assert jnp.isfinite(CrossEntropy().chi(outputs, targets)).all()
