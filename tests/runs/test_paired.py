"""Means over seeds: values at equal x, and differences within seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from stubs import Untyped, stub

import ceflow
from ceflow.blocks import Note, Table
from ceflow.history import History
from ceflow.runs import read_collected
from ceflow.runs.describing import collected_answer, collected_blocks
from ceflow.runs.paired import difference_from, paired_difference
from ceflow.spec import Collect, Document, Flow, Gaussian, Mlp, Sweep

SEEDS, WIDTHS = [0, 1, 2], [8, 16]


def test_the_interval_is_that_of_the_paired_t_test():
    one, two = np.random.default_rng(0).normal(size=(2, 6))
    own, others = (dict(zip("abcdef", each, strict=True)) for each in (one, two))
    found = difference_from(8, "16", own, others)
    assert found is not None
    tested = stats.ttest_rel(one, two).confidence_interval(0.95)
    assert found.interval == pytest.approx(tuple(tested), rel=1e-12)
    assert found.stderr == pytest.approx(stats.sem(one - two), rel=1e-12)
    assert (found.pairs, found.mean) == (6, pytest.approx((one - two).mean(), rel=1e-12))


def test_the_interval_holds_the_mean_in_95_percent():
    """Of 2,000 draws of three pairs: 4 standard errors of a share are 0.02 (error rate 6e-5)."""
    drawn = 1 + np.random.default_rng(1).normal(size=(2000, 3))
    intervals = [paired_difference(list(each)).interval for each in drawn]
    held = np.mean([low < 1 < high for low, high in filter(None, intervals)])
    assert held == pytest.approx(0.95, abs=0.02)


def test_runs_without_a_partner_are_left_out():
    found = difference_from(8, "16", {"0": 3.0, "1": 5.0, "2": 9.0}, {"1": 1.0, "2": 2.0, "3": 0.0})
    assert found is not None
    assert (found.mean, found.pairs) == (5.5, 2)
    assert difference_from(8, "16", {"0": 3.0}, {"1": 1.0}) is None
    assert difference_from(8, "8.0", {"0": 3.0}, {"0": 3.0}) is None


def losses(width: int, seed: int) -> list[dict[str, float]]:
    """Training losses that halve, and test losses of `train + seed/4 + 1/width`."""
    trains = [1.0, 0.5, 0.25][: 2 if (width, seed) == (16, 2) else None]
    return [
        {"time": t, "train_loss": x, "test_loss": x + seed / 4 + 1 / width}
        for t, x in enumerate(trains)
    ]


@pytest.fixture
def halving(monkeypatch):
    """Flow stages with such histories; that of width 8 and seed 1 ends without a test loss."""

    def found(job):
        width, seed = job.model.widths[0], job.plan.document.seed
        lines = losses(width, seed)
        values: dict[str, Any] = {"ended": "unstable" if seed == 2 else "finished"}
        if (width, seed) != (8, 1):
            values["test_loss"] = lines[-1]["test_loss"]
        return Untyped(train_loss=1.0, history=History.of_lines(lines), **values)

    stub(monkeypatch, Flow, run=found, describe=lambda result: [])


def collected(folder: Path, **keys: Any) -> tuple[ceflow.Run, Any]:
    paths: dict[str, Any] = {"model.widths": [[n, n] for n in WIDTHS], "seed": SEEDS}
    document = Document(
        data=Gaussian(train=3, test=3, inputs=2),
        model=Mlp(widths=[8, 8], activation="erf"),
        stages={"flow": Flow(time=4.0)},
        sweep=Sweep(**paths),
        collect={"c": Collect(y="stages.flow.test_loss", over="seed", **keys)},
    )
    run = ceflow.run(document, folder / "out")
    return run, read_collected({"collect": run.collected})[0]["c"]


def test_values_at_equal_x_are_on_the_line_between_moments(halving, tmp_path):
    """At 0.375 the test loss is 0.375 + seed/4 + 1/width; width 16 is not there at seed 2."""
    x = "stages.flow.train_loss"
    _, found = collected(tmp_path, x=x, by="model.widths", at=[0.375, 0.1], against=8)
    narrow, wide, never, _ = found.at
    assert (narrow.by, narrow.y, narrow.runs, narrow.missed) == ("8", 0.75, 3, 0)
    assert narrow.stderr == pytest.approx(stats.sem([0, 0.25, 0.5]), rel=1e-12)
    assert (wide.y, wide.runs, wide.missed) == (0.5625, 3, 1)
    assert (wide.difference.mean, wide.difference.stderr, wide.difference.pairs) == (-0.0625, 0, 2)
    assert narrow.difference is None
    assert (never.y, never.missed) == (None, 3)
    answer, head, values, said, differences, *_ = collected_blocks("c", found)
    assert isinstance(answer, Note)
    assert "1 is below 0 and 0 above it (95 %)" in collected_answer(found)
    assert isinstance(values, Table)
    assert values.columns == ("train_loss", "8", "16")
    assert values.rows[0] == ("0.375", "0.75 ± 0.14", "0.56 ± 0.12 (2 of 3)")
    assert isinstance(head, Note)
    assert head.text.endswith("mean over seed ± s.e.; no run comes to train_loss 0.1")
    assert len(values.rows) == 1
    assert isinstance(said, Note)
    assert "less that of 8: differences within seed ± s.e., of 2 pairs" in said.text
    assert isinstance(differences, Table)
    assert differences.rows == (("0.375", "-0.0625 ± 0 *"),)


def test_numbers_are_compared_within_seeds_and_what_is_missing_is_counted(halving, tmp_path):
    """At the end: width 8 has 0.25 + seed/4 + 1/8 at seeds 0 and 2, width 16 has 0.25 + 1/16 at
    seed 0, 0.5 + 1/16 at seed 1, and 1 + 1/16 at seed 2, which ended early."""
    run, found = collected(tmp_path, x="model.widths", against=8)
    narrow, wide = found.means
    assert (narrow.runs, narrow.missed) == (2, 1)
    assert wide.difference.pairs == 2
    differences = [(0.25 + 1 / 16) - (0.25 + 1 / 8), (1 + 1 / 16) - (0.25 + 0.5 + 1 / 8)]
    assert wide.difference.mean == pytest.approx(np.mean(differences), rel=1e-12)
    assert wide.difference.stderr == pytest.approx(stats.sem(differences), rel=1e-12)
    _, table, *_ = collected_blocks("c", found)
    assert isinstance(table, Table)
    assert [row[2] for row in table.rows] == ["2 of 3", 3]
    assert "2 of 6 runs of 'flow' became unstable" in found.warnings[-1]
    frame = run.frame("collect.c")
    np.testing.assert_allclose(frame["difference"][1], np.mean(differences))
    assert frame["pairs"][1] == 2


def test_where_a_level_is_reached_is_compared_within_seeds(halving, tmp_path):
    """At seed 0 width 8 comes to 0.6 from 0.625 at moment 1, which has 0.375 at moment 2, and width
    16 from 1.0625 at moment 0, which has 0.5625 at moment 1; width 8 does not at seed 1."""
    _, found = collected(tmp_path, x="stages.flow.time", by="model.widths", level=0.6, against=8)
    narrow, wide = found.reached
    assert (narrow.x, narrow.missed) == (pytest.approx(1.1), 2)
    assert (wide.missed, wide.difference.pairs) == (1, 1)
    assert wide.difference.mean == pytest.approx(0.925 - 1.1)
    assert wide.difference.interval is None
