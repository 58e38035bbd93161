"""The examples and networks on which claims are tested."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ceflow.compiler.nodes import units
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Ensemble, Model
from ceflow.spec.models.segmented import Segmented

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, Float


@dataclass(frozen=True)
class Trial:
    """A network and the size of the experiment with it.

    The model must have its inputs and outputs set. `width` is n of networks with a bottleneck;
    `draws`, `points` and `steps` are the numbers of networks, inputs and gradient descent steps.
    `observe(done, total)` is called with the progress.
    """

    model: Model
    seed: Seed
    width: int = 10_000
    draws: int = 1000
    points: int = 16
    steps: int = 100
    observe: Callable[[float, float], None] = lambda done, total: None

    @property
    def bottleneck(self) -> Bottleneck:
        return Bottleneck.expect(self.model)

    @property
    def network(self) -> Segmented:
        """A bottleneck, or a chain of several."""
        return Segmented.expect(self.model)

    @property
    def ensemble(self) -> Ensemble:
        return Ensemble.expect(self.model)

    @property
    def sizes(self) -> tuple[int | tuple[int, int, int], int]:
        """Shape of an example, a number of inputs or that of an image, and number of outputs."""
        return self.model.size_of("inputs"), self.model.size_of("outputs")

    def examples(self) -> "tuple[Float[Array, 'n ...'], Float[Array, 'n outputs']]":
        """Draw standard normal inputs, and as targets a fixed random projection of them."""
        shape, outputs = self.sizes
        inputs = int(units(shape))
        x = self._drawn("inputs", self.points, inputs)
        y = x @ self._drawn("targets", inputs, outputs) / inputs**0.5
        return _array(x.reshape(len(x), *shape) if isinstance(shape, tuple) else x), _array(y)

    def normal(self, name: str, *shape: int) -> "Float[Array, '...']":
        """Draw standard normal numbers from the random stream `name`."""
        return _array(self._drawn(name, *shape))

    def _drawn(self, name: str, *shape: int) -> "Float[np.ndarray, '...']":
        return self.seed.fold(name).numpy().normal(size=shape)


def _array(numbers: "np.ndarray") -> "Array":
    """Convert to an array of JAX's default float type."""
    import jax.numpy as jnp

    return jnp.asarray(numbers, float)
