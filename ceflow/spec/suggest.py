"""Suggestions for an unknown name."""

from collections import Counter
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from types import MappingProxyType

from ceflow.spec.vocabulary import Words, known_as, note, plain

LEAST_SIMILARITY = 0.7
"""Minimum similarity of a suggestion, from 0 to 1 (`difflib`)."""

LONGEST_WORD = 100
"""Maximum length of a name that gets suggestions: no longer name is in the language."""

MOST_LISTED = 20
"""Maximum number of names that a message lists."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Find the candidate of which a name is a misspelling; None if none is near.

    >>> nearest("widht", ["widths", "inputs"]), nearest("groups", ["outputs"])
    ('widths', None)
    """
    if len(name) > LONGEST_WORD:
        return None
    alike = [each for each in candidates if _may_be(name.lower(), each)]
    slips, likest = min(((_slips(name.lower(), each), each) for each in alike), default=(9, ""))
    like = SequenceMatcher(None, name.lower(), likest).ratio() >= LEAST_SIMILARITY
    return likest if (slips <= 1 < len(name)) or (slips == 2 and like) else None


def likeliest(name: str, candidates: Iterable[str], words: Words) -> str | None:
    """Find the candidate that is probably meant: another spelling, another tool's word,
    or a typo.
    """
    candidates = list(candidates)
    called = known_as(name, candidates, words) if len(name) <= LONGEST_WORD else None
    return called or nearest(name, candidates)


def did_you_mean(name: str, candidates: Iterable[str], words: Words = MappingProxyType({})) -> str:
    """Write a help line with the likeliest candidate, or else all of them; '' if there are none.

    `words` are those of other tools.

    >>> did_you_mean("widhts", ["widths", "inputs"])
    'did you mean widths?'
    >>> did_you_mean("zzz", ["widths", "inputs"])
    'one of widths, inputs'
    """
    candidates = list(candidates)
    meant = likeliest(name, candidates, words)
    if meant is None:
        return one_of(candidates)
    if meant in words.get(plain(name), ()) and plain(meant) != plain(name):
        return f"here it is called {meant}{note(meant)}"
    return f"did you mean {meant}?"


def one_of(candidates: Collection[str]) -> str:
    """List all of some names, or the first of them; '' if there are none."""
    shown = [*candidates][:MOST_LISTED] + (["..."] if len(candidates) > MOST_LISTED else [])
    return f"one of {', '.join(shown)}" if shown else ""


def _may_be(one: str, other: str) -> bool:
    """Tell quickly whether two words can be within two slips; `_slips` is slower."""
    return (
        max((Counter(one) - Counter(other)).total(), (Counter(other) - Counter(one)).total()) <= 2
    )


def _slips(one: str, other: str) -> int:
    """Count the letters omitted, added, changed or swapped with the next between two words."""
    before, row = [], list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        two_before, before, row = before, row, [i]
        for j, against in enumerate(other, 1):
            least = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != against))
            if i > 1 and j > 1 and (one[i - 2], letter) == (against, other[j - 2]):
                least = min(least, two_before[j - 2] + 1)
            row.append(least)
    return row[-1]
