"""Small programs compile plainly, by their shapes alone, and say the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import programs
from ceflow.dynamics import integrate


def chosen(monkeypatch, function, *arguments, largest=None):
    """Whether a program was compiled plainly."""
    asked = []
    monkeypatch.setattr(programs, "known", lambda options: asked.append(options) or {})
    programs.program(function, largest)(*arguments)
    return bool(asked)


@pytest.mark.parametrize(
    ("arguments", "plain"),
    [
        ((np.ones(4096), None), True),
        ((np.ones(4097), None), False),
        ((np.ones(2), jnp.tanh), True),
        ((np.ones(2), lambda x: x), False),  # it may hold arrays of any size
    ],
)
def test_what_is_small_is_told_by_its_arguments(arguments, plain, monkeypatch):
    assert chosen(monkeypatch, lambda x, function: 2 * x, *arguments) == plain


@pytest.mark.parametrize(("numbers", "plain"), [(8, True), (9, False)])
def test_a_program_may_have_a_size_of_its_own(numbers, plain, monkeypatch):
    assert chosen(monkeypatch, lambda x: 2 * x, np.ones(numbers), largest=8) == plain


def test_within_another_program_there_is_no_choice():
    double = programs.program(lambda x: 2 * x)
    assert programs.program(lambda x: double(x) + 1)(jnp.ones(2)).tolist() == [3, 3]


def decay(t, state):
    return -state


def test_a_flow_is_the_same_to_rounding(monkeypatch):
    """Both within 1e-5 of exp(-1) by rtol, and of each other within a few roundings of float32."""
    plain = integrate(decay, jnp.ones(3), [0.0, 1.0], rtol=1e-6)
    monkeypatch.setattr(programs, "LARGEST_SMALL_PROGRAM", 0)
    ordinary = integrate(decay, jnp.ones(3), [0.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(plain.state, ordinary.state, rtol=1e-6)
    np.testing.assert_allclose(plain.state, np.exp(-1), rtol=1e-5)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the options are those of CPUs")
def test_options_that_the_compiler_lacks_are_left_out(monkeypatch):
    """XLA 0.11 lacks one that 0.10 has."""
    lacked = {"an_option_that_no_compiler_has": 0, "xla_backend_optimization_level": 0}
    assert programs.known(lacked) == {"xla_backend_optimization_level": 0}
    monkeypatch.setattr(programs, "UNOPTIMISED", lacked)
    assert programs.program(lambda x: 2 * x)(jnp.ones(2)).tolist() == [2, 2]


def test_arguments_of_a_brisk_program_count_with_their_types():
    """1, 1.0 and True are equal, and are three programs."""
    twice_if_whole = programs.brisk(lambda x, one: 2 * x if type(one) is int else x)
    found = [twice_if_whole(jnp.ones(2), one).tolist() for one in (1.0, 1, True, 1)]
    assert found == [[1, 1], [2, 2], [1, 1], [2, 2]]


@pytest.mark.parametrize(("numbers", "plain"), [(8, True), (9, False)])
def test_a_brisk_program_of_few_numbers_is_compiled_plainly(numbers, plain, monkeypatch):
    monkeypatch.setattr(programs, "BRISK", {})
    monkeypatch.setattr(programs, "known", lambda options: options)
    monkeypatch.setattr(programs, "UNOPTIMISED", {"an_option_that_no_compiler_has": 0})
    double = programs.brisk(lambda x: 2 * x, 8)
    if plain:
        with pytest.raises((RuntimeError, ValueError)):
            double(np.ones(numbers))
    else:
        assert double(np.ones(numbers)).tolist() == [2] * numbers
