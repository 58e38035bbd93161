"""The report of a kernel stage."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ceflow.blocks import AXES, UNDEFINED, Cell, Curve, Note, ReportBlock, Series, Table, defined
from ceflow.stages.kernel.result import KernelResult, ModePoint, Profile
from ceflow.stages.profiles import drawn_outputs

NOTABLE = 1.5
"""Factor by which the mean of kernels must be further away for a note."""

Row = tuple[str, Cell]

TARGET_TITLES = {
    "alignment": "alignment with the targets",
    "alignment_centred": "alignment, both centred",
    "iterations": "regression: iterations",
    "residual": "regression: residual, relative",
    "train_mse": "regression: training error, squared",
    "test_mse": "regression: test error, squared",
    "train_accuracy": "regression: training accuracy",
    "test_accuracy": "regression: test accuracy",
    "test_stddev": "posterior: standard deviation",
    "test_nll": "posterior: NLL of test targets",
    "test_coverage_50": "posterior: coverage of 50 % intervals",
    "test_coverage_90": "posterior: coverage of 90 % intervals",
    "test_log_loss": "posterior: log loss of test classes",
    "test_calibration_error": "posterior: calibration error",
}
"""Titles of the fields that relate the kernel to the targets, in the order shown."""

REGRESSION_HEADS = {
    "test_mse": "test error",
    "test_accuracy": "accuracy",
    "test_stddev": "std",
    "test_nll": "NLL",
    "test_coverage_50": "50 %",
    "test_coverage_90": "90 %",
    "test_log_loss": "log loss",
    "test_calibration_error": "ECE",
}
"""Heads of the columns in a comparison of regressions, in the order shown."""


def describe(result: KernelResult) -> list[ReportBlock]:
    """Tabulate all numbers; draw a posterior over a single input, and one row of a kernel over a
    circle.
    """
    rows = [*_matrix(result), *_distance(result), *_spectrum(result), *_rows(result, TARGET_TITLES)]
    blocks: list[ReportBlock] = [Table(("", ""), tuple(rows))]
    blocks += [Note(text, warning=True) for text in result.warnings]
    blocks += _learning(result, result.curve) if result.curve else []
    blocks += [drawn_outputs(result.posterior)] if result.posterior else []
    return blocks + ([_curve(result, result.profile)] if result.profile else [])


def _rows(result: KernelResult, texts: Mapping[str, str]) -> list[Row]:
    """Make a row of each of these fields that was requested."""
    return [(text, defined(result[field])) for field, text in texts.items() if field in result]


def _matrix(result: KernelResult) -> list[Row]:
    several = result.method == "empirical" and result.draws != 1
    rows: list[Row] = [
        ("kernel", f"{result.method} {result.kind.upper()}".removeprefix("unknown ")),
        *([("read from", result.file)] if result.file else []),
        ("shape", " x ".join(map(str, result.shape))),
        *([("test blocks", "kept")] if "test" in result else []),
        ("trace / N" + (", first draw" if several else ""), result.trace / result.shape[0]),
    ]
    if result.quadrature_error:
        rows.append(("error at most, relative", result.quadrature_error))
    over = f"over {result.draws} draws"
    return rows + _rows(result, {"error": f"standard error {over}", "spread": f"spread {over}"})


def _distance(result: KernelResult) -> list[Row]:
    rows: list[Row] = []
    if "distance" in result:
        error = f" ± {result.distance_stderr:.2g}" if result.distance_stderr else ""
        text = UNDEFINED if result.distance is None else f"{result.distance:.4g}{error}"
        rows.append((f"distance from {result.reference}", text))
    return rows + _rows(result, {"distance_of_mean": "distance of the mean kernel"})


def _spectrum(result: KernelResult) -> list[Row]:
    if "condition" not in result:
        return []
    ends = {f"eigenvalue_{end}": f"{end} eigenvalue" for end in ("max", "min")}
    without = UNDEFINED if result.eigenvalue_max is None else "singular to rounding"
    rows = [*_rows(result, ends), ("condition number", result.condition or without)]
    predicted = [each for each in result.curve or () if each.predicted_mse is not None]
    if predicted:
        last = predicted[-1]
        rows.append((f"regression on {last.k} examples, predicted", defined(last.predicted_mse)))
    return rows


def _learning(result: KernelResult, points: Sequence[ModePoint]) -> Iterator[Curve]:
    """Draw the eigenvalues, the power of the targets in the first modes, and the learning curve
    that they predict, with the test error of the regression if there is one.
    """
    k = tuple(each.k for each in points)
    positive = [each for each in points if each.eigenvalue > 0]
    values = tuple(each.eigenvalue for each in positive)
    series = Series("eigenvalue", tuple(each.k for each in positive), values)
    title = f"eigenvalues of the {result.kind.upper()}"
    yield Curve("spectrum", title, "mode k", "eigenvalue λ", (series,), log_x=True, log_y=True)
    if points[0].cumulative_power is not None:
        power = tuple(each.cumulative_power or 0.0 for each in points)
        title = "power of the targets in the first k eigenmodes"
        series = Series("power", k, power)
        yield Curve("power", title, "mode k", "fraction of the power", (series,), log_x=True)
    predicted = [(each.k, each.predicted_mse) for each in points if each.predicted_mse]
    if len(predicted) > 1:
        x, y = zip(*predicted, strict=True)
        found = [Series("predicted", x, y)]
        if result.test_mse:
            test = (float(result.shape[0]),), (result.test_mse,)
            found.append(Series("on the test examples", *test, "points"))
        labels = "training examples", "squared error on unseen examples"
        yield Curve("learning", "learning curve", *labels, tuple(found), log_x=True, log_y=True)


def _curve(result: KernelResult, profile: Profile) -> Curve:
    """Draw the row of the middle point; for a mean, with a band of two standard errors on either
    side.
    """
    angles = tuple(profile.angles)
    series = [Series(result.method, angles, tuple(profile.kernel))]
    if profile.stderr is not None:
        both = list(zip(profile.kernel, profile.stderr, strict=True))
        for sign, text in ((1, "+ 2 standard errors"), (-1, "- 2 standard errors")):
            series.append(Series(text, angles, tuple(k + 2 * sign * s for k, s in both)))
    title = f"{result.kind.upper()} of one point of the circle with all"
    return Curve("profile", title, AXES["angle"], AXES["kernel"], tuple(series))


def overview(results: dict[str, KernelResult]) -> list[ReportBlock]:
    """Compare regressions, and networks that were measured against the same reference."""
    return [*_regressions(results), *_distances(results)]


def _regressions(results: Mapping[str, KernelResult]) -> Iterator[ReportBlock]:
    """Compare regressions by kernels side by side, such as those by the NTK and by the NNGP."""
    fitted = {name: result for name, result in results.items() if "test_mse" in result}
    keys = [key for key in REGRESSION_HEADS if any(key in result for result in fitted.values())]
    if len(fitted) < 2:
        return
    rows = [
        (name, result.kind.upper(), *(defined(result[k]) if k in result else "" for k in keys))
        for name, result in fitted.items()
    ]
    yield Table(("kernel", "kind", *(REGRESSION_HEADS[key] for key in keys)), tuple(rows))


def _distances(results: Mapping[str, KernelResult]) -> list[ReportBlock]:
    """Compare networks that were measured against the same reference, side by side."""
    compared = {name: result for name, result in results.items() if "distance" in result}
    references = {result.reference for result in compared.values()}
    if len(compared) < 2 or len(references) > 1:
        return []
    columns = {
        "spread": "spread",
        "distance": f"distance from {references.pop()}",
        "distance_of_mean": "distance of the mean kernel",
    }
    rows = [
        (name, *(defined(result[key]) if key in result else "" for key in columns))
        for name, result in compared.items()
    ]
    return [Table(("kernel", *columns.values()), tuple(rows)), *_caveats(compared)]


def _caveats(compared: Mapping[str, KernelResult]) -> Iterator[Note]:
    """Name networks whose kernels vary less than those of the first, but whose mean kernel is
    further from the reference: less variance does not bring them nearer to it.
    """
    (first, base), *others = compared.items()
    for name, result in others:
        measures = [(each.spread, each.distance_of_mean) for each in (base, result)]
        if any(value is None for pair in measures for value in pair):
            continue
        (spread, far), (its_spread, its_far) = cast("list[tuple[float, float]]", measures)
        if its_spread < spread and its_far > NOTABLE * far:
            yield Note(
                f"kernels of {name} vary less than those of {first}, but their mean is further from"
                f" {result.reference}: {its_far:.2g}, and {far:.2g} for {first}"
            )


def answer(result: KernelResult) -> str:
    """State the distance from the reference, and how well a regression with the kernel does."""
    parts = []
    kernel = f"the {result.method} {result.kind.upper()}"
    if result.distance is not None:
        error = "" if result.distance_stderr is None else f" ± {result.distance_stderr:.1g}"
        mean = f" (mean of {result.draws} draws)" if result.distance_stderr is not None else ""
        parts.append(
            f"{kernel} is at a relative distance of {result.distance:.3g}{error} from that of"
            f" {result.reference}{mean}"
        )
    if result.test_accuracy is not None:
        parts.append(
            f"a regression with {kernel} classifies {100 * result.test_accuracy:.4g} % of the test"
            " examples"
        )
    elif result.test_mse is not None:
        parts.append(
            f"a regression with {kernel} has a mean squared error of {result.test_mse:.3g} on the"
            " test examples"
        )
    return "; ".join(parts)
