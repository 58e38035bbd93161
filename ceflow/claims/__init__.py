"""Claims of the papers, put to the test on networks of finite width.

`table` names them. Of CE there are lemma 1 and theorem 1 in `ensembles`, of which `costs` says how
many are drawn; of BN there are `lemma_3_1`, `theorem_3_2`, `lemma_4_1`, `eq_5_and_6` and `eq_41`.
Each is put to the test on a `trial` and ends in a `verdict`; those about training follow an
`experiment`, a network and its limit, as `followed` says.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict

if TYPE_CHECKING:
    from ceflow.claims.table import CLAIMS

__all__ = ["CLAIMS", "Part", "Trial", "Verdict"]

__getattr__, __dir__ = lazy(__name__, {"ceflow.claims.table": ("CLAIMS",)})
