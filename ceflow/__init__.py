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

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ceflow._lazy import lazy
from ceflow.spec import Document, SpecError, Text, dumps, read, read_document

if TYPE_CHECKING:
    from ceflow.compiler import Plan, compile
    from ceflow.runs import Run, run

__version__ = "0.1.0"
__all__ = ["Plan", "Run", "SpecError", "compile", "dumps", "load", "loads", "run"]


def load(path: str | Path) -> Document:
    """Read a document from a TOML or JSON file. Raises `SpecError` with every fault in it."""
    return read_document(read(path))


def loads(text: str, syntax: Literal["toml", "json"] = "toml") -> Document:
    """Read a document from a string. Raises `SpecError` with every fault in it."""
    return read_document(Text("<string>", text, syntax, Path()))


__getattr__ = lazy(
    __name__,
    {
        "Plan": "ceflow.compiler",
        "compile": "ceflow.compiler",
        "Run": "ceflow.runs",
        "run": "ceflow.runs",
    },
)
