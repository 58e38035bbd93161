"""What a notebook shows, and results as columns."""

from xml.etree import ElementTree

import numpy as np
import pytest

import ceflow
from ceflow.blocks import Curve, Note, Series, Table
from ceflow.blocks.html import section
from ceflow.spec import Document, Gaussian, Kernel, Mlp, Variance


def test_blocks_are_html_with_every_text_escaped():
    odd = "<b>&\x1b[2J"
    blocks = [
        Note(odd, warning=True),
        Table(("name", odd, "n"), ((odd, 1.5, 2),)),
        Curve("c", odd, odd, odd, (Series(odd, (1.0, 2.0), (3.0, 4.0)),)),
    ]
    text = section(odd, blocks)
    tree = ElementTree.fromstring(f"<div>{text}</div>")
    assert tree.find("h4") is not None
    assert tree.find("b") is None
    assert "\x1b" not in text
    assert [cell.text for cell in tree.findall("table/tr/td")][1:] == ["1.5", "2"]
    assert tree.find("{http://www.w3.org/2000/svg}svg") is not None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ceflow.run(
        Document(
            model=Mlp(widths=[8, 8]),
            data=Gaussian(train=4, inputs=2),
            stages={"alpha": Variance(), "k": Kernel()},
        ),
        tmp_path_factory.mktemp("html") / "run",
    )


def test_a_run_and_a_result_show_themselves_as_in_the_terminal(run):
    text = run._repr_html_()
    assert f"alpha = {run.results['alpha'].alpha:.4f}" in text
    assert "<h4>k  kernel</h4>" in text
    alpha = run.results["alpha"]
    assert alpha._repr_html_().count("<tr>") == 1 + len(alpha.points)


def test_rows_of_a_stage_are_columns(run):
    columns = run.frame("alpha")
    assert np.allclose(columns["ratio"], [point.ratio for point in run.results["alpha"].points])
    with pytest.raises(ValueError, match="no rows"):
        run.frame("k")
    with pytest.raises(KeyError):
        run.frame("nothing")
