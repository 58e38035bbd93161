"""Latencies: what is measured, and a search on measured costs."""

import math
import time
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from search_problems import ROUNDING, mlp

from ceflow.search import Exponential, Problem, optimise, time_forward, time_in_turn, timed
from ceflow.spec import Ensemble, Mlp


def test_costs_that_are_measured_as_counted_find_what_is_counted():
    # A machine whose time is the square of the width, as if there were one layer only.
    widths = [1, 8, 64, 500]
    costs = timed(widths, [1e-9 * n**2 for n in widths])
    optimum = optimise(Problem(mlp([500] * 5), Exponential(3.6), costs))
    best = min(range(1, 501), key=lambda n: math.expm1(18 / n) * n**2)
    assert optimum.primal.widths == (best,) * 5
    assert optimum.primal.share == pytest.approx((500 / best) ** 2, rel=1e-9)  # log and back


def test_widths_that_were_not_measured_are_no_candidates():
    optimum = optimise(Problem(mlp([500] * 5), Exponential(3.6), timed([30, 500], [1e-4, 1e-3])))
    assert (optimum.curve[0].widths[0], optimum.curve[-1].widths[0]) == (30, 500)


def test_a_network_takes_as_long_as_its_members():
    costs = timed([1, 4], [1.0, 3.0])
    member = Mlp(widths=[4, 2])
    assert costs.path(member) == pytest.approx(3, rel=ROUNDING)
    assert costs.whole(Ensemble(multiplicity=7, member=member)) == pytest.approx(21, rel=ROUNDING)
    assert costs.whole(Ensemble(multiplicity=7, member=Mlp(widths=[5]))) == math.inf


def test_median_is_not_moved_by_a_slow_moment():
    waits = iter([0.0, 0.2] + [0.0] * 10_000)
    (found,) = time_in_turn([lambda: time.sleep(next(waits))], 0.25)
    assert found.seconds < 0.05
    assert found.repeats >= 5


def test_more_work_takes_longer_and_is_spread_over_rounds():
    # A thousand times the work: no load of the machine makes up for that.
    sizes = [(8, 8), (2048, 512)]
    makers = [partial(eqx.nn.MLP, n, n, n, 4, key=jax.random.key(0)) for n, _ in sizes[:1]]
    small = time_forward(makers, jnp.ones((4, 8)), 0.1)
    makers = [partial(eqx.nn.MLP, 1024, 1024, 1024, 4, key=jax.random.key(0))]
    large = time_forward(makers, jnp.ones((64, 1024)), 0.1)
    assert large[0].seconds > 3 * small[0].seconds
    assert small[0].repeats >= 5
    assert small[0].spread >= 0
