"""What a terminal and the figures show of a run."""

import io
import math
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from rich.console import Console, RenderableType

import ceflow
from ceflow.blocks import Curve, Series
from ceflow.blocks.svg import draw_svg
from ceflow.cli import main
from ceflow.report import figures, plan_tree, run_report, write_figures
from ceflow.report.figures import overlaid
from ceflow.report.plot import BAND_STEP, LETTERS_PER_LINE, POINT, POINT_SIGNS, draw
from ceflow.report.text import seconds, size
from ceflow.runs import prepare
from ceflow.spec import Document, Ensemble, Gaussian, Kernel, Mlp, Search, Variance, network_name
from ceflow.store import RunDirectory

WIDTH, HEIGHT = 20, 5


def curve(*series: Series, **keys: Any) -> Curve:
    return Curve("name", "the title", "the x", "the y", series, **keys)


def canvas(drawn: Curve, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """The rows of the plot itself, without labels; all of one width."""
    lines = draw(drawn, width, height)
    assert len(lines) == height + 4 + (len(drawn.series) > 1)  # a legend of several
    rows = [line.split("┤", 1)[1] for line in lines[1 : height + 1]]
    assert {len(row) for row in rows} == {width}
    return rows


def dots(drawn: Curve) -> set[tuple[int, int]]:
    """Columns and rows, from the lower left, of the dots that are set: 2 x 4 a character."""
    bits = {(0, 0): 1, (0, 1): 2, (0, 2): 4, (1, 0): 8, (1, 1): 16, (1, 2): 32, (0, 3): 64}
    bits[1, 3] = 128
    found = set()
    for i, row in enumerate(canvas(drawn)):
        for j, character in enumerate(row):
            code = ord(character) - 0x2800 if character != " " else 0
            found |= {
                (2 * j + dx, 4 * HEIGHT - 1 - (4 * i + dy))
                for (dx, dy), bit in bits.items()
                if code & bit
            }
    return found


def diagonal_offset(found: set[tuple[int, int]]) -> float:
    """The largest distance of a dot from the straight line between opposite corners."""
    slope = (4 * HEIGHT - 1) / (2 * WIDTH - 1)
    return max(abs(y - slope * x) for x, y in found)


def test_straight_line_goes_from_corner_to_corner():
    found = dots(curve(Series("y", (0.0, 2.0), (1.0, 5.0))))
    assert {(0, 0), (2 * WIDTH - 1, 4 * HEIGHT - 1)} <= found
    assert {x for x, _ in found} == set(range(2 * WIDTH))  # no gaps
    assert diagonal_offset(found) <= 0.5  # rounding to dots


def test_falling_line_falls():
    found = dots(curve(Series("y", (0.0, 1.0), (1.0, 0.0))))
    assert {(0, 4 * HEIGHT - 1), (2 * WIDTH - 1, 0)} <= found
    assert (0, 0) not in found


def test_power_law_is_straight_on_log_axes():
    x = tuple(float(10**k) for k in range(5))
    law = Series("y", x, tuple(3 * v**-2 for v in x))
    found = dots(curve(law, log_x=True, log_y=True))
    mirrored = {(x, 4 * HEIGHT - 1 - y) for x, y in found}
    assert diagonal_offset(mirrored) <= 1.0  # rounding of the points, and of the joins


def test_exponential_is_straight_on_one_log_axis_and_not_on_two_linear_ones():
    law = Series("y", (0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 10.0, 100.0, 1e3, 1e4))
    assert diagonal_offset(dots(curve(law, log_y=True))) <= 1.0
    assert diagonal_offset(dots(curve(law))) > 5


def test_constant_curve_is_a_level_line():
    found = dots(curve(Series("y", (0.0, 1.0), (7.0, 7.0))))
    assert {y for _, y in found} == {0}
    assert {x for x, _ in found} == set(range(2 * WIDTH))


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("style", ["line", "points"])
def test_single_point_is_drawn_once(log, style):
    rows = canvas(curve(Series("y", (3.0,), (4.0,), style), log_x=log, log_y=log))
    marks = [character for row in rows for character in row if character != " "]
    assert marks == [POINT] if style == "points" else len(marks) == 1


def test_points_are_not_joined():
    rows = canvas(curve(Series("y", (0.0, 1.0, 2.0), (0.0, 5.0, 0.0), "points")))
    assert sum(row.count(POINT) for row in rows) == 3
    assert set("".join(rows)) == {" ", POINT}
    assert (rows[-1][0], rows[0][WIDTH // 2], rows[-1][-1]) == (POINT,) * 3


def test_points_lie_over_lines():
    line = Series("y", (0.0, 1.0), (0.0, 1.0))
    rows = canvas(curve(line, Series("best", (0.0,), (0.0,), "points")))
    assert rows[-1][0] == POINT


def test_errors_are_bars_at_points_and_dots_beside_lines():
    keys: dict[str, Any] = {"error": (1.0, 1.0, 1.0)}
    places = (0.0, 1.0, 2.0), (0.0, 0.0, 0.0)
    bars = dots(curve(Series("y", *places, "joined", **keys)))
    top = 4 * HEIGHT - 1
    assert {x for x, y in bars if y in (0, top)} == {0, WIDTH, 2 * WIDTH - 1}
    band = dots(curve(Series("y", *places, **keys)))
    assert {y for _, y in band} == {0, top, round(top / 2)}
    assert sorted(x for x, y in band if y == top) == list(range(0, 2 * WIDTH, BAND_STEP))


def test_lines_carry_the_letters_of_a_legend():
    low, high = (Series(label, (0.0, 1.0), (y, y)) for label, y in (("below", 0.0), ("over", 1.0)))
    lines = draw(curve(low, high, legend="the by"), WIDTH, HEIGHT)
    assert lines[1].count("b") == lines[HEIGHT].count("a") == LETTERS_PER_LINE
    assert "".join(lines[-2:]).split() == ["the", "by:", "a", "below", "b", "over"]


def test_several_series_of_points_have_marks_of_their_own():
    one, two = (Series(f"m = {y}", (0.0, 1.0), (y, y), "points") for y in (0.0, 1.0))
    line = Series("slope", (0.0, 1.0), (0.5, 0.5))
    lines = draw(curve(one, two, line), 40, HEIGHT)
    assert (lines[1].count(POINT_SIGNS[1]), lines[HEIGHT].count(POINT_SIGNS[0])) == (2, 2)
    assert lines[-1].split("   ")[-3:] == ["● m = 0.0", "○ m = 1.0", "⠤⠤ slope"]


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_values_that_are_not_finite_are_left_out(bad):
    lines = draw(curve(Series("y", (0.0, 1.0, 2.0), (1.0, bad, 3.0))), WIDTH, HEIGHT)
    assert lines == draw(curve(Series("y", (0.0, 2.0), (1.0, 3.0))), WIDTH, HEIGHT)


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_values_without_a_logarithm_are_left_out_of_log_axes(bad):
    lines = draw(curve(Series("y", (1.0, 2.0, 3.0), (1.0, bad, 3.0)), log_y=True))
    assert lines == draw(curve(Series("y", (1.0, 3.0), (1.0, 3.0)), log_y=True))


@pytest.mark.parametrize("values", [(), (math.inf,), (math.nan,)])
def test_curve_without_a_drawable_point_is_an_empty_frame(values):
    assert set("".join(canvas(curve(Series("y", values, values))))) == {" "}


def test_plot_names_its_title_its_axes_and_their_ends():
    lines = draw(curve(Series("y", (20.0, 5000.0), (0.5, 1.25)), log_x=True))
    assert lines[0] == "the title: the y"
    assert lines[1].split("┤")[0].strip() == "1.25"
    assert lines[-4].split("┤")[0].strip() == "0.5"
    assert lines[-2].split() == ["20", "5,000"]
    assert lines[-1].strip() == "the x, logarithmic"


def test_ends_of_a_narrow_or_a_long_axis_are_told_apart():
    series = Series("y", (-1.2345e-100, 1.2345e-100), (1.000001, 1.000002))
    lines = draw(curve(series), width=12)
    assert lines[1].split("┤")[0].strip() == "1.000002"
    assert lines[-4].split("┤")[0].strip() == "1.000001"
    assert lines[-2].split() == ["-1.234e-100", "1.234e-100"]


def test_plot_of_one_row_has_one_row():
    assert len(canvas(curve(Series("y", (0.0, 1.0), (0.0, 1.0))), height=1)) == 1


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (2.5e7, "25 MB"),
        (1.5e9, "1.5 GB"),
        (3e15, "3e+03 TB"),
    ],
)
def test_sizes_have_a_unit(count, shown):
    assert size(count) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0213, "21 ms"), (1.0, "1.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3725, "1 h 2 min")],
)
def test_durations_have_a_unit(value, shown):
    assert seconds(value) == shown


# a run

DOCUMENT = Document(
    name="shown",
    seed=7,
    data=Gaussian(train=4, inputs=3, outputs=2),
    model=Ensemble(multiplicity=3, member=Mlp(widths=(1200, 1200, 20))),
    stages={
        "alpha": Variance(ratios=(0.01, 1.0)),
        "best": Search(variance="alpha"),
        "infinite": Kernel(spectrum=True),
        "smooth": Kernel(method="empirical", model="best.primal", reference="infinite", draws=2),
    },
)
SMALL = DOCUMENT.model_copy(
    update={"model": Ensemble(multiplicity=3, member=Mlp(widths=(40, 40, 20)))}
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    return ceflow.run(SMALL, tmp_path_factory.mktemp("report") / "run")


def text_of(*renderables: RenderableType) -> str:
    with open("/dev/null", "w") as nowhere:
        console = Console(record=True, width=120, file=nowhere)
        console.print(*renderables, sep="\n")
        return console.export_text()


def report_of(run: ceflow.Run) -> str:
    return text_of(*run_report(RunDirectory(run.path), ceflow.compile(SMALL)))


def test_plan_tree_shows_data_model_layers_and_stages():
    plan = ceflow.compile(DOCUMENT)
    text = text_of(plan_tree(plan, prepare(plan).needs()))
    member = 3 * 1200 + 1200**2 + 1200 * 20 + 20 * 2
    for fact in (
        "shown  seed 7, float64",
        "gaussian  4 training and 0 test examples, 3 inputs, 2 outputs",
        f"ensemble  {3 * member:,} parameters, 8.81 MFLOPs (4.40 MMACs) an example",
        f"3 members, each {member:,} parameters",
        "dense 1,200 → 1,200, relu",
        "dense 1,200 → 20, relu",
        "dense 20 → 2",
        "smooth  kernel of best.primal",
    ):
        assert fact in text
    assert [text.index(name) for name in DOCUMENT.stages] == sorted(
        text.index(name) for name in DOCUMENT.stages
    )


def test_plan_tree_shows_equal_layers_once():
    plan = ceflow.compile(Document(model=Mlp(widths=(50,) * 5, inputs=7, outputs=2)))
    text = text_of(plan_tree(plan, {}))
    assert text.count("dense 50 → 50, relu  x 4") == text.count("dense 50 → 50") == 1
    assert text.count("dense 7 → 50, relu") == 1


def test_infinite_layers_are_shown_as_such():
    plan = ceflow.compile(Document(model=Mlp(widths=(math.inf,), inputs=7, outputs=2)))
    assert "dense 7 → inf, relu" in text_of(plan_tree(plan, {}))


def test_memory_of_a_stage_is_shown():
    document = DOCUMENT.model_copy(update={"data": Gaussian(train=200, inputs=3, outputs=2)})
    plan = ceflow.compile(document)
    forecasts = prepare(plan).needs()
    lines = text_of(plan_tree(plan, forecasts)).splitlines()
    (line,) = [line for line in lines if "infinite" in line]
    assert f"memory {size(forecasts['infinite'].memory)}" in line


def test_report_shows_what_every_stage_found(done):
    text, results = report_of(done), done.results
    primal = results["best"]["primal"]
    for fact in (
        f"alpha = {results['alpha']['alpha']:.4f}",
        "method exact",
        "primal: optimally smooth",
        f"{primal['parameters']:,}",
        network_name(primal["multiplicity"], primal["widths"]),
        f"{primal['multiplicity_exact']:.1f}",
        "analytic NTK",
        "4 x 4",
        "condition number",
        "distance from infinite",
        f"{results['smooth']['distance']:.4g} ± {results['smooth']['distance_stderr']:.2g}",
        "spread over 2 draws",
        "files in",
        "optimal-dual.toml",
    ):
        assert fact in text, fact


def test_report_shows_warnings(done):
    # Widths of 1 and 40: the law cannot hold for both.
    assert done.results["alpha"]["warnings"]
    assert "warning: the law exp(alpha S) misses widths" in report_of(done)


def test_report_of_an_unfinished_run_shows_what_there_is(tmp_path):
    run = ceflow.run(SMALL, tmp_path / "run")
    directory = RunDirectory(run.path)
    directory.write_json("run.json", directory.read_json("run.json") | {"state": "interrupted"})
    results = directory.read_json("results.json")["stages"]
    directory.write_json("results.json", {"stages": {"alpha": results["alpha"]}})
    text = report_of(run)
    assert "method exact" in text
    assert "primal: optimally smooth" not in text


def test_figures_are_svg_of_every_curve_and_the_same_when_written_again(done):
    directory, plan = RunDirectory(done.path), ceflow.compile(SMALL)
    write_figures(directory, plan)
    figures = sorted((done.path / "figures").glob("*.svg"))
    assert [path.name for path in figures] == [
        "alpha-law.svg",
        "best-dual.svg",
        "best-primal.svg",
    ]
    before = [path.read_bytes() for path in figures]
    for path in figures:
        root = ElementTree.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    write_figures(directory, plan)
    assert [path.read_bytes() for path in figures] == before


def test_figures_are_drawn_again_for_a_paper(done, monkeypatch):
    shown = CliRunner().invoke(main, ["show", str(done.path), "--figures", "pdf"])
    assert shown.exit_code == 0
    paths = sorted((done.path / "figures").glob("*.pdf"))
    assert [path.stem for path in paths] == ["alpha-law", "best-dual", "best-primal"]
    before = [path.read_bytes() for path in paths]
    for content in before:
        assert content.startswith(b"%PDF")
        # publishers take embedded TrueType fonts, and refuse those of Type 3
        assert (b"/FontFile2" in content, b"/Type3" in content) == (True, False)
        assert b"/MediaBox [ 0 0 252 162 ]" in content  # one column of 3.5 inches
    directory, plan = RunDirectory(done.path), ceflow.compile(SMALL)
    write_figures(directory, plan, "pdf", again=True)
    assert [path.read_bytes() for path in paths] == before
    monkeypatch.setattr(figures, "draw_pdf", None)  # what exists is not drawn again unasked
    write_figures(directory, plan, "pdf")
    (directory.path / "figures").joinpath("alpha-law.pdf").unlink()
    with pytest.raises(TypeError):
        write_figures(directory, plan, "pdf")


def test_a_figure_is_saved_in_its_style_by_anyone(done):
    content = io.BytesIO()
    ceflow.open(done.path).figure("alpha.law").savefig(content, format="pdf")
    assert b"/Type3" not in content.getvalue()


def test_different_curves_are_different_figures():
    one, two = (draw_svg(curve(Series("y", (1.0, 2.0), (1.0, top)))) for top in (2.0, 3.0))
    assert one != two


def test_figure_of_infinities_is_a_figure():
    text = draw_svg(curve(Series("y", (1.0, 2.0), (1.0, math.inf)), log_y=True))
    assert ElementTree.fromstring(text).tag.endswith("svg")


def test_of_runs_together_the_axis_says_which_series_it_shows():
    training, test = (Series(label, (1.0, 2.0), (1.0, 2.0)) for label in ("training", "test"))
    both = overlaid({"a": curve(training, test), "b": curve(training)})
    assert both.y_label == "the y (training)"
    assert [series.label for series in both.series] == ["both runs"]  # which are drawn once
    other = Series("training", (1.0, 2.0), (1.0, 3.0))
    three = overlaid({"a": curve(training), "b": curve(other), "c": curve(training)})
    assert [series.label for series in three.series] == ["a and 1 more", "b"]
    mixed = overlaid({"a": curve(training, test), "b": curve(test)})
    assert mixed.y_label == "the y"
    assert [series.label for series in mixed.series] == ["a, training", "b, test"]
    assert overlaid({"a": curve(training), "b": curve(training)}).y_label == "the y"


def test_figures_leave_the_settings_of_matplotlib_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw_svg(curve(Series("y", (1.0, 2.0), (1.0, 2.0))))
    assert dict(mpl.rcParams) == before
