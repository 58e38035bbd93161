"""Examples that are read ahead: the steps are those of examples that are held, bit for bit."""

import threading
from typing import Any

import equinox as eqx
import numpy as np
import pytest
from small_trainings import ENSEMBLE, EXAMPLES, MEMBER, assert_equal, trained

from ceflow.training import Held, Streamed
from ceflow.training.steps import advance, copied

STEPS = 11
"""More than four epochs of 10 examples in batches of 4."""


def streamed(options: dict[str, Any], at_once: int, reads: list[Any]) -> tuple[Streamed, Any]:
    whole, start = trained(**options)
    empty = whole.x[:0], whole.y[:0]
    trainer = eqx.tree_at(lambda t: (t.x, t.y), trained(**options, fed=True)[0], empty)
    x, y = np.asarray(whole.x), np.asarray(whole.y)

    def read(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reads.append((threading.current_thread().name, rows))
        return x[rows], y[rows]

    feed = Streamed(trainer, read, examples=EXAMPLES, steps=STEPS, at_once=at_once)
    return feed, start


def taken(feed: Any, replicas: Any, first: int, last: int) -> tuple[Any, np.ndarray]:
    """Take the steps from one to another, two at a time."""
    replicas, losses = copied(replicas), []
    with feed:
        while first < last:
            trainer, place, there = feed.at(first)
            count = min(2, there, last - first)
            replicas, some = advance(trainer, replicas, place, count)
            losses.append(np.asarray(some))
            first += count
    return replicas, np.concatenate(losses)


CASES: dict[str, dict[str, Any]] = {
    "one": {"model": MEMBER},
    "several": {"model": ENSEMBLE, "seeds": (0, 1, 2), "rule": {"kind": "adam"}},
    "groups": {"model": MEMBER, "seeds": (0, 1, 2), "together": 2},
    "by calls": {"model": MEMBER, "seeds": (4, 5), "by_calls": True},
    "augmented": {"model": MEMBER, "augment": ("crop", "flip"), "image": (1, 1, 3)},
}


@pytest.mark.parametrize(
    ("name", "at_once"),
    [("one", 1), ("several", 3), ("by calls", 20), ("groups", 3), ("augmented", 3)],
)
def test_steps_are_those_of_examples_that_are_held(name: str, at_once: int):
    trainer, start = trained(**CASES[name])
    held, its_losses = taken(Held(trainer), start, 0, STEPS)
    feed, start = streamed(CASES[name], at_once, [])
    found, losses = taken(feed, start, 0, STEPS)
    np.testing.assert_array_equal(losses, its_losses)
    assert_equal(found, held)


@pytest.mark.parametrize("cut", [1, 3, 4])
def test_a_training_goes_on_in_the_middle_of_what_is_read(cut: int):
    """As after an interruption: with a new feed, which reads a chunk from its first step on."""
    feed, start = streamed(CASES["several"], 3, [])
    whole, losses = taken(feed, start, 0, STEPS)
    part, first = taken(streamed(CASES["several"], 3, [])[0], start, 0, cut)
    part, second = taken(streamed(CASES["several"], 3, [])[0], part, cut, STEPS)
    np.testing.assert_array_equal(losses, np.concatenate([first, second]))
    assert_equal(part, whole)


def test_no_example_is_read_twice_and_one_chunk_is_read_ahead():
    reads: list[Any] = []
    feed, _ = streamed(CASES["one"], 3, reads)
    with feed:
        feed.at(0)
        feed.at(2)
    assert len(reads) in (3, 4, 5, 6)  # of the second chunk, what was read before the end
    assert all(name.startswith("ceflow-feed") for name, _ in reads)
    reads.clear()
    feed, start = streamed(CASES["one"], 3, reads)
    taken(feed, start, 0, STEPS)
    rows = np.concatenate([rows for _, rows in reads])
    assert len(rows) == STEPS * 4
    assert sorted(rows[:EXAMPLES]) == list(range(EXAMPLES))


def test_what_the_reader_raises_is_raised_at_its_step():
    feed, _ = streamed(CASES["one"], 2, [])

    def broken(rows: np.ndarray) -> Any:
        raise ValueError("a corrupt image")

    feed._read = broken
    with feed, pytest.raises(ValueError, match="a corrupt image"):
        feed.at(0)
