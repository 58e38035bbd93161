"""The neural mean kernel: its mean, its standard errors, and when the drawing ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from ceflow.kernels import KernelAverage, analytic, conditional_ntk, mean_kernel
from ceflow.seeding import Seed
from ceflow.spec import Mlp


def normal(key: jax.Array) -> jax.Array:
    """A 'kernel' of known law: mean 10, deviation 1 in every entry."""
    return 10 + jax.random.normal(key, (3, 2))


def test_mean_and_standard_errors_are_those_of_the_stack():
    found = mean_kernel(normal, 7, draws=50)
    stack = np.stack([normal(Seed(7).fold(i).jax()) for i in range(50)])
    # float32 kernels summed in float64
    np.testing.assert_allclose(found.mean, stack.mean(axis=0, dtype=float), rtol=1e-12)
    stderr = stack.std(axis=0, ddof=1, dtype=float) / np.sqrt(50)
    np.testing.assert_allclose(found.stderr, stderr, rtol=1e-10)
    assert found.draws == 50
    relative = np.linalg.norm(stderr) / np.linalg.norm(stack.mean(axis=0))
    assert found.error == pytest.approx(relative, rel=1e-6)


@pytest.mark.parametrize("error", [0.02, 0.01])
def test_drawing_ends_at_the_precision_asked_for(error: float):
    found = mean_kernel(normal, 1, error=error)
    assert found.error <= error
    # the error is 0.1/sqrt(draws), whose deviation is estimated from 6 entries
    assert found.draws == pytest.approx((0.1 / error) ** 2, rel=0.5, abs=16)
    before = mean_kernel(normal, 1, draws=found.draws - 1) if found.draws > 17 else None
    assert before is None or before.error > error


@pytest.mark.parametrize(
    "draws", [(0.0, 1e200, 3e200), (1e-300, 1e300, -1e300), (1e-200, 3e-200), (1e200, -1e200, 1.0)]
)
def test_draws_of_any_scales_have_their_mean_and_error(draws: tuple[float, ...]):
    average, largest = KernelAverage(), max(draws)
    for draw in draws:
        average.add(np.array([[draw]]))
    expected = np.array(draws) / largest
    error = expected.std(ddof=1) / len(draws) ** 0.5
    assert_allclose(average.mean[0, 0] / largest, expected.mean(), atol=1e-15)
    assert_allclose(average.stderr[0, 0] / largest, error, rtol=1e-14)


def test_kernels_of_other_shapes_have_no_mean():
    average = KernelAverage()
    average.add(np.eye(2))
    with pytest.raises(ValueError, match=r"of shape \(1, 2\) has no mean with others of \(2, 2\)"):
        average.add(np.ones((1, 2)))


def test_drawing_ends_at_the_most_draws_and_says_what_was_reached():
    found = mean_kernel(normal, 1, draws=20, error=1e-6)
    assert found.draws == 20
    assert found.error > 1e-3


def test_more_draws_go_on_where_fewer_ended():
    few, more = (mean_kernel(normal, 3, draws=draws) for draws in (5, 6))
    last = np.asarray(normal(Seed(3).fold(5).jax()))
    np.testing.assert_allclose(more.mean, (5 * few.mean + last) / 6, rtol=1e-12)


def test_with_one_hidden_layer_it_is_the_infinite_width_kernel(x64: None):
    model, x = Mlp(widths=(10,)), np.random.default_rng(0).standard_normal((5, 3))
    draw = jax.jit(lambda key: conditional_ntk(model, x, key=key))
    found = mean_kernel(draw, 0, error=0.01)
    # 15 different entries: five standard errors, 1e-5 by chance
    assert (np.abs(found.mean - analytic(model, x).ntk) < 5 * found.stderr).all()


def test_the_diagonal_of_a_relu_network_does_not_depend_on_its_width(x64: None):
    # H + 1 at |x|^2 = d, and the off-diagonal hardly
    x = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    means = {
        width: mean_kernel(
            jax.jit(lambda key, width=width: conditional_ntk(Mlp(widths=(width,) * 3), x, key=key)),
            2,
            draws=1500,
        )
        for width in (8, 32)
    }
    for found in means.values():
        # two entries, two widths: five standard errors, 2e-6 by chance
        assert (np.abs(np.diag(found.mean) - 4) < 5 * np.diag(found.stderr)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 1}, "draws must be a whole number of 2 or more, not 1"),
        ({"draws": 2.5}, "draws must be a whole number of 2 or more, not 2.5"),
        ({"error": 0.0}, "above 0, not 0.0"),
        ({"error": float("nan")}, "above 0, not nan"),
    ],
)
def test_what_makes_no_mean_is_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        mean_kernel(normal, **options)
