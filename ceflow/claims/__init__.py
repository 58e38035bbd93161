"""Claims of the papers, put to the test on networks of finite width: one file a claim."""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy
from ceflow.claims.trial import Trial
from ceflow.claims.verdict import Part, Verdict

if TYPE_CHECKING:
    from ceflow.claims.table import CLAIMS

__all__ = ["CLAIMS", "Part", "Trial", "Verdict"]

__getattr__, __dir__ = lazy(__name__, {"ceflow.claims.table": ("CLAIMS",)})
