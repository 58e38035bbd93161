"""Whole numbers that a float64 does not hold are found, wherever they stand and however written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceflow.data.npy import Header, first_rounded

EDGES = [sign * (2**power + step) for power in (0, 52, 53, 54, 63) for step in (-1, 0, 1)
         for sign in (1, -1)]  # fmt: skip


@pytest.mark.parametrize("kind", ["<i8", ">i8", "<u8", ">u8"])
@given(numbers=st.lists(st.sampled_from(EDGES) | st.integers(-(2**63), 2**64 - 1), max_size=4))
def test_the_first_that_rounds_is_found(kind: str, numbers: list[int]):
    ends = np.iinfo(kind)
    held = [number for number in numbers if ends.min <= number <= ends.max]
    rounded = [at for at, number in enumerate(held) if int(float(number)) != number]
    header = Header((len(held),), kind, False, 0)
    found = first_rounded(np.array(held, kind).tobytes(), header)
    assert found == (rounded[0] if rounded else None)


@pytest.mark.parametrize("kind", ["<f8", "<i4", "|u1"])
def test_other_types_are_exact(kind: str):
    assert first_rounded(np.full(3, 77, kind).tobytes(), Header((3,), kind, False, 0)) is None
