"""Small networks and data for tests of dynamics."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ceflow.nets import ACTIVATIONS, Dense, Ensemble


def mlp(key, width=8, hidden=1, activation="erf", inputs=3, outputs=2):
    keys = jax.random.split(key, hidden + 1)
    sizes = [inputs, *[width] * hidden]
    layers = []
    for size, k in zip(sizes[:-1], keys[:-1], strict=True):
        layers += [Dense(size, width, key=k), eqx.nn.Lambda(ACTIVATIONS[activation])]
    return eqx.nn.Sequential([*layers, Dense(sizes[-1], outputs, key=keys[-1])])


def ensemble(key, multiplicity=3, **options):
    return Ensemble(lambda key: mlp(key, **options), multiplicity, key=key)


def parameters_of(module):
    return eqx.filter(module, eqx.is_inexact_array)


def examples(n=4, inputs=3, outputs=2, seed=0):
    x_key, y_key = jax.random.split(jax.random.key(seed))
    return jax.random.normal(x_key, (n, inputs)), jnp.sign(jax.random.normal(y_key, (n, outputs)))
