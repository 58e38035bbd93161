"""Tables of results: what is computed of their networks, and what is wrong with their lines."""

import json
import math
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import ceflow
from ceflow.cli import main
from ceflow.dynamics import joint_correlation, rank_correlation
from ceflow.runs import prepare, read_collected
from ceflow.runs.describing import collected_answer, collected_blocks

RESNEXT = 'model = {type = "resnext", blocks = [3, 3, 3], base_width = 64}\n'
ASKED = 'table = "t.csv"\nx = "variance"\ny = "error"\nalpha = 3.1\n'
TABLE = """network,depth,error,parameters
8x64d,29,3.65,34427000
 37 × 10d ,29,3.82,13743646

1x64d,20,4.33,3446602
16x8d,20,3.94,3489098
64x2d,20,4.38,
32x4d,20,,3295562
"""


def spec(folder: Path, table: str = TABLE, asked: str = ASKED, model: str = RESNEXT) -> Path:
    (folder / "t.csv").write_text(table, encoding="utf-8")
    path = folder / "spec.toml"
    path.write_text(f"{model}[collect.c]\n{asked}")
    return path


def run(folder: Path, *texts: str) -> ceflow.Run:
    return ceflow.run(ceflow.load(spec(folder, *texts)), folder / "out")


def test_costs_and_variances_are_those_of_the_networks(tmp_path):
    found = run(tmp_path).collected["c"]
    rows = {row["network"]: row for row in found["rows"]}
    # the published counts of theory.md, and CE eq. 9 and 11 by hand
    assert rows["37x10d"]["parameters"] == 13_743_646
    assert rows["1x64d"]["parameters"] == 3_446_602
    total = 1 / 256 + 1 / (9 * 10) + 1 / 10
    assert rows["37x10d"]["fan_in_sum"] == pytest.approx(total, rel=1e-12)
    assert rows["37x10d"]["variance"] == pytest.approx(math.expm1(3.1 * total) / 37, rel=1e-12)
    assert rows["8x64d"]["said"] == {
        "network": "8x64d", "depth": 29, "error": 3.65, "parameters": 34427000
    }  # fmt: skip
    assert [row["line"] for row in found["rows"]] == [2, 3, 5, 6, 7, 8]
    assert rows["8x64d"]["y_rank"] == 1
    assert rows["32x4d"]["y_rank"] is None
    (said,) = found["warnings"]
    assert said == "1 of 6 lines have no error, and are left out"
    frame = ceflow.open(tmp_path / "out").frame("collect.c")
    assert list(np.asarray(frame["parameters"]))[1] == 13_743_646


def test_numbers_that_are_not_those_of_the_network_are_said(tmp_path):
    table = TABLE.replace("3446602", "34.4")
    (said, _) = sorted(run(tmp_path, table).collected["c"]["warnings"], reverse=True)
    assert "parameters in 1 of 6 lines is not that of the network" in said
    assert "line 5 has 34.4 for 1x64d, which has 3,446,602" in said


def test_columns_say_the_form_of_each_network(tmp_path):
    table = (
        "cardinality,base_width,blocks,stem,outputs,alpha,error\n"
        "1,64,3-4-6-3,imagenet,1000,2.0,23.9\n32,4,3 4 23 3,imagenet,1000,3.0,21.2\n"
    )
    rows = run(tmp_path, table).collected["c"]["rows"]
    assert rows[0]["parameters"] == 25_557_032  # torchvision's resnet50
    total = 1 / 256 + 1 / (9 * 64) + 1 / 64
    assert rows[0]["variance"] == pytest.approx(math.expm1(2 * total))
    mlp = 'model = {type = "mlp", widths = [9, 9], inputs = 5, outputs = 1}\n'
    table = "network,error\n1x9,0.1\n4x3,0.2\n2x3-2,0.3\n"
    (tmp_path / "mlp").mkdir()
    rows = run(tmp_path / "mlp", table, ASKED, mlp).collected["c"]["rows"]
    assert [row["parameters"] for row in rows] == [45 + 81 + 9, 4 * (15 + 9 + 3), 2 * (15 + 6 + 2)]
    assert rows[2]["fan_in_sum"] == pytest.approx(1 / 3 + 1 / 2)


def test_alpha_may_be_that_of_a_stage(tmp_path):
    asked = ASKED.replace("alpha = 3.1", 'variance = "a"')
    model = RESNEXT + '[stages.a]\ntype = "variance"\nratios = [0.5, 1.0]\ndraws = 100\n'
    done = run(tmp_path, TABLE, asked, model)
    found = done.collected["c"]
    assert found["alpha"] == done.results["a"]["alpha"]


def test_lines_of_one_network_are_averaged(tmp_path):
    table = "network,depth,seed,error\n8x64d,29,0,3\n8x64d,29,1,5\n1x64d,29,0,7\n"
    found = run(tmp_path, table, ASKED + 'over = "seed"\n').collected["c"]
    assert [(mean["y"], mean["runs"]) for mean in found["means"]] == [(4, 2), (7, 1)]
    assert found["means"][0]["stderr"] == pytest.approx(1.0)


EVERY = "network,depth,error,group\n" + "".join(
    f"{m}x{d}d,20,{4 + (m * 7 % 5) / 3 + d / 90},{'ab'[m * d > 64]}\n"
    for m, d in [(1, 64), (2, 32), (4, 16), (8, 8), (2, 64), (4, 32), (8, 16), (16, 8), (32, 4)]
)


def test_correlations_of_groups_and_of_all_of_them_say_their_permutations(tmp_path):
    asked = 'by = "group"\ncorrelate = "spearman"\npermutations = 2000\n'
    found = run(tmp_path, EVERY, ASKED + asked).collected["c"]
    first, second = found["correlations"]
    points = {by: [p for p in found["points"] if p["by"] == by] for by in "ab"}
    for by, each in (("a", first), ("b", second)):
        expected = rank_correlation(*([p[key] for p in points[by]] for key in "xy"))
        assert each["coefficient"] == expected.coefficient
        assert each["p_value"] == pytest.approx(expected.p_value)
        assert each["permutations"] == math.factorial(len(points[by]))
        assert each["resolution"] == 1 / each["permutations"]
    joint = found["joint"]
    mean = (first["coefficient"] + second["coefficient"]) / 2
    assert (joint["groups"], joint["permutations"]) == (2, 2001)
    assert joint["coefficient"] == pytest.approx(mean)
    collected = read_collected({"collect": {"c": found}})[0]["c"]
    said = " ".join(str(block) for block in collected_blocks("c", collected))
    assert "all 24 of 4 networks, so none below 0.042; all 120 of 5 networks" in said
    assert "2,000 random permutations within groups, so none below 0.0005" in said
    assert "in the mean over 2 groups" in collected_answer(collected)


def test_a_joint_p_value_is_that_of_all_permutations():
    """Against brute force, and by drawing: 4000 draws of p have an error of 0.008; 5 of those."""
    x, y = [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]
    u, v = [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]

    def mean(one, other):
        return np.mean([np.corrcoef(x, one)[0, 1], np.corrcoef(u, other)[0, 1]])

    pairs = product(permutations(y), permutations(v))
    expected = np.mean([abs(mean(*pair)) >= mean(y, v) - 1e-12 for pair in pairs])
    exact = joint_correlation([(x, y), (u, v)])
    assert (exact.exact, exact.permutations) == (True, 576)
    assert exact.p_value == pytest.approx(expected)
    drawn = joint_correlation([(x, y), (u, v)], most=500)
    many = joint_correlation([(x, y), (u, v)], most=575)
    assert not drawn.exact
    assert many.resolution == 1 / 576
    several = [
        joint_correlation([(x, y), (u, v)], most=500, random=np.random.default_rng(seed)).p_value
        for seed in range(8)
    ]
    assert np.mean(several) == pytest.approx(expected, abs=0.04)


def test_a_partial_correlation_of_logarithms_is_that_of_regressions(tmp_path):
    asked = 'given = "parameters"\ncorrelate = "logarithms"\n'
    found = run(tmp_path, EVERY, ASKED + asked).collected["c"]
    x, y, z = (np.log([p[key] for p in found["points"]]) for key in ("x", "y", "given"))
    design = np.stack([np.ones_like(z), z], 1)
    left = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y)]
    expected = np.corrcoef(left[0], left[1])[0, 1]
    assert found["correlations"][0]["coefficient"] == pytest.approx(expected, rel=1e-9)


LINES = {
    "a name": ("8-64,29,1,", 2, "'8-64' is no name of a network: members x width, as 8x64d"),
    "a prefix": ("ResNeXt-29 8x64d,29,1,", 2, "is no name of a network"),
    "no member": ("0x64d,29,1,", 2, "a count that is not from 1 to 10^12"),
    "widths": ("2x3-4-5,29,1,", 2, "has 3 widths, the [model] 1"),
    "a depth": ("8x64d,30,1,", 2, "depth 30 is none of a resnext of 3 stages: 9 times the blocks"),
    "half a depth": ("8x64d,29.5,1,", 2, "depth '29.5' is no whole number"),
    "no depth": ("8x64d,,1,", 2, "depth '' is no number"),
    "a word": ("8x64d,29,n/a,", 2, "error 'n/a' is no number"),
    "percent": ("8x64d,29,4.3%,", 2, "error '4.3%' is no number"),
    "nan": ("8x64d,29,nan,", 2, "error 'nan' is no number"),
    "a cell less": ("8x64d,29", 2, "line 2, has 2 cells, the first line 4"),
    "repeated": ("8x64d,29,1,\n8x64d,29,2,", 3, "8x64d is repeated: line 2 is about the same"),
}


@pytest.mark.parametrize("name", LINES)
def test_what_is_wrong_with_a_line_is_said_there(name, tmp_path):
    lines, number, message = LINES[name]
    path = spec(tmp_path, f"network,depth,error,seed\n{lines}\n")
    done = CliRunner().invoke(main, ["check", str(path), "--json"])
    assert done.exit_code == 2
    (fault,) = json.loads(done.stdout)
    assert message in fault["message"]
    if "cell less" not in name:
        assert (Path(fault["file"]).name, fault["line"]) == ("t.csv", number)


def test_every_wrong_line_is_said_at_once(tmp_path):
    path = spec(tmp_path, "network,depth,error\n8-64,29,1\n8x64d,29,one\n8x64d,28,1\n")
    with pytest.raises(ceflow.SpecError) as caught:
        prepare(ceflow.compile(ceflow.load(path)))
    assert [fault.place.line for fault in caught.value.faults if fault.place] == [2, 3, 4]
    assert "    3 | 8x64d,29,one\n      |          ^^^" in str(caught.value)


DOCUMENTS = {
    "a column": (ASKED.replace('"error"', '"eror"'), "the table has no column 'eror'", "error"),
    "a group": (ASKED + 'by = ["dataset"]\n', "no column 'dataset'", ""),
    "no alpha": (ASKED.replace("alpha = 3.1", ""), "variance of these networks needs alpha", "al"),
    "no file": (ASKED.replace("t.csv", "u.csv"), "u.csv is not a file", "t.csv"),
    "both": (ASKED + 'variance = "a"\n', "variance and alpha exclude each other", "leave one"),
    "a stage": (ASKED.replace("alpha = 3.1", 'variance = "a"'), "'a' is not a variance stage", ""),
    "no line": (ASKED + "where = {depth = [11]}\n", "no line of the table is asked for", ""),
    "twice": (ASKED + 'by = "error"\n', "error is named at y, and at by again", "leave"),
    "given": (ASKED + 'given = "parameters"\n', "given is the third number", "correlate"),
    "few": (ASKED + "permutations = 200\n", "permutations are for the p values", "correlate"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_wrong_with_the_document_is_said_at_its_key(name, tmp_path):
    asked, message, help = DOCUMENTS[name]
    done = CliRunner().invoke(main, ["check", str(spec(tmp_path, TABLE, asked)), "--json"])
    (fault,) = json.loads(done.stdout)
    assert message in fault["message"]
    assert help in fault["help"]


TABLES = {
    "no network": ("name,error\n8x64d,1\n", RESNEXT, "has no column 'network'"),
    "no lines": ("network,depth,error\n", RESNEXT, "has no lines"),
    "a column twice": ("network,error,error\n8x64d,1,2\n", RESNEXT, "names the column 'error' tw"),
    "a depth of an mlp": (
        "network,depth,error\n8x64d,29,1\n",
        'model = {type = "mlp", widths = [3, 3], inputs = 2, outputs = 1}\n',
        "the column 'depth' says the form of a resnext",
    ),
    "a sweep": (TABLE, RESNEXT + "[sweep]\nseed = [0, 1]\n", "a table is collected once"),
}


@pytest.mark.parametrize("name", TABLES)
def test_what_is_wrong_with_the_table_is_said(name, tmp_path):
    table, model, message = TABLES[name]
    done = CliRunner().invoke(main, ["check", str(spec(tmp_path, table, ASKED, model)), "--json"])
    (fault,) = json.loads(done.stdout)
    assert message in fault["message"]


def test_semicolons_and_decimal_commas_are_read(tmp_path):
    european = TABLE.replace(",", ";").replace(".", ",")
    assert "8x64d;29;3,65;34427000" in european
    one = run(tmp_path, european).collected["c"]
    (tmp_path / "b").mkdir()
    two = run(tmp_path / "b").collected["c"]
    assert one["rows"] == two["rows"]


COMMAS = {
    "both": (
        "network;depth;error\n8x64d;29;3,65\n37x10d;29;3.8\n",
        3,
        11,
        "'3.8' has a point, and",
    ),
    "a word": ("network;depth;error\n8x64d;29;3,6x\n", 2, 10, "error '3,6x' is no number"),
    "below 0": ("network;depth;error\n8x64d;-2,5;3,6\n", 2, 7, "depth '-2.5' is not above 0"),
    "quoted": ('network,depth,error\n8x64d,29,"3,65"\n', 2, 11, "error '3,65' is no number"),
}


@pytest.mark.parametrize("name", COMMAS)
def test_decimal_commas_that_are_not_clear_are_said_at_their_cell(name, tmp_path):
    table, line, column, message = COMMAS[name]
    done = CliRunner().invoke(main, ["check", str(spec(tmp_path, table)), "--json"])
    (fault,) = json.loads(done.stdout)
    assert message in fault["message"]
    assert (fault["line"], fault["column"]) == (line, column)


def test_commas_that_separate_and_are_decimal_are_said(tmp_path):
    table = "network,depth,error\n8x64d,29,3,65\n"
    done = CliRunner().invoke(main, ["check", str(spec(tmp_path, table)), "--json"])
    (fault,) = json.loads(done.stdout)
    assert "has 4 cells, the first line 3: separate cells by semicolons" in fault["message"]


def test_a_table_that_has_changed_is_read_again(tmp_path):
    before = run(tmp_path).collected["c"]["points"][0]["y"]
    assert before == 3.65
    assert run(tmp_path, TABLE.replace("3.65", "3.7")).collected["c"]["points"][0]["y"] == 3.7
    (tmp_path / "t.csv").unlink()
    assert ceflow.open(tmp_path / "out").collected["c"]["points"][0]["y"] == 3.7


def test_files_are_left_alone_without_data(tmp_path):
    path = spec(tmp_path)
    (tmp_path / "t.csv").unlink()
    assert CliRunner().invoke(main, ["check", str(path), "--no-data"]).exit_code == 0
