"""From a document to shapes and costs (plain Python), and from those to modules (JAX).

`plan` is the compiled document. `sizes` works out inputs and outputs, `models` expands a model into
the layers of `nodes`, a ResNeXt with `resnext`, a network of any layers with `layers`. `lowering`
turns these into modules, with weights from `drawing`. `modules` binds the names of the user's
modules, which `external` makes layers of by `tracing` them. `merging` writes an ensemble as a
single chain, on request. `programs` compiles small networks fast; `budget` says what is small.
"""

from ceflow.compiler.merging import merged
from ceflow.compiler.modules import Modules
from ceflow.compiler.plan import Plan, compile, plan_of, plan_with, without_data

__all__ = [
    "Modules",
    "Plan",
    "compile",
    "merged",
    "plan_of",
    "plan_with",
    "without_data",
]
