"""Random small documents over models, data, stages and options, and over networks of layers: none
ends in a bare exception, and what each found is drawn at 80 and at 120 columns."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from random_networks import network_of
from random_runs import OFTEN, judge, write_files

SEEDS, MORE = 20, 2000
NETWORKS = 300
GROUP = 20
"""Seeds of a test; what they compiled is let go of after it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("random")
    write_files(folder)
    before = os.environ.get("CEFLOW_DATA")
    os.environ["CEFLOW_DATA"] = str(folder)
    yield folder
    os.environ.pop("CEFLOW_DATA")
    if before is not None:
        os.environ["CEFLOW_DATA"] = before


def judge_all(first: int, files: Path, share: float = 1.0) -> None:
    for seed in range(first, first + GROUP):
        judge(seed, files, share)
    jax.clear_caches()


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_a_document_is_refused_or_done_or_ends_in_a_sentence(first: int, files: Path):
    judge_all(first, files, OFTEN)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, MORE, GROUP))
def test_so_are_many_more(first: int, files: Path):
    judge_all(first, files)


@pytest.mark.parametrize("seed", [8, 9, 10])
def test_a_network_of_layers_is_done(seed: int, files: Path):
    assert judge(seed, files / "few", make=network_of)[1] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, NETWORKS, GROUP))
def test_so_are_many_networks(first: int, files: Path):
    for seed in range(first, first + GROUP):
        judge(seed, files / "networks", make=network_of)
    jax.clear_caches()
