"""Tests of the papers' claims on networks of finite width.

`table` lists the claims by name. `ensembles` tests CE lemma 1 and theorem 1; `lemma_3_1`,
`theorem_3_2`, `lemma_4_1`, `eq_5_and_6` and `eq_41` test claims of BN, and `theorem_3_2` tests that
of chains too. Each takes a `trial` and returns a `verdict`. Claims on training set up an
`experiment`, a network and its limit, and use `followed` to track the network. `costs` forecasts
costs.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict

if TYPE_CHECKING:
    from ceflow.claims.table import CLAIMS

__all__ = ["CLAIMS", "Part", "Trial", "Verdict"]

__getattr__, __dir__ = lazy(__name__, {"ceflow.claims.table": ("CLAIMS",)})
