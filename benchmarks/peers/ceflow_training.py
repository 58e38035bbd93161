"""Steps of training by ceflow, in the project's environment, of the cases of torch_training.py.

ceflow_training.py CASE BATCH
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from steps import serve

import ceflow
from ceflow.compiler.lowering import lower_with_state
from ceflow.dynamics import LOSSES
from ceflow.training import Optimiser, Schedule, Trainer, separated
from ceflow.training.steps import Place, advance

RESNEXT = """ceflow = 1
[model]
type = "resnext"
blocks = [3, 3, 3]
inputs = [3, 32, 32]
outputs = 10
"""
DOCUMENTS = {
    "resnext-29-10x10d": f"{RESNEXT}cardinality = 10\nbase_width = 10\n",
    "resnext-29-37x10d": f"{RESNEXT}cardinality = 37\nbase_width = 10\n",
    "resnext-29-1x128d": f"{RESNEXT}cardinality = 1\nbase_width = 128\n",
    "wide-resnet-28-10": 'ceflow = 1\nextends = "ceflow:wide-resnet-28-10"\n',
}


def images(name, batch):
    """A step of a network of images."""
    plan = ceflow.compile(ceflow.loads(DOCUMENTS[name]))
    module, state = lower_with_state(plan.root, jax.random.key(0))
    network, parameters = separated(module)
    parameters, state = jax.tree.map(lambda leaf: leaf[None], (parameters, state))
    draw = np.random.default_rng(0)
    trainer = Trainer(
        network,
        Optimiser(jnp.asarray(0.01), Schedule(10**6), momentum=0.9, weight_decay=5e-4),
        LOSSES["cross-entropy"]("mean"),
        jnp.asarray(draw.normal(size=(4 * batch, 3, 32, 32)), jnp.float32),
        jax.nn.one_hot(np.arange(4 * batch) % 10, 10),
        jax.random.key(1)[None],
        batch=batch,
    )
    now = {"step": 0, "replicas": trainer.start(parameters, state)}

    def step():
        place = Place.at(now["step"], batch, 4 * batch)
        now["replicas"], losses = advance(trainer, now["replicas"], place, 1)
        now["step"] += 1
        losses.block_until_ready()

    return step


if __name__ == "__main__":
    serve(images(sys.argv[1], int(sys.argv[2])))
