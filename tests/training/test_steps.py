"""Steps of several replicas: against loops by hand, one replica at a time, and in other calls."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_trainings import (
    ENSEMBLE,
    EXAMPLES,
    MEMBER,
    advanced,
    assert_close,
    assert_equal,
    one_of,
    trained,
)

from ceflow.dynamics import CrossEntropy, SquaredError
from ceflow.seeding import pinned
from ceflow.spec import Network
from ceflow.training import order_of, outputs
from ceflow.training.augmentation import PADDING, Standard, augmented


def order(trainer, count, replica=0):
    """Numbers of the examples as they come, epoch after epoch."""
    epochs = range(-(-count // EXAMPLES))
    ordered = jax.jit(order_of, static_argnums=2)
    return np.concatenate([ordered(trainer.keys[replica], e, EXAMPLES) for e in epochs])[:count]


def by_hand(trainer, start, steps, replica=0):
    """Gradient descent written as a loop over JAX's own gradient."""
    module = trainer.network.module(one_of(start.parameters, replica), None)
    rows = order(trainer, steps * trainer.batch, replica).reshape(steps, -1)
    losses = []

    def loss(module, x, y):
        return 0.5 * jnp.square(jax.vmap(module)(x) - y).sum(axis=1).mean()

    slope_of = eqx.filter_jit(eqx.filter_value_and_grad(loss))
    for batch in rows:
        value, slope = slope_of(module, trainer.x[batch], trainer.y[batch])
        losses.append(value)
        slope = jax.tree.map(lambda g: -0.05 * np.asarray(g), slope)
        module = eqx.apply_updates(module, slope)
    return eqx.filter(module, eqx.is_inexact_array), np.array(losses)


@pytest.mark.parametrize("model", [MEMBER, ENSEMBLE], ids=["mlp", "ensemble"])
def test_steps_are_those_of_a_loop_by_hand(model, x64):
    """Of more than two epochs, whose ends lie within batches."""
    trainer, start = trained(model)
    after, losses = advanced(trainer, start, 0, 7)
    parameters, expected = by_hand(trainer, start, 7)
    np.testing.assert_allclose(losses[:, 0], expected, rtol=1e-12)
    assert_close(one_of(after.parameters, 0), parameters, rtol=1e-10, atol=1e-13)


def test_every_epoch_has_each_example_once_in_an_order_of_its_own():
    trainer, _ = trained()
    first, second = order(trainer, 2 * EXAMPLES).reshape(2, -1)
    assert sorted(first) == sorted(second) == list(range(EXAMPLES))
    assert list(first) != list(second)


def test_a_batch_of_all_examples_is_not_reordered(x64):
    trainer, start = trained(batch=EXAMPLES)
    _, losses = advanced(trainer, start, 0, 1)
    found = outputs(trainer.network, start.kept, trainer.x, 3)[0]
    assert losses[0, 0] == pytest.approx(float(SquaredError("mean")(found, trainer.y)), rel=1e-14)


@pytest.mark.parametrize("model", [MEMBER, ENSEMBLE], ids=["mlp", "ensemble"])
def test_replicas_together_are_what_each_is_alone(model, x64):
    """Up to rounding, since batched products may sum in another order."""
    rule = {"momentum": 0.9, "weight_decay": 0.01, "clip": 1.0}
    trainer, start = trained(model, seeds=(0, 1, 2), rule=rule)
    together, losses = advanced(trainer, start, 0, 6)
    for replica in range(3):
        alone, begin = trained(model, seeds=(replica,), rule=rule)
        after, its_losses = advanced(alone, begin, 0, 6)
        np.testing.assert_allclose(losses[:, replica], its_losses[:, 0], rtol=1e-11)
        assert_close(
            one_of(together.parameters, replica), one_of(after.parameters, 0), rtol=1e-9, atol=1e-12
        )
    assert np.ptp(losses, axis=1).min() > 0


@pytest.mark.parametrize("case", ["loop", "by calls", "linearised"])
def test_replicas_in_groups_are_those_of_one_group_bit_for_bit(case):
    """Five in groups of two: the last group trains one of another's again."""
    options: dict[str, Any] = {
        "loop": {"rule": {"kind": "adam"}, "average": 0.9},
        "by calls": {"by_calls": True},
        "linearised": {"linearised": True},
    }[case]
    trainer, start = trained(MEMBER, seeds=range(5), **options)
    whole, losses = advanced(trainer, start, 0, 4)
    grouped, start = trained(MEMBER, seeds=range(5), together=2, **options)
    assert grouped.groups == [0, 2, 3]
    found, its_losses = advanced(grouped, start, 0, 4)
    np.testing.assert_array_equal(losses, its_losses)
    assert_equal(found, whole)


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_steps_in_two_calls_are_those_in_one_bit_for_bit(cut):
    trainer, start = trained(seeds=(0, 1), rule={"kind": "adam"}, average=0.9)
    whole, losses = advanced(trainer, start, 0, 8)
    part, first = advanced(trainer, start, 0, cut)
    part, second = advanced(trainer, part, cut, 8 - cut)
    np.testing.assert_array_equal(losses, np.concatenate([first, second]))
    assert_equal(part, whole)


@pytest.mark.parametrize("batch", [4, EXAMPLES])
def test_steps_of_one_call_each_are_those_of_a_loop(batch, x64):
    """Up to rounding, as the compiler may fuse them otherwise."""
    (trainer, start), (called, _) = (trained(batch=batch, by_calls=each) for each in (False, True))
    after, losses = advanced(trainer, start, 1, 6)
    other, its_losses = advanced(called, start, 1, 6)
    np.testing.assert_allclose(losses, its_losses, rtol=1e-12)
    assert_close(after.parameters, other.parameters, rtol=1e-10, atol=1e-13)


def test_steps_are_in_the_precision_of_the_weights():
    for double in (False, True):
        with jax.enable_x64(double):
            after, losses = advanced(*trained(), 0, 5)
            kind = np.dtype("float64" if double else "float32")
            assert {leaf.dtype for leaf in jax.tree.leaves(after.parameters)} == {kind}
            assert losses.dtype == kind


def test_smoothed_targets_are_mixed_with_equal_ones(x64):
    loss = CrossEntropy("mean")
    trainer, start = trained(batch=EXAMPLES, smoothing=0.2, loss=loss)
    y = jax.nn.one_hot(jnp.arange(EXAMPLES) % 2, 2, dtype=trainer.x.dtype)
    trainer = eqx.tree_at(lambda t: t.y, trainer, y)
    _, losses = advanced(trainer, start, 0, 1)
    found = jax.nn.log_softmax(outputs(trainer.network, start.kept, trainer.x, 5)[0])
    expected = -(0.8 * (y * found).sum(axis=1) + 0.1 * found.sum(axis=1)).mean()
    assert losses[0, 0] == pytest.approx(float(expected), rel=1e-12)


def test_weights_are_averaged_over_the_steps(x64):
    trainer, start = trained(average=0.75)
    plain, now = start.parameters, start
    mean = plain
    for step in range(4):
        now, _ = advanced(trainer, now, step, 1)
        mean = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, mean, now.parameters)
    assert_close(now.kept[0], mean, rtol=1e-12)
    assert_equal(now.parameters, advanced(*trained(), 0, 4)[0].parameters)


def test_a_linearised_network_follows_its_tangent(x64):
    """Outputs after a step are F_0 + J (theta - theta_0), by a difference of outputs."""
    trainer, start = trained(MEMBER, linearised=True, batch=EXAMPLES)
    after, _ = advanced(trainer, start, 0, 3)
    found = outputs(trainer.network, after.kept, trainer.x, 10, trainer.origins)[0]
    moved = jax.tree.map(jnp.subtract, after.parameters, start.parameters)

    def at(t):
        there = jax.tree.map(lambda a, b: a + t * b, start.parameters, moved)
        return outputs(trainer.network, (there, start.state), trainer.x, 10)[0]

    tangent = (at(1e-4) - at(-1e-4)) / 2e-4
    np.testing.assert_allclose(found, at(0.0) + tangent, rtol=1e-6, atol=1e-8)
    assert np.abs(found - at(1.0)).max() > 1e-4  # where the network itself is elsewhere


def test_outputs_do_not_depend_on_the_size_of_a_block():
    trainer, start = trained(seeds=(0, 1))
    with pinned():  # as in a run
        one, other = (outputs(trainer.network, start.kept, trainer.x, size) for size in (3, 10))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert one.shape == (2, EXAMPLES, 2)


IMAGES: dict[str, Any] = {
    "type": "network",
    "inputs": [2, 4, 4],
    "outputs": 3,
    "layers": [
        {"type": "convolution", "channels": 4},
        "batch-norm",
        "relu",
        {"type": "dropout", "rate": 0.5},
        "global-average",
        {"type": "dense"},
    ],
}


def test_running_statistics_are_those_of_the_batches(x64):
    """After one step from 0 and 1: 0.9 of these and 0.1 of the batch's, of variance unbiased."""
    trainer, start = trained(Network(**IMAGES), batch=EXAMPLES)
    after, _ = advanced(trainer, start, 0, 1)
    module = trainer.network.module(one_of(start.parameters, 0), one_of(start.state, 0)).module
    before = jax.vmap(module.layers[0])(trainer.x)
    mean, variance = before.mean(axis=(0, 2, 3)), before.var(axis=(0, 2, 3), ddof=1)
    found = jax.tree.leaves(after.state)
    np.testing.assert_allclose(found[0][0], 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(found[1][0], 0.9 + 0.1 * variance, rtol=1e-12)
    # inference uses them: outputs of one example do not depend on the others
    whole = outputs(trainer.network, after.kept, trainer.x, 10)
    some = outputs(trainer.network, after.kept, trainer.x[:1], 1)
    np.testing.assert_allclose(whole[:, :1], some, rtol=1e-10)


def test_dropout_acts_in_training_alone_and_anew_in_each_step():
    plain: dict[str, Any] = IMAGES | {
        "layers": [x for x in IMAGES["layers"] if "dropout" not in str(x)]
    }
    still = {"rate": jnp.asarray(0.0)}
    losses = {}
    for name, model in (("dropped", IMAGES), ("plain", plain)):
        trainer, start = trained(Network(**model), batch=EXAMPLES, rule=still)
        losses[name] = advanced(trainer, start, 0, 3)[1][:, 0]
        once = outputs(trainer.network, start.kept, trainer.x, 5)
        np.testing.assert_array_equal(once, outputs(trainer.network, start.kept, trainer.x, 5))
    assert len(set(losses["dropped"].tolist())) == 3
    assert len(set(losses["plain"].tolist())) == 1


def test_dropout_reaches_layers_inside_others():
    inner = [{"type": "dropout", "rate": 0.5}, {"type": "dense", "units": 3}]
    body = {"type": "residual", "body": [{"type": "ensemble", "multiplicity": 2, "layers": inner}]}
    model = Network(
        inputs=3,
        outputs=2,
        layers=[body, {"type": "dense"}],  # pyright: ignore
    )
    trainer, start = trained(model, batch=EXAMPLES, rule={"rate": jnp.asarray(0.0)})
    assert trainer.network.draws
    assert len(set(advanced(trainer, start, 0, 3)[1][:, 0].tolist())) == 3


def test_bfloat16_is_near_float32_and_weights_stay_in_it():
    exact = advanced(*trained(), 0, 5)
    trainer, start = trained(compute="bfloat16")
    after, losses = advanced(trainer, start, 0, 5)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.parameters)} == {np.dtype("float32")}
    np.testing.assert_allclose(losses, exact[1], rtol=0.05)  # 8 bits: 0.4 % each
    assert (losses != exact[1]).any()


def test_bfloat16_keeps_running_statistics_in_float32():
    trainer, start = trained(Network(**IMAGES), compute="bfloat16")
    after, losses = advanced(trainer, start, 0, 2)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.state)} == {np.dtype("float32")}
    assert np.isfinite(losses).all()


def test_images_are_cropped_and_flipped():
    x = jnp.arange(1.0, 1 + 40 * 2 * 5 * 6).reshape(40, 2, 5, 6)
    flipped = augmented(x, ["flip"], jax.random.key(0))
    mirrored = [bool((a == b[..., ::-1]).all()) for a, b in zip(flipped, x, strict=True)]
    same = [bool((a == b).all()) for a, b in zip(flipped, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 8 < sum(mirrored) < 32  # Binomial(40, 1/2): outside with probability 1e-4
    cropped = augmented(x, ["crop"], jax.random.key(0))
    edges = (PADDING, PADDING)
    padded = np.pad(x, ((0, 0), (0, 0), edges, edges))
    places = [(i, j) for i in range(2 * PADDING + 1) for j in range(2 * PADDING + 1)]
    for image, whole in zip(np.asarray(cropped), padded, strict=True):
        crops = [whole[:, i : i + 5, j : j + 6] for i, j in places]
        assert any((image == crop).all() for crop in crops)
    assert len({image.tobytes() for image in np.asarray(cropped)}) > 30


def test_crops_of_any_size_are_scaled_to_the_image():
    """Ramps tell where a crop lies; there, another image is interpolated by hand."""
    count, (height, width) = 200, (12, 16)
    rows, columns = np.indices((height, width), np.float32)
    other = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    x = jnp.broadcast_to(jnp.stack([rows, columns, other]), (count, 3, height, width))
    found = np.asarray(augmented(x, ["resized-crop"], jax.random.key(0)))
    middle = found[:, :, height // 2 : height // 2 + 2, width // 2 : width // 2 + 2]
    start = np.stack([middle[:, 0, 0, 0], middle[:, 1, 0, 0]], axis=1)
    side = np.stack([middle[:, 0, 1, 0], middle[:, 1, 0, 1]], axis=1) - start
    area, proportions = side.prod(axis=1), side[:, 1] / side[:, 0]
    assert (side <= 1 + 1e-4).all()
    whole = (side > 1 - 1e-4).any(axis=1)  # sides that would be longer than the image
    assert (area[~whole] > 0.08 - 1e-4).all()
    assert (np.abs(np.log(proportions[~whole])) < np.log(4 / 3) + 1e-3).all()
    assert area.min() < 0.2  # of 200: fails with probability 1e-12
    assert area.max() > 0.8
    at = np.moveaxis(np.indices((height, width)), 0, -1) - [height // 2, width // 2]
    where = start[:, None, None] + at * side[:, None, None]  # numbers of pixels
    assert (where > -0.5 - 1e-3).all()
    assert (where < np.array([height, width]) - 0.5 + 1e-3).all()
    i, j = np.moveaxis(np.clip(where, 0, [height - 1, width - 1]), -1, 0)
    a, b = np.floor(i).astype(int), np.floor(j).astype(int)
    c, d = np.minimum(a + 1, height - 1), np.minimum(b + 1, width - 1)
    u, v = i - a, j - b
    by_hand = (1 - u) * ((1 - v) * other[a, b] + v * other[a, d]) + u * (
        (1 - v) * other[c, b] + v * other[c, d]
    )
    np.testing.assert_allclose(found[:, 2], by_hand, atol=1e-3)  # places of ramps in float32


def test_colours_change_by_brightness_contrast_and_saturation_in_any_order():
    """Factors of each image are found by least squares; then the changes are made one by one."""
    x = np.random.default_rng(0).uniform(size=(60, 3, 4, 5))
    found = np.asarray(augmented(jnp.asarray(x), ["color-jitter"], jax.random.key(0)))

    def grey_of(image: np.ndarray) -> np.ndarray:
        return 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]

    changes = {
        "brightness": lambda image, by: by * image,
        "contrast": lambda image, by: by * image + (1 - by) * grey_of(image).mean(),
        "saturation": lambda image, by: by * image + (1 - by) * grey_of(image),
    }
    factors = []
    for image, changed in zip(x, found, strict=True):
        grey = np.broadcast_to(grey_of(image), image.shape)
        level = np.full(image.size, grey.mean())
        columns = np.stack([image.ravel(), grey.ravel(), level], axis=1)
        a, b, c = np.linalg.lstsq(columns, changed.ravel(), rcond=None)[0]
        factors.append([a + b + c, (a + b) / (a + b + c), a / (a + b)])
        by = dict(zip(changes, factors[-1], strict=True))
        for order in itertools.permutations(changes):
            stepwise = image
            for name in order:
                stepwise = changes[name](stepwise, by[name])
            np.testing.assert_allclose(changed, stepwise, atol=1e-6)
    assert np.min(factors) > 0.6 - 1e-5
    assert np.max(factors) < 1.4 + 1e-5
    assert (np.ptp(factors, axis=0) > 0.6).all()  # 60 uniform draws: fails with probability 2e-6
    assert (abs(np.corrcoef(np.transpose(factors)) - np.eye(3)) < 0.5).all()  # 5e-5 each


def test_colours_of_standardised_images_are_those_before():
    random = np.random.default_rng(1)
    x = jnp.asarray(random.uniform(size=(6, 3, 4, 5)))
    standard = Standard(*jnp.asarray(random.uniform(0.2, 0.8, size=(2, 3, 4, 5))))
    mean, deviation = standard
    key, changes = jax.random.key(2), ["color-jitter", "flip"]
    wanted = (augmented(x, changes[:1], key) - mean) / deviation
    found = augmented((x - mean) / deviation, changes[:1], key, standard)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    both = augmented((x - mean) / deviation, changes, key, standard)
    mirrored = augmented(found, changes[1:], key)
    np.testing.assert_array_equal(both, mirrored)  # colours come first


def test_rows_of_images_are_augmented_as_images():
    options = {"batch": EXAMPLES, "augment": ("crop", "flip"), "rule": {"rate": jnp.asarray(0.0)}}
    plain = trained(batch=EXAMPLES, rule={"rate": jnp.asarray(0.0)})
    trainer, start = trained(image=(1, 1, 3), **options)
    losses, before = advanced(trainer, start, 0, 3)[1], advanced(*plain, 0, 3)[1]
    assert len(set(losses[:, 0].tolist())) == 3
    assert len(set(before[:, 0].tolist())) == 1
