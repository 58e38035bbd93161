"""How the code is laid out: imports run downward, heavy modules load late, no half is missing."""

import ast
import inspect
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from itertools import chain
from pathlib import Path
from pkgutil import iter_modules
from typing import get_args

import jax
import jax.numpy as jnp
import pytest

import ceflow
from ceflow import kernels
from ceflow.claims.costs import COSTS
from ceflow.claims.table import CLAIMS
from ceflow.compiler import lowering, nodes
from ceflow.compiler.models import expand
from ceflow.data import READERS
from ceflow.kernels.infinite.duals import DUALS
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Claim, Data, Ensemble, Mlp, Model, Stage, plugins
from ceflow.spec.models import SLOPES, Activation
from ceflow.stages import KINDS

ROOT = Path(inspect.getfile(ceflow)).parent
REPOSITORY = Path(__file__).parents[1]

LAYERS = [
    {"spec"},
    {"store", "blocks"},
    {"data"},
    {"nets"},
    {"compiler"},
    {"kernels"},
    {"variance"},  # beside kernels, and the one that may import the other
    {"dynamics"},
    {"training"},
    {"bottlenecks"},
    {"claims"},
    {"search"},
    {"stages"},
    {"runs", "exports"},
    {"ceflow"},  # what the root offers: `from ceflow import load`
    {"report"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
COMMON = {
    *("seeding", "events", "history", "costs"),
    *("_interrupts", "_lazy", "_machine", "_numbers", "_words"),
}
"""Modules of the root that everything may import, and that import only spec at most."""

FILES = sorted(ROOT.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]


def imported(source):
    """Every module that a source imports, wherever it does, and every one it names in a string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            if module == "ceflow":
                yield from (f"ceflow.{alias.name}" for alias in node.names)
            else:
                yield module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"ceflow(\.\w+)+", node.value):
                yield node.value
        elif isinstance(node, ast.JoinedStr):  # import_module(f"ceflow.cli.{name}")
            first = node.values[0] if node.values else None
            if isinstance(first, ast.Constant) and str(first.value).startswith("ceflow."):
                yield str(first.value)


def layer(module):
    """The layer of a module of ceflow: its package, or `ceflow` for a name of the root."""
    name = module.split(".")[1] if "." in module else "ceflow"
    return name if name in LEVEL or name in COMMON else "ceflow"


def layers_below(source):
    """The layers of ceflow that a source imports."""
    mine = {name for name in imported(source) if name.split(".")[0] == "ceflow"} - {plugins.GROUP}
    return {layer(name) for name in mine}


def own_layer(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def wrong(own, others):
    """Those of `others` that a module of the layer `own` must not import."""
    if own in COMMON:
        return {other for other in others if other not in {"spec", own}}
    return {other for other in others if other not in COMMON and LEVEL[other] > LEVEL[own]}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_run_downward(path):
    if path == ROOT / "__init__.py":
        return  # offers names of every layer, and loads them when they are used
    assert not wrong(own_layer(path), layers_below(path.read_text(encoding="utf-8")))


def test_every_package_has_a_layer():
    packages = {own_layer(path) for path in FILES} - {"__init__"}
    assert packages <= set(LEVEL) | COMMON
    assert set(LEVEL) - {"ceflow"} <= packages


@pytest.mark.parametrize(
    ("own", "source", "upward"),
    [
        ("spec", "import ceflow.data", {"data"}),
        ("spec", "from ceflow import data", {"data"}),
        ("spec", "from ceflow.data import load", {"data"}),
        ("store", "def f():\n    from ceflow.runs.running import run", {"runs"}),
        ("store", "if TYPE_CHECKING:\n    from ceflow.stages import Job", {"stages"}),
        ("data", "lazy(__name__, {'a': 'ceflow.nets.dense'})", {"nets"}),
        ("runs", "from ceflow import load", {"ceflow"}),
        ("kernels", "from ceflow.variance import estimate", {"variance"}),
        ("kernels", "import_module(f'ceflow.cli.{name}')", {"cli"}),
        ("events", "from ceflow.store import RunDirectory", {"store"}),
        ("variance", "from ceflow.kernels import analytic", set()),
        ("cli", "from ceflow import load\nfrom ceflow.spec import Fault", set()),
        ("data", "import numpy\nfrom ceflow.seeding import Seed", set()),
    ],
)
def test_an_import_that_runs_upward_is_seen(own, source, upward):
    assert wrong(own, layers_below(source)) == upward


MODULES = {".".join(("ceflow", *Path(name).with_suffix("").parts)): ROOT / name for name in NAMES}
MODULES = {name.removesuffix(".__init__"): path for name, path in MODULES.items()}


def needed(path):
    """The modules of ceflow that one imports to work, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guards = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "CHECKING" in ast.dump(n.test)]
    for_types = {id(node) for guard in guards for node in ast.walk(guard)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in for_types:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & MODULES.keys() or {node.module} & MODULES.keys()


def test_modules_need_each_other_in_no_circle():
    """But in `spec`: a wrong table is told of by what knows all tables, and a document is one."""
    rest = {name: path for name, path in MODULES.items() if not name.startswith("ceflow.spec")}
    graph = {name: set(needed(path)) - {name} for name, path in rest.items()}
    assert any(graph.values())
    TopologicalSorter(graph).prepare()  # which raises CycleError


PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py"))


@pytest.mark.parametrize("folder", PACKAGES, ids=[path.name for path in PACKAGES])
def test_no_name_of_a_package_hides_one_of_its_modules(folder):
    """Type checkers take `package.name` for the module, Python for what the package calls so."""
    package = import_module(".".join(["ceflow", *folder.relative_to(ROOT).parts]))
    inside = {module.name for module in iter_modules(package.__path__)}
    hidden = {name for name in inside if not inspect.ismodule(getattr(package, name, package))}
    assert not hidden


# The root's is about what it offers, and files of the command line are named as its commands.
TOLD = [folder for folder in PACKAGES if folder not in (ROOT, ROOT / "cli")]


@pytest.mark.parametrize("folder", TOLD, ids=[str(path.relative_to(ROOT)) for path in TOLD])
def test_a_package_tells_in_its_docstring_what_each_of_its_files_is_for(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    inside = {module.name for module in iter_modules([str(folder)])}
    assert inside <= set(re.findall(r"`(\w+)`", text or ""))


# What is loaded when.
HEAVY = ("jax", "numpy", "matplotlib", "scipy", "equinox", "zarr", "sklearn")


def loaded(code):
    """Which of the heavy modules are loaded once `code` has run, in a process of its own."""
    script = f"import sys\n{code}\nprint('loaded', *(set({HEAVY!r}) & set(sys.modules)))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    *_, last = done.stdout.splitlines()
    assert last.startswith("loaded")
    return set(last.split()[1:])


def test_packages_are_found_after_importing_the_root_alone():
    names = ("bottlenecks", "claims", "data", "dynamics", "exports", "kernels", "search", "spec")
    names += ("training", "variance")
    assert {*names, "nets"} <= set(dir(ceflow))
    said = "; ".join(f"assert ceflow.{name}.__name__ == 'ceflow.{name}'" for name in names)
    assert not loaded("import ceflow")
    assert "jax" not in loaded(f"import ceflow; {said}")
    assert "jax" in loaded("import ceflow; ceflow.nets.Dense")


def command(*arguments):
    return (
        "from ceflow.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit as end: assert not end.code, end.code"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import ceflow",
        "import ceflow.spec",
        "import ceflow; ceflow.load('examples/quickstart.toml')",
        command("--help"),
        command("check", "examples/quickstart.toml"),
    ],
    ids=["ceflow", "spec", "load", "help", "check"],
)
def test_what_does_not_compute_loads_no_library_that_does(code):
    assert not loaded(code)


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_plan_does_not_load_jax(option):
    assert not loaded(command("plan", "examples/quickstart.toml", *option)) & {"jax", "equinox"}


def test_what_is_loaded_is_seen():
    assert "jax" in loaded("import ceflow.nets")


PURE = [
    *("data", "compiler", "search", "stages", "runs", "cli", "kernels", "variance", "store"),
    *("dynamics", "training", "bottlenecks", "claims"),
]


def test_the_packages_that_describe_load_no_library_that_computes():
    assert not loaded("\n".join(f"import ceflow.{name}" for name in PURE)) & {"jax", "numpy"}


# Both halves of every part of the language.
def members(union):
    return set(get_args(get_args(union)[0]))


def registered(dispatch):
    return set(dispatch.registry) - {object}


def test_every_model_has_its_layers_and_every_expansion_its_model():
    assert registered(expand) == members(Model)


def test_every_stage_has_its_meaning_and_every_meaning_its_stage():
    assert set(KINDS) == members(Stage)


def test_every_source_has_its_reader_and_every_reader_its_source():
    assert set(READERS) == members(Data)


def test_every_activation_has_its_function_and_every_function_its_name():
    assert set(ACTIVATIONS) == set(get_args(Activation))


def test_every_closed_form_is_of_an_activation():
    assert set(DUALS) <= set(get_args(Activation))


@pytest.mark.parametrize("name", get_args(Activation))
def test_the_slopes_of_an_activation_are_its_own(name):
    """Those said to be piecewise linear are, with the slope that is said, and no others."""
    function = ACTIVATIONS[name]
    two, one, minus = (float(function(jnp.float32(x))) for x in (2, 1, -1))
    assert (name in SLOPES) == (two == 2 * one == 2)
    if name in SLOPES:
        assert minus == pytest.approx(-SLOPES[name])


def test_every_claim_is_computed_forecast_and_documented_and_no_other():
    """That it is in the right one of the language's sets: tests/stages/test_verify.py."""
    claims = set(get_args(Claim))
    assert set(CLAIMS) == claims
    assert set(COSTS) == claims
    chapter = (REPOSITORY / "spec" / "stages.md").read_text(encoding="utf-8")
    assert all(f'`"{name}"`' in chapter for name in claims)


BLOCK = nodes.Residual(
    nodes.Convolution((2, 2, 2), 2, 3, 1, 1, 1.0, 0.0),
    nodes.Convolution((2, 2, 2), 2, 1, 1, 1, 1.0, 0.0),
)
PAIR = Ensemble(multiplicity=2, member=Mlp(widths=(2,), inputs=2, outputs=1))
LAYERED = (
    nodes.Convolution((1, 2, 2), 2, 3, 1, 1, 1.0, 0.0),
    nodes.Activation("relu", (2, 2, 2)),
    BLOCK,
    nodes.LayerNorm((2, 2, 2)),
    nodes.PositionEmbedding((2, 2, 2), 1.0),
    nodes.Scale((2, 2, 2), 0.5),
    nodes.Dropout((2, 2, 2), 0.5),
    nodes.AveragePool((2, 2, 2), 2),
    nodes.Flatten((2, 1, 1)),
    expand(PAIR),
)
DRAWN = (
    nodes.BatchNorm((1, 2, 2)),
    nodes.Attention((1, 2, 2), 2, 3, 1.0, 0.0),
    nodes.MaxPool((1, 2, 2), 3, 1, (1, 1)),
    nodes.TokenMixing((1, 2, 2), nodes.Convolution((4, 1, 1), 4, 1, 1, 1, 1.0, 0.0)),
)
"""Layers that have no kernel at infinite width."""
EVERY = nodes.Chain((*DRAWN, *LAYERED))
"""A network that holds every kind of layer."""


def test_every_kind_of_layer_is_tried():
    built = set(get_args(nodes.Node)) - {nodes.External}  # which is whatever a user makes
    assert {type(node) for node in nodes.every(EVERY)} == built


def test_every_layer_has_its_module():
    module = lowering.lower(EVERY, jax.random.key(0))
    assert module(jnp.ones((1, 2, 2))).shape == (1,)  # pyright: ignore


def test_every_layer_has_its_infinite_kernel_or_is_refused():
    assert kernels.analytic(nodes.Chain(LAYERED), jnp.ones((3, 1, 2, 2))).ntk.shape == (3, 3)
    for layer in DRAWN:
        with pytest.raises(ValueError, match="no kernel at infinite width"):
            kernels.analytic(nodes.Chain((layer, *LAYERED)), jnp.ones((3, 1, 2, 2)))


@pytest.mark.parametrize(("union", "tag"), [(Model, "type"), (Stage, "type"), (Data, "source")])
def test_every_kind_has_a_name_of_its_own(union, tag):
    names = [get_args(kind.model_fields[tag].annotation) for kind in members(union)]
    assert all(len(name) == 1 for name in names)
    assert len(set(chain(*names))) == len(members(union))


# Who may speak.
def calls_of_print(source):
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "pprint"}
    ]


def test_a_call_of_print_is_seen():
    assert calls_of_print("x = 1\ndef f():\n    print(x)\n") == [3]
    assert calls_of_print('"""\n>>> print(3)\n"""\n') == []


SILENT = [path for path in FILES if own_layer(path) != "cli"]


@pytest.mark.parametrize("path", SILENT, ids=[str(path.relative_to(ROOT)) for path in SILENT])
def test_only_the_command_line_prints(path):
    source = path.read_text(encoding="utf-8")
    assert not calls_of_print(source)
    assert "click" not in {name.split(".")[0] for name in imported(source)}


def test_only_reports_and_the_command_line_know_rich():
    users = {
        own_layer(path)
        for path in FILES
        if "rich" in {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"))}
    }
    assert users == {"report", "cli"}


def test_closed_forms_that_the_language_promises_are_there_and_no_others():
    from ceflow.spec import Mlp
    from ceflow.spec.models import CLOSED_MOMENTS
    from ceflow.variance import exact_moments

    for activation in CLOSED_MOMENTS:
        assert exact_moments(Mlp(widths=[3], activation=activation)).mean > 0
