"""Forecast of a kernel stage."""

import math
from pathlib import Path

from ceflow import kernels
from ceflow.compiler import Plan
from ceflow.costs import EIGH_FLOPS, Demand, Work
from ceflow.kernels import costs
from ceflow.kernels.costs import Shape
from ceflow.spec import FEWEST_KERNEL_DRAWS, Kernel, Model, SpecError
from ceflow.stages.kernel.files import TEST_ROWS, inspect
from ceflow.stages.kernel.networks import without_weights
from ceflow.stages.stage import Forecast, examples_key
from ceflow.variance.costs import TYPICAL_ALPHA

LOADING_SECONDS = 0.5
"""Seconds to read the data and to write an array, libraries included."""

ROW_COPIES = 6
"""Copies of the rows of test examples while they are computed."""

DIAGONAL_COMPILATIONS = 2
"""Compilation time of the diagonal of a kernel of test examples, in units of a small function."""

MODES_COPIES = 5
"""Float64 copies of a kernel while its eigenvectors are computed (measured: 3.2 to 5.2)."""

VARIANCE_OF_PRODUCTS = 4
"""Typical relative variance of products of Gaussian outputs, 1 + tr(K)^2/|K|^2 (computed: 2.5 to 9
for relu, 3 to 37 for erf and tanh)."""

TILED = "set tile = 1024, to keep the kernel on disk"


def forecast(stage: Kernel, plan: Plan, model: Model) -> Forecast:
    """Count the matrix with its temporaries, the network, and the features of each example."""
    assert plan.data is not None
    needs = _computed(stage, plan, model) if stage.from_ is None else _read(stage, plan)
    needs = _with_modes(needs, plan) if stage.spectrum == "full" else needs
    needs = needs._replace(memory=needs.memory + _of_targets(stage, plan))
    return _with_posterior(needs, stage, plan)


def _computed(stage: Kernel, plan: Plan, model: Model) -> Forecast:
    by_method = _analytic if stage.method == "analytic" else _drawn
    needs = by_method(stage, plan, model.single if stage.method == "mean" else model)
    return needs if stage.tile is None else _in_tiles(stage, plan, model, needs)


def _with_modes(found: Forecast, plan: Plan) -> Forecast:
    """Count an eigendecomposition in memory, after which only the eigenvalues are kept."""
    assert plan.data is not None
    rows = plan.data.train
    work = found.work._replace(flops=found.work.flops + EIGH_FLOPS * rows**3)
    memory = max(found.memory, plan.itemsize * rows**2 + 8 * MODES_COPIES * rows**2)
    disk = found.disk + 2 * 8 * rows
    more = {"key": examples_key(plan), "instead": ""} if memory > found.memory else {}
    return found._replace(memory=memory, work=work, disk=disk, **more)


def _with_posterior(needs: Forecast, stage: Kernel, plan: Plan) -> Forecast:
    """Add the fit of a regression, and the posterior on test examples with its arrays."""
    assert plan.data is not None
    assert plan.document.data is not None
    n, tested = plan.data.train, plan.data.test
    if stage.ridge is None:
        return needs
    if stage.solver == "cg":
        return _with_gradients(needs, plan)
    work = needs.work._replace(flops=needs.work.flops + n**3 / 3 + 2 * n**2 * tested)
    if not tested:
        return needs._replace(work=work)
    classes = max(2, plan.outputs) if plan.document.data.has_classes else 0
    integrands = min(costs.PREDICTIVE_ENTRIES, tested * classes**2 * costs.PREDICTIVE_NODES)
    return needs._replace(
        memory=needs.memory + 8 * (3 * min(TEST_ROWS, tested) * n + 4 * integrands),
        disk=needs.disk + tested * (plan.itemsize * plan.outputs + 8 * (1 + classes)),
        work=work._replace(compilations=work.compilations + DIAGONAL_COMPILATIONS),
    )


def _with_gradients(needs: Forecast, plan: Plan) -> Forecast:
    """Add a regression by conjugate gradients: a typical number of iterations, and the most."""
    assert plan.data is not None
    n, tested = plan.data.train, plan.data.test
    numbers = (costs.TYPICAL_ITERATIONS, costs.MOST_ITERATIONS)
    found = [costs.conjugate_cost(n, plan.outputs, plan.itemsize, number) for number in numbers]
    return needs._replace(
        memory=needs.memory + found[0].memory + 8 * min(TEST_ROWS, tested) * n,
        disk=needs.disk + tested * plan.itemsize * plan.outputs,
        work=needs.work.plus(found[0].work),
        most=needs.work.plus(found[1].work),
    )


def _read(stage: Kernel, plan: Plan) -> Forecast:
    """Count the matrix as it is read and checked; one in tiles stays on disk."""
    assert plan.data is not None
    entries, measured = plan.data.train**2, _measured(stage, plan)
    try:
        file = inspect(_place(stage, plan))
    except SpecError:  # in a sweep, a run that fails by itself
        return Forecast(key=examples_key(plan))
    traffic = 4 * file.itemsize * entries
    work = Work(traffic=traffic, compilations=1, seconds=LOADING_SECONDS)
    if file.is_tiled:
        disk = file.itemsize * (entries / 2 + _block_entries(stage, plan))
        return Forecast(measured, disk, examples_key(plan), work)
    held, disk = 2 * entries, entries + _block_entries(stage, plan)
    return Forecast(file.itemsize * held + measured, file.itemsize * disk, examples_key(plan), work)


def _place(stage: Kernel, plan: Plan) -> Path:
    names = (name for name, each in plan.document.stages.items() if each is stage)
    return plan.path(next(names), "from")


def _measured(stage: Kernel, plan: Plan) -> float:
    """Count the float64 copies of a kernel of which more than its trace is measured."""
    assert plan.data is not None
    if stage.spectrum or stage.alignment or stage.ridge is not None:
        return min(kernels.MEMORY, 24 * plan.data.train**2)
    return 0.0


def _analytic(stage: Kernel, plan: Plan, model: Model) -> Forecast:
    asked, root = _asked(stage, plan), plan.expand(model)
    asked = asked._replace(symmetric=stage.tile is None)  # `_in_tiles` counts half of it
    found = costs.analytic_cost(root, asked, plan.inputs, plan.itemsize)
    return Forecast(found.memory, _disk(stage, plan), examples_key(plan), _loaded(found), TILED)


def _drawn(stage: Kernel, plan: Plan, model: Model) -> Forecast:
    asked, size, root = _asked(stage, plan), plan.itemsize, plan.expand(model)
    draws, members = _likely_draws(stage, plan, model), model.multiplicity
    if not stage.tile and without_weights(stage, plan, model, asked.n1):
        units, is_ntk = sum(model.widths), stage.kind == "ntk"
        cost = costs.conditional_cost if is_ntk else costs.conditional_outputs_cost
        found = cost(root, asked, units, draws * members, size)
        return Forecast(found.memory, _disk(stage, plan), "model.widths", _loaded(found))
    drawn = costs.Drawn(root, asked, size, stage.kind == "ntk")
    found, heavy = drawn.cost(draws, members), drawn.is_heavy
    key = "model.widths" if heavy else examples_key(plan)
    tiled = "" if heavy or stage.method == "mean" or stage.outputs == "full" else TILED
    return Forecast(found.memory, _disk(stage, plan), key, _loaded(found), tiled)


def _loaded(cost: Demand) -> Work:
    return cost.work._replace(seconds=LOADING_SECONDS + cost.work.seconds)


def _in_tiles(stage: Kernel, plan: Plan, model: Model, whole: Forecast) -> Forecast:
    """Count the work of half the matrix, and the memory of a few tiles."""
    assert plan.data is not None
    assert stage.tile is not None
    size, rows = plan.itemsize, plan.data.train
    share = min(1.0, stage.tile / rows)
    weights = 0 if stage.method == "analytic" else 2 * size * plan.expand(model).parameters
    memory = weights + share**2 * (whole.memory - weights)
    if stage.test_blocks or stage.ridge is not None:
        rows_at_once = min(TEST_ROWS, plan.data.test)
        memory += ROW_COPIES * size * rows_at_once * rows
    return whole._replace(
        memory=memory + _measured(stage, plan),
        disk=size * (rows**2 * (1 + share) / 2 + _block_entries(stage, plan)),
        key="tile",
        instead="",
        work=whole.work._replace(flops=whole.work.flops / 2, traffic=whole.work.traffic / 2),
    )


def _of_targets(stage: Kernel, plan: Plan) -> float:
    """Count the float64 copies of the targets: scaled or predicted, centred, times the kernel."""
    learns = stage.alignment or stage.ridge is not None
    return 3 * 8 * _rows(stage, plan) * plan.outputs if learns else 0


def _likely_draws(stage: Kernel, plan: Plan, model: Model) -> float:
    """Estimate how many networks are drawn until the standard error is small enough, by the law of
    the variance (CE eq. 9) with a typical alpha. The products of outputs of an NNGP vary besides.
    """
    if stage.error is None:
        return stage.most_draws
    variance = math.expm1(min(TYPICAL_ALPHA * model.fan_in_sum, 50))
    if stage.kind == "nngp":
        variance += (1 + variance) * VARIANCE_OF_PRODUCTS / plan.outputs
    return min(stage.most_draws, max(FEWEST_KERNEL_DRAWS, variance / stage.error**2))


def _rows(stage: Kernel, plan: Plan) -> int:
    """Count the examples on which a kernel is drawn; a regression also needs the test examples, and
    so do their blocks.
    """
    assert plan.data is not None
    tested = stage.ridge is not None or stage.test_blocks
    return plan.data.train + (plan.data.test if tested else 0)


def _asked(stage: Kernel, plan: Plan) -> Shape:
    rows = _rows(stage, plan)
    return Shape(rows, rows, plan.outputs, trace=stage.outputs != "full", symmetric=True)


def _disk(stage: Kernel, plan: Plan) -> float:
    assert plan.data is not None
    pairs = plan.outputs**2 if stage.outputs == "full" else 1
    arrays = 2 if stage.method == "mean" else 1  # the mean's errors too
    kept = plan.data.train**2 * arrays + _block_entries(stage, plan)
    return kept * pairs * plan.itemsize


def _block_entries(stage: Kernel, plan: Plan) -> float:
    """Count the pairs of examples in the blocks of test examples; tiles keep half of the square."""
    assert plan.data is not None
    rows, half = plan.data.test, 0.5 if stage.tile else 1
    return rows * (plan.data.train + half * rows) if stage.test_blocks else 0
