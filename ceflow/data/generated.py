"""Inputs that are drawn or computed: Gaussian vectors, points on a circle."""

from pathlib import Path

from ceflow.data.dataset import Dataset, Examples, Extent
from ceflow.seeding import Seed
from ceflow.spec import Circle, Gaussian


def gaussian_extent(spec: Gaussian, folder: Path) -> Extent:
    return Extent(spec.inputs, spec.outputs, spec.train, spec.test)


def gaussian(spec: Gaussian, folder: Path, seed: Seed) -> Dataset:
    def part(name: str, count: int) -> Examples:
        random = seed.fold(name).numpy()
        x = random.standard_normal((count, spec.inputs))
        return Examples(x, random.standard_normal((count, spec.outputs)))

    return Dataset(part("train", spec.train), part("test", spec.test))


def circle_extent(spec: Circle, folder: Path) -> Extent:
    return Extent(2, spec.outputs, spec.points, 0)


def circle(spec: Circle, folder: Path, seed: Seed) -> Dataset:
    import numpy as np

    angle = np.linspace(-np.pi, np.pi, spec.points)
    x = spec.scale * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    y = seed.numpy().standard_normal((spec.points, spec.outputs))
    return Dataset(Examples(x, y), Examples(x[:0], y[:0]))
