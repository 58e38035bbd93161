"""The language: what a document may contain, and how it is read and written. Never imports JAX.

A `document` has `models`, `data`, `stages`, a `sweep`, maybe `along` a curve, and comparisons to
`collect` by `paths`, also of `tabulated` results; the classes of all of them derive from `base`.
`notation` reads the names of networks. `text` is parsed into `trees`, and `origin` and `positions`
know where each value came from; `ready` holds the networks that a document can extend by name;
`reading` validates trees into a document, `writing` turns it back into text, with its `comments`.
`faults` become `diagnostics` with `codes`, with the help of the `classes` of the language, its
`vocabulary` and the names and `schedules` it can `suggest`; `float32` finds numbers that float32
cannot hold. `schema` is for editors, `terms` explains the words of reports, and `meanings` those of
documents. `plugins` adds the kinds of other packages.
"""

from ceflow.spec import data, models, stages
from ceflow.spec.along import candidate_widths
from ceflow.spec.base import Spec
from ceflow.spec.collect import Collect
from ceflow.spec.data import *  # noqa: F403
from ceflow.spec.diagnostics import Fault, Place, SpecError, printable
from ceflow.spec.document import VERSION, Document, Examined
from ceflow.spec.models import *  # noqa: F403
from ceflow.spec.notation import flops_text, network_name, read_network, scaled
from ceflow.spec.origin import Origin, placing, stack
from ceflow.spec.paths import ERRORS, at_path, history_path, same_value, value_label
from ceflow.spec.reading import check, examined, load, loads, revalidated
from ceflow.spec.schema import json_schema
from ceflow.spec.stages import *  # noqa: F403
from ceflow.spec.sweep import Sweep, seen_from_sweep, variants
from ceflow.spec.tabulated import CollectTable, Comparison
from ceflow.spec.text import Text
from ceflow.spec.writing import dumps, dumps_origins, tree_of

__all__ = [
    "ERRORS",
    "VERSION",
    "Collect",
    "CollectTable",
    "Comparison",
    "Document",
    "Examined",
    "Fault",
    "Origin",
    "Place",
    "Spec",
    "SpecError",
    "Sweep",
    "Text",
    "at_path",
    "candidate_widths",
    "check",
    "dumps",
    "dumps_origins",
    "examined",
    "flops_text",
    "history_path",
    "json_schema",
    "load",
    "loads",
    "network_name",
    "placing",
    "printable",
    "read_network",
    "revalidated",
    "same_value",
    "scaled",
    "seen_from_sweep",
    "stack",
    "tree_of",
    "value_label",
    "variants",
]
__all__ += data.__all__
__all__ += models.__all__
__all__ += stages.__all__
