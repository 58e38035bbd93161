"""What a kernel stage has to show."""

from typing import Any

from ceflow.stages.stage import Values
from ceflow.stages.summary import UNDEFINED, Block, Curve, Note, Series, Table, defined


def describe(values: Values) -> list[Block]:
    """A table of what was found; of a kernel over a circle, one of its rows as a curve."""
    rows = [*_matrix(values), *_distance(values), *_spectrum(values), *_targets(values)]
    blocks: list[Block] = [Table(("", ""), tuple(rows))]
    blocks += [Note(text, warning=True) for text in values.get("warnings", ())]
    return blocks + ([_profile(values)] if "profile" in values else [])


def _matrix(values: Values) -> list[tuple[Any, ...]]:
    several = values["method"] == "empirical" and values["draws"] > 1
    rows: list[tuple[Any, ...]] = [
        ("kernel", f"{values['method']} {values['kind'].upper()}"),
        ("shape", " x ".join(map(str, values["shape"]))),
        ("trace / N" + (", first draw" if several else ""), values["trace"] / values["shape"][0]),
    ]
    if values.get("quadrature_error"):
        rows.append(("error at most, relative", values["quadrature_error"]))
    for key, text in (("error", "standard error"), ("spread", "spread")):
        if key in values:
            rows.append((f"{text} over {values['draws']} draws", defined(values[key])))
    return rows


def _distance(values: Values) -> list[tuple[Any, ...]]:
    rows = []
    if "distance" in values:
        error = f" ± {values['distance_stderr']:.2g}" if values.get("distance_stderr") else ""
        distance = values["distance"]
        text = UNDEFINED if distance is None else f"{distance:.4g}{error}"
        rows.append((f"distance from {values['reference']}", text))
    if "distance_of_mean" in values:
        rows.append(("distance of the mean kernel", defined(values["distance_of_mean"])))
    return rows


def _spectrum(values: Values) -> list[tuple[Any, ...]]:
    if "eigenvalue_max" not in values:
        return []
    ends = [(f"{end} eigenvalue", defined(values[f"eigenvalue_{end}"])) for end in ("max", "min")]
    known = values["eigenvalue_max"] is not None
    condition = values["condition"] or ("singular to rounding" if known else UNDEFINED)
    return [*ends, ("condition number", condition)]


def _targets(values: Values) -> list[tuple[Any, ...]]:
    names = {
        "alignment": "alignment with the targets",
        "alignment_centred": "alignment, both centred",
        "train_mse": "regression: training error, squared",
        "test_mse": "regression: test error, squared",
        "train_accuracy": "regression: training accuracy",
        "test_accuracy": "regression: test accuracy",
    }
    return [(text, defined(values[key])) for key, text in names.items() if key in values]


def _profile(values: Values) -> Curve:
    """The row of the middle point; of a mean, with two standard errors on either side."""
    profile = values["profile"]
    angles, row = tuple(profile["angles"]), profile["kernel"]
    series = [Series(values["method"], angles, tuple(row))]
    if "stderr" in profile:
        both = list(zip(row, profile["stderr"], strict=True))
        for sign, text in ((1, "+ 2 standard errors"), (-1, "- 2 standard errors")):
            series.append(Series(text, angles, tuple(k + 2 * sign * s for k, s in both)))
    title = f"{values['kind'].upper()} of one point of the circle with all"
    return Curve("profile", title, "angle between the points", "K", tuple(series))


def overview(results: dict[str, Values]) -> list[Block]:
    """Networks drawn and measured against one reference, side by side."""
    measured = {name: values for name, values in results.items() if "distance" in values}
    references = {values["reference"] for values in measured.values()}
    if len(measured) < 2 or len(references) > 1:
        return []
    columns = (
        "kernel",
        "spread",
        f"distance from {references.pop()}",
        "distance of the mean kernel",
    )
    keys = ("spread", "distance", "distance_of_mean")
    rows = [
        (name, *(defined(values[key]) if key in values else "" for key in keys))
        for name, values in measured.items()
    ]
    return [Table(columns, tuple(rows))]
