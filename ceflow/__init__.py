"""ceflow: collegial ensembles and infinitely wide networks with bottlenecks, from a spec.

>>> import ceflow
>>> document = ceflow.loads('''
... [model]
... type = "mlp"
... inputs = 748
... outputs = 10
... widths = [500, 500, 500, 500, 500]
... ''')
>>> ceflow.compile(document).root.parameters
1379000
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy

if TYPE_CHECKING:
    from ceflow import (
        bottlenecks,
        claims,
        data,
        dynamics,
        exports,
        kernels,
        nets,
        search,
        spec,
        training,
        variance,
    )
    from ceflow.compiler import Plan, compile
    from ceflow.runs import Run, RunError, open, run
    from ceflow.spec import Document, SpecError, dumps, load, loads

__version__ = "0.1.0"
__all__ = [
    "Document",
    "Plan",
    "Run",
    "RunError",
    "SpecError",
    "bottlenecks",
    "claims",
    "compile",
    "data",
    "dumps",
    "dynamics",
    "exports",
    "kernels",
    "load",
    "loads",
    "nets",
    "open",
    "run",
    "search",
    "spec",
    "training",
    "variance",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ceflow.spec": (
            "Document",
            "SpecError",
            "dumps",
            "load",
            "loads",
        ),
        "ceflow.compiler": (
            "Plan",
            "compile",
        ),
        "ceflow.runs": (
            "Run",
            "RunError",
            "open",
            "run",
        ),
    },
    packages=(
        "bottlenecks",
        "claims",
        "data",
        "dynamics",
        "exports",
        "kernels",
        "nets",
        "search",
        "spec",
        "training",
        "variance",
    ),
)
