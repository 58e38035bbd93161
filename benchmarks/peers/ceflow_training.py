"""Steps of training by ceflow, in the project's environment, of the cases of torch_training.py.

ceflow_training.py CASE BATCH
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from steps import STEPS, serve

import ceflow
from ceflow import training
from ceflow.compiler.lowering import lower_with_state
from ceflow.dynamics import LOSSES
from ceflow.stages import Job
from ceflow.stages.train.examples import examples_of
from ceflow.stages.train.networks import NetworkProblem
from ceflow.store import RunDirectory
from ceflow.training import Optimiser, Schedule, Trainer, separated
from ceflow.training.steps import Place, advance, compiled

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
    """Steps of a network of images."""
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

    def steps():
        place = Place.at(now["step"], batch, 4 * batch)
        if not now["step"]:
            now["replicas"] = compiled(trainer, now["replicas"], place)
        now["replicas"], losses = advance(trainer, now["replicas"], place, STEPS)
        now["step"] += STEPS
        losses.block_until_ready()

    return steps


ENSEMBLE = """ceflow = 1
precision = "float32"
data = {source = "digits", train = 1500, test = 0}
[model]
type = "ensemble"
multiplicity = 12
member = {widths = [48, 48, 48, 48, 48]}
[stages.t]
type = "train"
epochs = 1000000
batch = %d
optimizer = "adam"
learning_rate = 1e-3
reduction = "mean"
points = 1
replicas = %d
"""


def epochs(replicas, batch):
    """An epoch of an ensemble, by what a stage `train` runs: all steps of all replicas."""
    plan = ceflow.compile(ceflow.loads(ENSEMBLE % (batch, replicas)))
    stage = plan.document.stages["t"]
    job = Job("t", stage, plan, plan.model, {}, RunDirectory(""), lambda event: None)
    problem = NetworkProblem(job, examples_of(job))
    steps = problem.train // batch
    now = {"step": 0}
    feed = training.Held(problem.trainer)

    def step():
        if "replicas" not in now:  # drawing them is part of the first step
            now["replicas"] = problem.start()
        trainer, place, _ = feed.at(now["step"])
        now["replicas"], losses = advance(trainer, now["replicas"], place, steps)
        now["step"] += steps
        losses.block_until_ready()

    return step


if __name__ == "__main__":
    kind, size = sys.argv[1], int(sys.argv[2])
    if kind.startswith("ensemble"):
        serve(epochs(int(kind.split("-")[1]) if kind[-1].isdigit() else 1, size))
    else:
        serve(images(kind, size), STEPS)
