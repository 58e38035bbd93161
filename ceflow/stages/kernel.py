"""The `kernel` stage: a kernel matrix over the training inputs."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ceflow import kernels
from ceflow.compiler import Plan, multiplicity_of, nodes
from ceflow.spec import Circle, Kernel, Model, member_of
from ceflow.stages.stage import Forecast, Job, Kind, Outcome, Values, Work, number_size, precision
from ceflow.stages.summary import Block, Table

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, Float


LOADING = 0.5
"""Seconds to read the data and to write an array, libraries included."""


def forecast(stage: Kernel, plan: Plan, model: Model) -> Forecast:
    """The matrix with the temporaries it takes, the network, and the features of each example."""
    assert plan.data is not None
    size, rows, root = number_size(plan), plan.data.train, plan.expand(model)
    entries = rows**2 * (root.outputs**2 if stage.outputs == "full" else 1)
    key = "data.points" if isinstance(plan.document.data, Circle) else "data.train"
    layers = 2 * len(member_of(model).widths) + 1
    if stage.method == "analytic":
        traffic = size * entries * (2 * root.inputs + 30 * layers)
        work = Work(traffic=traffic, compilations=1 + layers / 3, seconds=LOADING)
        return Forecast(6 * entries * size, entries * size, key, work)
    outputs = int(root.outputs)
    features = rows * _feature_numbers(root, outputs)
    if root.parameters > 3 * entries + features:
        key = "model.widths"
    memory = size * (4 * entries + 2 * features + 2 * root.parameters)
    contractions = rows**2 * _feature_numbers(
        root, outputs**2 if stage.outputs == "full" else outputs
    )
    moved = 5 * features + 2 * layers * multiplicity_of(model) * entries
    work = Work(
        flops=stage.draws * 2 * (contractions + rows * (outputs + 1) * root.parameters),
        traffic=stage.draws * size * moved,
        normals=stage.draws * root.parameters,
        compilations=2 + layers / 3,
        seconds=LOADING,
    )
    return Forecast(memory, entries * size, key, work)


def _feature_numbers(node: nodes.Node, outputs: int) -> float:
    """Numbers kept of one example: each dense layer's input, and a gradient for every output."""
    if isinstance(node, nodes.Dense):
        return node.inputs + outputs * node.outputs
    if isinstance(node, nodes.Chain):
        return math.fsum(_feature_numbers(layer, outputs) for layer in node.layers)
    if isinstance(node, nodes.Ensemble):
        return node.multiplicity * _feature_numbers(node.member, outputs)
    return 0


def run(job: Job) -> Outcome:
    with precision(job.plan):
        reference = job.stage.reference and job.directory.read_array(job.stage.reference)
        do = _analytic if job.stage.method == "analytic" else _empirical
        matrix, found = do(job, reference)
    return Outcome(_values(job, matrix) | found, matrix)


def _analytic(job: Job, reference: "np.ndarray | None") -> "tuple[np.ndarray, Values]":
    import numpy as np

    both = kernels.analytic(job.model, job.dataset().train.x)
    matrix = np.asarray(both.ntk if job.stage.kind == "ntk" else both.nngp)
    if reference is None:
        return matrix, {}
    return matrix, {"distance": kernels.relative_distance(matrix, reference)}


def _empirical(job: Job, reference: "np.ndarray | None") -> "tuple[np.ndarray, Values]":
    """Kernels of independent networks, one at a time: the first, and statistics over all."""
    import numpy as np

    draw, average = _drawer(job), kernels.KernelAverage()
    first, distances = None, []
    for index in range(job.stage.draws):
        matrix = np.asarray(draw(job.seed.fold(index).jax()))
        first = matrix if first is None else first
        average.add(matrix)
        if reference is not None:
            distances.append(kernels.relative_distance(matrix, reference))
        job.progress(index + 1, job.stage.draws)
    assert first is not None
    return first, _statistics(average, distances, reference)


def _statistics(
    average: "kernels.KernelAverage", distances: list[float], reference: "np.ndarray | None"
) -> Values:
    """Over the draws: the spread, the mean distance from the reference, and the mean kernel's."""
    import numpy as np

    several = average.count > 1
    found: Values = {"draws": average.count}
    if several:
        found["spread"] = average.spread
    if reference is not None:
        found["distance"] = float(np.mean(distances))
    if reference is not None and several:
        found["distance_stderr"] = float(np.std(distances, ddof=1) / math.sqrt(average.count))
        found["distance_of_mean"] = kernels.relative_distance(average.mean, reference)
    return found


def _drawer(job: Job) -> "Callable[[Array], Float[Array, 'n n ...']]":
    """From a key to the kernel of a network drawn with it, compiled once."""
    import equinox as eqx
    import jax.numpy as jnp

    x = jnp.asarray(job.dataset().train.x)
    outputs = int(job.plan.root.outputs)

    @eqx.filter_jit
    def draw(key: "Array", x: "Array") -> "Array":
        module = job.plan.module_of(job.model, key)
        if job.stage.outputs == "full":
            return kernels.empirical_ntk(module, x)
        return kernels.empirical_ntk(module, x, trace=True) / outputs

    return lambda key: draw(key, x)


def _values(job: Job, matrix: "np.ndarray") -> Values:
    import numpy as np

    square = matrix if matrix.ndim == 2 else np.trace(matrix, axis1=2, axis2=3)
    values: Values = {
        "kind": job.stage.kind,
        "method": job.stage.method,
        "shape": list(matrix.shape),
        "trace": float(np.trace(square)),
    }
    if job.stage.reference is not None:
        values["reference"] = job.stage.reference
    return values | (_spectrum(matrix) if job.stage.spectrum else {})


def _spectrum(matrix: "np.ndarray") -> Values:
    import numpy as np

    eigenvalues = np.linalg.eigvalsh(matrix)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    # Below rounding the smallest eigenvalue is noise, and the condition number has no value.
    floor = largest * len(matrix) * float(np.finfo(matrix.dtype).eps)
    condition = largest / smallest if smallest > floor else None
    return {"eigenvalue_max": largest, "eigenvalue_min": smallest, "condition": condition}


def describe(values: Values) -> list[Block]:
    rows: list[tuple[Any, ...]] = [
        ("kernel", f"{values['method']} {values['kind'].upper()}"),
        ("shape", " x ".join(map(str, values["shape"]))),
        ("trace / N" + _of_first(values), values["trace"] / values["shape"][0]),
    ]
    if "spread" in values:
        rows.append((f"spread over {values['draws']} draws", values["spread"]))
    if "distance" in values:
        error = f" ± {values['distance_stderr']:.2g}" if "distance_stderr" in values else ""
        rows.append((f"distance from {values['reference']}", f"{values['distance']:.4g}{error}"))
    if "distance_of_mean" in values:
        rows.append(("distance of the mean kernel", values["distance_of_mean"]))
    if "eigenvalue_max" in values:
        rows += [(f"{end} eigenvalue", values[f"eigenvalue_{end}"]) for end in ("max", "min")]
        rows.append(("condition number", values["condition"] or "singular to rounding"))
    return [Table(("", ""), tuple(rows))]


def _of_first(values: Values) -> str:
    return ", first draw" if values.get("draws", 1) > 1 else ""


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
    rows = [(name, *(values.get(key, "") for key in keys)) for name, values in measured.items()]
    return [Table(columns, tuple(rows))]


KIND = Kind(forecast, run, describe, overview=overview)
