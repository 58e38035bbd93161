"""Suggestions for a name that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """One line: the likeliest of the candidates, else all of them; empty where there are none.

    >>> did_you_mean("widhts", ["widths", "inputs"])
    'did you mean widths?'
    >>> did_you_mean("zzz", ["widths", "inputs"])
    'one of widths, inputs'
    """
    candidates = list(candidates)
    if len(name) > 100:  # whatever was meant, it is not this
        name = ""
    close = get_close_matches(name.lower(), candidates, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if len(candidates) > 20:
        candidates = [*candidates[:20], "..."]
    return f"one of {', '.join(candidates)}" if candidates else ""
