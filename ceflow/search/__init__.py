"""The search for optimal ensembles: objectives, their optimum, and the near-optimal set.

A `problem` consists of a baseline, the law of its members' variance (`laws`), and the costs of
networks (`costs`). `optimum` solves it for widths in the baseline's proportion, `free` for any
widths, and `whole` finds the networks of whole members. These are plain Python. `times` reads
latencies, and `timing`, which loads JAX, measures them.
"""

from typing import TYPE_CHECKING

from ceflow._lazy import lazy
from ceflow.search.costs import Cost, Costs, counted, most_members, nearest_multiplicity, timed
from ceflow.search.free import optimise_freely
from ceflow.search.laws import Exact, Exponential, Law, Measured
from ceflow.search.optimum import Optimum, optimise
from ceflow.search.problem import Candidate, Limit, LimitName, Problem, limit_text, smallest_widths
from ceflow.search.times import Time, read_times, shared_seconds

if TYPE_CHECKING:
    from ceflow.search.timing import Timing, time_forward, time_in_turn

__all__ = [
    "Candidate",
    "Cost",
    "Costs",
    "Exact",
    "Exponential",
    "Law",
    "Limit",
    "LimitName",
    "Measured",
    "Optimum",
    "Problem",
    "Time",
    "Timing",
    "counted",
    "limit_text",
    "most_members",
    "nearest_multiplicity",
    "optimise",
    "optimise_freely",
    "read_times",
    "shared_seconds",
    "smallest_widths",
    "time_forward",
    "time_in_turn",
    "timed",
]

__getattr__, __dir__ = lazy(
    __name__, {"ceflow.search.timing": ("Timing", "time_forward", "time_in_turn")}
)
