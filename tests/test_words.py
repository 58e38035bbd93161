"""Words that stand for a choice are known, or refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ceflow import dynamics, kernels, search, variance
from ceflow.compiler import compile
from ceflow.compiler.models import expand
from ceflow.dynamics.closed_form import ConstantKernel
from ceflow.exports import export
from ceflow.spec import Document, Mlp

MLP = Mlp(widths=[2], inputs=2, outputs=1)
DOORS: dict[str, Callable[[Any], object]] = {
    "block_kernel": lambda word: kernels.block_kernel(MLP, word),
    "draw_inputs": lambda word: variance.draw_inputs((3,), word, np.random.default_rng(0)),
    "ConstantKernel": lambda word: ConstantKernel(np.eye(2), word),
    "Loss": lambda word: dynamics.SquaredError(word),
    "counted": lambda word: search.counted(expand, word),
    "Limit": lambda word: search.Limit(word, lambda model: 1.0, 1.0),
    "limit_text": lambda word: search.limit_text(word, 1.0),
    "export": lambda word: export(compile(Document(model=MLP)), word),
}


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("word", ["NTK", "Rectified", "", None])
def test_a_word_that_is_not_known_is_refused(name: str, word: Any):
    with pytest.raises(ValueError, match=rf" must be .* or .*, not {word!r}$"):
        DOORS[name](word)
