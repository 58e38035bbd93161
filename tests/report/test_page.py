"""A run as one HTML file: what stands in it, and that it needs nothing else."""

import json
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

import ceflow
from ceflow.blocks import Curve, Heatmap, Series
from ceflow.blocks.axes import MOST_TICKS, axis_over
from ceflow.blocks.chart import MOST_POINTS, chart
from ceflow.cli import main
from ceflow.report import compared, comparison_page, run_page, write_page
from ceflow.runs import reopen
from ceflow.store import PAGE, RunDirectory

HOSTILE = "</script><img src=x onerror=alert(1)>"
SPEC = f"""# Is it <b>so</b>? {HOSTILE}
# Or not?
#   n  <i>
#   1   2
# So.
#
# More of it.
name = "small"
data = {{source = "gaussian", inputs = 3, outputs = 1, train = 6, test = 2}} # random
model = {{type = "mlp", widths = [inf]}}
[stages.closed]
type = "flow"
time = 1.0
[stages.k]
type = "kernel"
ridge = 0.1
"""
SWEEP = """
data = {source = "gaussian", inputs = 3, outputs = 1, train = 6}
model = {type = "mlp", widths = [inf]}
stages = {flow = {type = "flow", time = 1.0}, k = {type = "kernel", spectrum = true}}
sweep = {"data.scale" = [0.5, 1.0]}
collect = {largest = {x = "data.scale", y = "stages.k.eigenvalue_max"}}
"""


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "small.toml").write_text(SPEC)
    arguments = ["run", str(folder / "small.toml"), "--out", str(folder / "run"), "--page"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return RunDirectory(folder / "run")


@pytest.fixture(scope="module")
def page(directory):
    return directory.read_text(PAGE)


def test_it_begins_with_the_question_and_the_answers(page):
    text = Page(page).text
    asked = text.index(f"Is it <b>so</b>? {HOSTILE} Or not?")
    assert "More of it." not in text[: text.index("closed")]
    assert "<pre>n  &lt;i&gt;\n1   2</pre>" in page  # a table stays one
    assert asked < text.index("So.")
    answer = text.index("The flow ended at mu t = 1 with a training loss of")
    regression = text.index("A regression with the analytic NTK has a mean squared error of")
    assert asked < answer < regression < text.index("network and stages")


def test_it_runs_nothing_but_its_own_script_and_loads_nothing(page):
    tags = Page(page).tags
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert [each for each in scripts if each.get("type") != "application/json"] == [{}]
    assert "img" not in {tag for tag, _ in tags}
    for _, attributes in tags:
        for key in ("src", "href"):
            assert re.match(r"#|data:", attributes.get(key) or "#")
        assert not any(key.startswith("on") for key in attributes)
    policy = next(each["content"] or "" for _, each in tags if "http-equiv" in each)
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_it_has_the_document_with_origins_and_the_costs_beside_the_forecast(directory, page):
    text = Page(page).text
    assert SPEC.splitlines()[-1] in text
    assert re.search(r"time = 1\.0 +# spec\.toml:13", text)
    assert "# default" in text
    forecast = directory.read_json("run.json")["forecast"]
    assert forecast.keys() == {"closed", "k"}
    assert all(each["seconds"] > 0 and each["memory"] > 1e6 for each in forecast.values())
    assert f"with ceflow {ceflow.__version__} installed" in text


def test_charts_have_the_numbers_of_the_run(directory, page):
    (data,) = map(json.loads, re.findall(r'<script type="application/json">(.*?)</script>', page))
    result = ceflow.open(directory.path).results["closed"]
    history, count = result.history, result.train_examples
    named = {series["label"]: series for series in data["series"]}
    assert named["training"]["x"] == pytest.approx(list(history["time"]))
    each = list(history["train_loss"] / count)  # of sums over examples
    assert named["training"]["y"] == pytest.approx(each, rel=1e-6)


def test_a_stage_that_is_done_again_removes_the_page(tmp_path):
    document = ceflow.loads(SPEC)
    path = ceflow.run(document, tmp_path / "run").path
    directory = RunDirectory(path)
    write_page(directory, reopen(directory))
    results = directory.read_json("results.json")
    results["stages"].pop("k")
    directory.write_json("results.json", results)
    ceflow.run(document, path)
    assert not directory.has(PAGE)


def test_an_unfinished_run_says_so_first(tmp_path):
    path = ceflow.run(ceflow.loads(SPEC), tmp_path / "run").path
    directory = RunDirectory(path)
    state = directory.read_json("run.json")
    state["state"] = "interrupted"
    state["stages"]["k"] = {"state": "interrupted", "error": "it was interrupted"}
    directory.write_json("run.json", state)
    text = Page(run_page(directory, reopen(directory))).text
    assert text.index("stage 'k' was interrupted") < text.index("closed flow")


def test_sweeps_have_their_runs_what_is_collected_and_curves_over_each_other(tmp_path):
    path = ceflow.run(ceflow.loads(SWEEP), tmp_path / "sweep").path
    done = CliRunner().invoke(main, ["page", str(path)])
    assert done.exit_code == 0, done.output
    text = Page((path / PAGE).read_text()).text
    for heading in ("runs side by side", "largest collect", "runs over each other"):
        assert heading in text
    assert "scale=0.5" in text


def test_comparisons_have_what_differs(tmp_path):
    runs = []
    for seed in (1, 2):
        document = ceflow.loads(SPEC).model_copy(update={"seed": seed})
        runs.append(str(ceflow.run(document, tmp_path / f"run{seed}").path))
    done = CliRunner().invoke(main, ["page", *runs, "--out", str(tmp_path / "both.html")])
    assert done.exit_code == 0, done.output
    text = Page((tmp_path / "both.html").read_text()).text
    assert "Comparison of run1, run2" in text
    assert "closed.train_loss" in text


def test_all_curves_of_a_comparison_are_there_and_what_is_missing_is_said(tmp_path):
    """Two stages have a curve of the same name; one result was changed afterwards."""
    document = ceflow.loads(
        SPEC.replace("[stages.k]", '[stages.b]\ntype = "flow"\ntime = 2.0\n[stages.k]')
    )
    paths = [str(ceflow.run(document, tmp_path / name).path) for name in "ab"]
    page = comparison_page(compared(paths))
    assert page.count('<figure class="chart"') == 2
    assert "what is missing" not in page
    assert comparison_page(compared([paths[0], paths[0]])).count('<figure class="chart"') == 2
    results = Path(paths[0]) / "results.json"
    results.write_text(results.read_text().replace('"train_mse": 0.', '"train_mse": 1.'))
    assert "its results were changed" in Page(comparison_page(compared(paths))).text


def test_a_document_that_was_changed_after_the_run_is_not_shown_as_given(tmp_path):
    directory = RunDirectory(ceflow.run(ceflow.loads(SPEC), tmp_path / "run").path)
    spec = directory.path / "spec.toml"
    spec.write_text(spec.read_text().replace("time = 1.0", "time = 3.0"))
    text = Page(run_page(directory, reopen(directory))).text
    assert "spec.toml was changed after the run" in text
    assert "time = 3.0" not in text
    assert "Save the document above" not in text


@pytest.mark.parametrize("name", ["document", "time-and-memory"])
def test_a_stage_may_have_the_name_of_a_part(tmp_path, name):
    document = ceflow.loads(SPEC.replace("stages.closed", f"stages.{name}"))
    directory = RunDirectory(ceflow.run(document, tmp_path / "run").path)
    tags = Page(run_page(directory, reopen(directory))).tags
    ids = [each["id"] for _, each in tags if "id" in each]
    assert len(ids) == len(set(ids))


def test_a_page_goes_to_a_pipe_and_leaves_a_device_alone(directory, tmp_path):
    printed = CliRunner().invoke(main, ["page", str(directory.path), "--out", "-"])
    assert printed.output.startswith("<!doctype html>")
    link = tmp_path / "link.html"
    link.symlink_to(tmp_path / "there.html")
    done = CliRunner().invoke(main, ["page", str(directory.path), "--out", str(link)])
    assert done.exit_code == 0
    assert link.is_symlink()
    assert (tmp_path / "there.html").read_text() == printed.output
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        done = CliRunner().invoke(main, ["page", str(directory.path), "--out", str(pipe)])
        assert done.exit_code == 0
        assert reader.communicate()[0] == printed.output
    assert pipe.is_fifo()


def test_a_page_that_cannot_be_written_costs_only_itself(tmp_path):
    (tmp_path / "small.toml").write_text(SPEC)
    out = tmp_path / "run"
    (ceflow.run(ceflow.loads(SPEC), out).path / PAGE / "full").mkdir(parents=True)
    done = CliRunner().invoke(
        main, ["run", str(tmp_path / "small.toml"), "--out", str(out), "--page", "--json"]
    )
    assert done.exit_code == 0
    assert "the page is missing" in done.stderr
    assert json.loads(done.stdout)["stages"]


def test_comments_are_told_from_texts_with_their_sign(page):
    assert '<span class="note"># random</span>' in page


def test_long_histories_are_thinned_and_keep_their_extremes():
    """A page of 20 such charts stays below 2 MB."""
    x = tuple(float(i) for i in range(20_000))
    y = tuple(float(i % 7) for i in range(20_000))
    peaked = (*y[:12_345], 50.0, *y[12_346:])
    curve = Curve("c", "t", "x", "y", (Series("a", x, peaked), Series("b", x, y)))
    text = chart(curve)
    assert f"{len(json_of(text)['series'][0]['x']) * 2:,} of 40,000 points are drawn" in text
    first = json_of(text)["series"][0]
    assert max(first["y"]) == 50.0
    assert (first["x"][0], first["x"][-1]) == (0.0, 19_999.0)
    assert len(text) < 2e6 / 20
    many = Curve("c", "t", "x", "y", tuple(Series(f"s{i}", x[:900], y[:900]) for i in range(500)))
    assert len(chart(many)) < 2e5
    assert "of 200 of 500 curves" in chart(many)


def json_of(text: str) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


def test_points_are_where_their_axes_say():
    """The ends of a straight line, and the ticks, on either scale."""
    line = Series("a", (1.0, 100.0), (2.0, 200.0), error=(0.5, 0.5))
    for log in (False, True):
        text = chart(Curve("c", "t", "x", "y", (line,), log_x=log, log_y=log))
        (path,) = re.findall(r'class="line" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', text)
        labels = re.findall(r'<text x="([\d.]+)" y="352" text-anchor="middle">(.*?)<', text)
        ticks = {label: float(x) for x, label in labels}
        x1, _, x2, _ = map(float, path)
        if log:
            assert ticks["1"] == pytest.approx(x1, abs=0.11)
            assert ticks["10"] == pytest.approx((x1 + x2) / 2, abs=0.11)
        assert ticks["100"] == pytest.approx(x2, abs=0.11)


def test_a_heatmap_has_a_cell_for_each_value_and_none_where_there_is_none():
    """Each extends half-way to the next, and begins at the very number at which the one before
    ends; the second row ends at 2, a fifth of the axis."""
    x = (0.0, 0.1, 2.0, 10.0)
    rows = (Series("1", x, (1.0, 9.0, 2.0, 3.0)), Series("2", (0.0, 2.0), (3.0, 4.0)))
    text = chart(Heatmap("h", "t", "x", "y", rows, "row"))
    cells = re.findall(r'<path fill="(#\w+)" d="M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)', text)
    assert len(cells) == 6
    assert len({fill for fill, *_ in cells}) == 5  # 3.0 is there twice
    for row in (cells[:4], cells[4:]):
        assert [before[3] for before in row[:-1]] == [after[1] for after in row[1:]]
    area = json_of(text)["area"]
    wide = area[2] - area[0]
    widths = [(float(right) - float(left)) / wide for _, left, _, right, _ in cells]
    assert widths == pytest.approx([0.005, 0.1, 0.495, 0.4, 0.1, 0.1], abs=1e-3)
    assert [row["y"] for row in json_of(text)["rows"]] == [[1, 9, 2, 3], [3, 4]]
    assert "a heatmap of y from 1 to 9" in text


def test_a_large_heatmap_is_thinned_and_says_so():
    x = tuple(map(float, range(1000)))
    rows = tuple(Series(str(i), x, tuple(float(j % 97) for j in range(1000))) for i in range(300))
    text = chart(Heatmap("h", "t", "x", "y", rows, "row"))
    assert len(text) < 5e5
    assert "of 300,000 cells are drawn" in text
    assert json_of(text)["thinned"]


@pytest.mark.parametrize("log", [False, True])
def test_ticks_are_few_within_their_axis_and_differ(log):
    powers = range(-12, 13, 3)
    for low in powers:
        for factor in (1.0, 1.0000001, 1.3, 4.0, 70.0, 1e5):
            for sign in (1, -1) if not log else (1,):
                ends = sorted((sign * 1.7 * 10.0**low, sign * 1.7 * 10.0**low * factor))
                axis = axis_over(ends, log=log)
                values, labels = zip(*axis.ticks, strict=True)
                assert axis.low <= min(values) + 1e-9 * abs(axis.low)
                assert max(values) <= axis.high * (1 + 1e-9) if axis.high > 0 else True
                assert 1 <= len(values) <= MOST_TICKS + 2, (ends, labels)
                assert len(set(labels)) == len(labels), (ends, labels)
                assert axis.share(ends[0]) >= 0
                assert axis.share(ends[1]) <= 1
    assert len(chart(Curve("c", "t", "x", "y", ())).encode()) < MOST_POINTS  # empty, and drawn


@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [0.0, 1e-30],
        [1e300, -1e300],
        [5e-324, 1.0],
        [3.0, 3.0],
        [],
        [-1.0, 0.0],
        [1e15, 1e15 + 1],
    ],
)
def test_any_numbers_have_an_axis(values):
    axis = axis_over(values, log=False)
    assert axis.low < axis.high
    assert all(0 <= axis.share(value) <= 1 for value in values)
    assert axis.ticks
    assert max(len(label) for _, label in axis.ticks) < 12
