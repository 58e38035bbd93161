"""From a document to shapes and costs (plain Python), and from those to modules (JAX).

`plan` is the compiled document. `sizes` finds inputs and outputs, `models` expands a model to the
layers of `nodes`, a ResNeXt by `resnext`; `lowering` makes modules of these, an ensemble as one
chain where `merging` can, with weights from `drawing`. `programs` compiles small networks fast, by
the `budget`.
"""

from ceflow.compiler.merging import merged
from ceflow.compiler.plan import Plan, compile, plan_of, without_data

__all__ = [
    "Plan",
    "compile",
    "merged",
    "plan_of",
    "without_data",
]
