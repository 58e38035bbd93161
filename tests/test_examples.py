"""Every spec in examples/ runs to its end, and says what it is there to say."""

import json
import os
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

import ceflow
from ceflow.spec import Cifar10, Idx

EXAMPLES = Path(__file__).parents[1] / "examples"
SPECS = sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.toml"))
"""Of every example: its path below examples/."""


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory):
    """Run an example, once a session; skip one whose data are not here."""
    folder = tmp_path_factory.mktemp("examples")

    @cache
    def run(name: str) -> ceflow.Run:
        document = ceflow.load(EXAMPLES / name)
        if isinstance(document.data, Idx | Cifar10) and "CEFLOW_DATA" not in os.environ:
            pytest.skip(f"{name} needs data: set CEFLOW_DATA")
        return ceflow.run(document, mkdtemp(dir=folder))

    return run


def test_there_are_examples():
    figures = {"collegial/fig2-neural-mean-kernel.toml", "collegial/fig3-primal-dual.toml"}
    assert {"quickstart.toml", *figures} <= set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_example_runs_to_its_end(example, name):
    run, document = example(name), ceflow.load(EXAMPLES / name)
    of_runs = run.results.values() if document.sweep else [run.results]
    assert all(list(results) == list(document.stages) for results in of_runs)
    assert json.loads((run.path / "run.json").read_text())["state"] == "done"


@pytest.mark.parametrize("name", SPECS)
def test_example_names_its_schema(name):
    path = EXAMPLES / name
    first = path.read_text().splitlines()[0]
    schema = (path.parent / first.removeprefix("#:schema ")).resolve()
    assert schema == EXAMPLES.parent / "schemas" / "ceflow.schema.json"


@pytest.mark.parametrize("name", SPECS)
def test_names_of_examples_are_those_of_their_files(name):
    assert ceflow.load(EXAMPLES / name).name == Path(name).stem


def test_figure_3_of_the_paper(example):
    found = example("collegial/fig3-primal-dual.toml").results["paper"]
    assert found["primal"]["widths"] == found["dual"]["widths"] == [48] * 5
    assert (found["primal"]["multiplicity"], found["dual"]["multiplicity"]) == (30, 12)
    assert round(found["dual"]["efficiency"], 2) == 2.44


def test_figure_3_with_the_exact_alpha(example):
    results = example("collegial/fig3-primal-dual.toml").results
    assert 3.3 < results["alpha"]["alpha"] < 3.5
    assert results["exact"]["alpha"] == results["alpha"]["alpha"]
    assert results["exact"]["primal"]["widths"] == [46] * 5


def test_figure_2_of_the_paper(example):
    *narrow, wide = example("collegial/fig2-neural-mean-kernel.toml").results.values()
    distances = [results["ensemble"]["distance"] for results in narrow]
    slope = np.polyfit(np.log([1, 4, 16, 64]), np.log(distances), 1)[0]
    # lemma 1: the deviation falls as the root of m. A distance of four draws has an error of some
    # 20 %, so a slope over a factor of 64 one of about 0.07; three of those, on a fixed seed.
    assert slope == pytest.approx(-0.5, abs=0.2)
    means = [np.array(results["mean"]["profile"]["kernel"]) for results in (narrow[0], wide)]
    errors = [np.array(results["mean"]["profile"]["stderr"]) for results in (narrow[0], wide)]
    # the mean hardly depends on the width: the diagonal not at all, the rest by some 1/1000. Of 41
    # correlated entries; the wide error is that of two draws, so the 1 % of the narrow one twice.
    assert (np.abs(means[0] - means[1]) < 5 * np.hypot(errors[0], errors[0])).all()


def test_quickstart_shows_the_smooth_ensemble_smoother_and_the_compact_one_as_smooth(example):
    results = example("quickstart.toml").results
    spread = {name: results[name]["spread"] for name in ("baseline", "smooth", "compact")}
    law = results["best"]
    ratio = (law["primal"]["rounded"]["variance"] / law["baseline"]["variance"]) ** 0.5
    assert ratio < 0.75  # else the example would have nothing to show
    # A deviation over 16 draws has a relative error of 1/sqrt(30), 18 %, were the draws of one
    # number; a ratio of two of them 26 %. The law is of K^aa(x, x), not of the mean over outputs
    # of the whole matrix, which is of the same order. Twice the error, on a fixed seed.
    assert spread["smooth"] / spread["baseline"] == pytest.approx(ratio, rel=0.52)
    assert spread["smooth"] < 0.85 * spread["baseline"]
    assert spread["compact"] / spread["baseline"] == pytest.approx(1, rel=0.52)
    assert results["best"]["dual"]["parameters"] < 0.5 * results["best"]["baseline"]["parameters"]
