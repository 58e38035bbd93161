"""Tables in the columns of a terminal: whatever the width, nothing of them is cut."""

import numpy as np
import pytest
from rich.console import Console

from ceflow.blocks import Table, number
from ceflow.report.tables import fitted, needed
from ceflow.report.terminal import _block

WORDS = (
    "train.train_loss",
    "a",
    "widths=500-500-500, seed=3",
    "first time at which it comes to 0.1",
)


def random_table(seed: int) -> Table:
    """Some numbers, names and sentences under short and long heads."""
    random = np.random.default_rng(seed)
    columns, rows = random.integers(2, 14), random.integers(1, 9)
    kinds = random.integers(0, 3, columns)

    def cell(kind: int) -> str | float:
        scale = 10.0 ** random.integers(-12, 12)
        return float(random.normal() * scale) if kind else str(random.choice(WORDS))

    heads = tuple(str(random.choice(WORDS)) for _ in range(columns))
    return Table(heads, tuple(tuple(map(cell, kinds)) for _ in range(rows)))


def printed(table: Table, width: int) -> str:
    console = Console(width=width, file=None, color_system=None)
    with console.capture() as capture:
        console.print(_block(table))
    return capture.get()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_nothing_is_cut_and_nothing_is_too_wide(width):
    for seed in range(40):
        table = random_table(seed)
        assert all(needed(part) <= width for part in fitted(table, width))
        text = printed(table, width)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= width
        shown = "".join(text.split())
        for value in (cell for row in table.rows for cell in row if not isinstance(cell, str)):
            assert number(value) in shown


def test_a_table_that_fits_stays_as_it_is():
    table = Table(("a", "b"), (("x", 1000.0), ("y", 0.25)))
    assert fitted(table, 8) == [Table(("a", "b"), (("x", "1,000"), ("y", "0.25")))]


def test_long_numbers_are_not_broken_but_the_table_turned():
    table = Table(("run", *(f"k{i}" for i in range(6))), (("one", *[1.234e-05] * 6),))
    (turned,) = fitted(table, 30)
    assert turned.columns == ("run", "one")
    assert turned.rows == tuple((f"k{i}", "1.234e-05") for i in range(6))


def test_sentences_are_broken_at_spaces():
    sentence = "not reached by step 400, where it was 0.3"
    (broken,) = fitted(Table(("run", "first step"), (("a", sentence),)), 30)
    assert broken.rows == (("a", "not reached by step 400,\nwhere it was 0.3"),)
