"""What cannot be trained, and what should be said about data."""

from typing import Any

import numpy as np
import pytest

from ceflow.bottlenecks import (
    Batches,
    Simulation,
    composed_ntk,
    mlp,
    relu,
    remarks,
    sample,
)
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck

X, Y = np.eye(3), np.ones((3, 1))


def simulation(x=X, y=Y, activation="relu", **options):
    network = Bottleneck(size=2, encoder=relu(), decoder=mlp(activation))
    return Simulation(network, sample(network, 3, 1, Seed(0), width=20), x, y, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.ones(3)}, "x must be .examples, numbers., not of shape .3,."),
        ({"x": X * np.nan}, "x holds NaN or infinity"),
        ({"y": Y[:2]}, "3 inputs and 2 targets"),
        ({"y": np.ones((3, 2))}, "1 outputs, and targets have 2"),
        ({"x_test": np.ones((2, 4))}, "inputs have 3 numbers, and test inputs 4"),
        ({"engine": "exact"}, "'features' or 'history', not 'exact'"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        simulation(**changes)


def test_rates_and_batches_that_cannot_be():
    with pytest.raises(ValueError, match="a learning rate must be above 0, not 0"):
        simulation().train(0, Batches(3, 3), 1)
    with pytest.raises(ValueError, match="a batch of 4 examples cannot be drawn from 3"):
        Batches(3, 4)
    for told in (lambda batches: simulation().train(0.1, batches, 1), simulation().largest_rate):
        with pytest.raises(ValueError, match="batches are of 10 examples, and there are 3"):
            told(Batches(10, 2))
    with pytest.raises(ValueError, match="counted from 0 on, not -3 from 0"):
        simulation().train(0.1, Batches(3, 3), -3)


def test_an_initial_network_of_another_size_is_refused():
    of_two = Bottleneck(size=2, encoder=relu(), decoder=relu())
    initial = sample(of_two, 3, 1, Seed(0), width=20)
    with pytest.raises(ValueError, match="a bottleneck of 2, and the network one of 3"):
        Simulation(of_two.model_copy(update={"size": 3}), initial, X, Y)


@pytest.mark.parametrize("changed", ["inputs", "outputs", "width"])
def test_a_sampled_network_has_counts_of_1_or_more(changed: str):
    network = Bottleneck(size=2, encoder=relu(), decoder=relu())
    counts: Any = {"inputs": 3, "outputs": 1, "width": 20, changed: 0}
    with pytest.raises(ValueError, match=f"{changed} must be a whole number of 1 or more, not 0"):
        sample(network, seed=Seed(0), **counts)


@pytest.mark.parametrize("x", [np.ones((2, 5)), np.ones(3), np.full((1, 3), np.nan), X + 1j])
def test_inputs_that_cannot_be_evaluated_are_refused(x: Any):
    trained = simulation()
    with pytest.raises((ValueError, TypeError), match=r"inputs|complex"):
        trained.evaluate(trained.start(), x)


def test_batches_are_epochs_wherever_one_begins():
    batches = Batches(10, 4, Seed(3))
    whole = batches.some(0, 25).ravel()
    assert all(sorted(epoch) == list(range(10)) for epoch in whole.reshape(10, 10))
    assert (batches.some(7, 5) == batches.some(0, 12)[7:]).all()
    assert (whole[:10] != whole[10:20]).any()


@pytest.mark.parametrize("some", [[], [0.5], [True, False, True], [[0]]])
def test_examples_that_are_no_row_have_no_ntk(some: Any):
    started = simulation()
    with pytest.raises(ValueError, match="a row of numbers of training examples"):
        composed_ntk(started, started.start(), some)


def test_remarks_are_on_inputs_and_targets_that_go_together():
    for x, y in ((X, Y[:2]), (X[0], Y)):
        with pytest.raises(ValueError, match="do not go with targets"):
            remarks(x, y)


def test_remarks():
    x = np.vstack([X, X[:1], np.zeros((2, 3))])
    assert remarks(X, Y) == []
    zero, equal = remarks(x, np.arange(6.0)[:, None])
    assert zero.startswith("2 of the training inputs are zero")
    assert equal == (
        "training inputs 0 and 3 are equal and their targets are not (pairs in all: 2):"
        " the training loss cannot reach 0"
    )
    assert remarks(np.vstack([X, X[1:]]), np.ones((5, 1))) == [
        "training inputs 1 and 3 are equal, and so are their targets (pairs in all: 2): such an"
        " example has the weight of two"
    ]
    assert remarks(X[:1], Y[:1]) == [
        "there is one training example: all other outputs are extrapolation"
    ]
