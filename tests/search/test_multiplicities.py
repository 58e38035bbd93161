"""From costs to whole members."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ceflow.search import most_members, nearest_multiplicity
from ceflow.search.costs import whole_members

counts = st.integers(0, 10**7)


@given(fixed=counts, each=st.integers(1, 10**5), target=counts)
def test_nearest_is_that_of_all_whole_numbers(fixed, each, target):
    def cost(m: int) -> int:
        return fixed + each * m

    found = nearest_multiplicity(target, cost)
    around = range(1, max(1, (target - fixed) // each) + 3)
    tried = around if len(around) < 100 else around[-100:]
    assert found >= 1
    assert abs(cost(found) - target) == min(abs(cost(m) - target) for m in tried)


@given(fixed=counts, each=st.integers(1, 10**5), members=st.integers(1, 1000))
def test_a_limit_that_is_met_exactly_buys_all_its_members(fixed, each, members):
    bought = most_members(fixed + each * members, lambda m: fixed + each * m)
    assert whole_members(bought) == members
    one_less = most_members(fixed + each * members - 1, lambda m: fixed + each * m)
    assert whole_members(one_less) == members - 1


def test_nothing_is_bought_at_a_cost_that_is_not_known():
    assert most_members(10.0, lambda m: math.inf) == 0


@pytest.mark.parametrize(("beside", "expected"), [(3.4, 4), (8.7, 8), (0.2, 1), (6.5, 6)])
def test_beside_a_number_only_its_neighbours_count(beside, expected):
    assert nearest_multiplicity(640, lambda m: 100 * m, beside) == expected
