"""Ready-made networks: their counts are those of timm and torchvision (figures from
benchmarks/peers/ready_made_counts.py), and they compile."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import ceflow
from ceflow.compiler import nodes
from ceflow.compiler.lowering import lower
from ceflow.spec.ready import ready, ready_names

COUNTS = {
    "convnext-tiny": (28_589_128, 8_911_062_528),
    "mixer-s16": (18_528_264, 7_553_916_928),
    "mobilenet-v2": (3_504_872, 601_548_544),
    # by hand: 9 (3 + (k - 1) 128) 128 + 1280 parameters, k convolutions
    "myrtle-5": (447_104, 403_442_176),
    "myrtle-7": (742_016, 497_814_016),
    "myrtle-10": (1_184_384, 894_175_744),
    "resnet-18": (11_689_512, 3_628_146_688),
    "resnet-34": (21_797_672, 7_327_522_816),
    "vgg-16": (138_357_544, 30_940_528_640),
    "vgg-16-bn": (138_365_992, 30_940_528_640),
    "vit-tiny": (5_717_032, 2_493_127_680),
    "wide-resnet-28-10": (36_479_194, 10_486_657_536),
}
"""Parameters and FLOPs of each network."""


def plan_of(name, **settings):
    set_to = [f"model.{key}={value}" for key, value in settings.items()]
    return ceflow.compile(ceflow.loads(f'extends = "ceflow:{name}"', settings=set_to))


def test_every_ready_made_network_is_counted():
    assert ready_names() == sorted(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_those_of_the_libraries(name):
    root = plan_of(name).root
    assert (root.parameters, root.flops) == COUNTS[name]
    told = " ".join(line.removeprefix("#").strip() for line in ready(name).lines[:4])
    assert all(f"{count:,}" in told for count in COUNTS[name])


@pytest.mark.parametrize("name", COUNTS)
def test_modules_have_the_counted_parameters_and_shapes(name):
    root = plan_of(name).root
    module = eqx.filter_eval_shape(lower, root, jax.random.key(0))
    x = jax.ShapeDtypeStruct(root.inputs, jnp.float32)
    assert eqx.filter_eval_shape(lambda m, x: m(x), module, x).shape == (root.outputs,)


@pytest.mark.parametrize("name", [pytest.param("mobilenet-v2", marks=pytest.mark.slow), "myrtle-5"])
def test_a_network_for_other_images_and_classes_runs(name):
    plan = plan_of(name, inputs=[3, 32, 32], outputs=4)
    outputs = plan.module(jax.random.key(0))(jnp.ones((3, 32, 32)))  # pyright: ignore
    assert outputs.shape == (4,)
    assert jnp.isfinite(outputs).all()


@pytest.mark.parametrize("name", COUNTS)
def test_kernels_at_infinite_width_are_those_of_convnext_and_myrtle(name):
    reason = plan_of(name).model.why_no_limit
    assert (reason is None) == name.startswith(("convnext", "myrtle"))


def test_sizes_over_a_ready_made_network_change_its_ends_alone():
    big, small = (plan_of("resnet-18", inputs=[3, side, side]).root for side in (224, 32))
    assert small.parameters == big.parameters
    assert nodes.units(plan_of("resnet-18", outputs=7).root.outputs) == 7
