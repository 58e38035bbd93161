"""Checks of words that name a choice."""

from collections.abc import Iterable


def one_of(name: str, word: object, known: Iterable[str]) -> None:
    """Raise `ValueError` if `word` is not in `known`; `name` names the choice in the message.

    >>> one_of("reduction", "max", ("sum", "mean"))
    Traceback (most recent call last):
    ValueError: reduction must be 'sum' or 'mean', not 'max'
    """
    *first, last = map(repr, known)
    if not (isinstance(word, str) and repr(word) in (*first, last)):
        raise ValueError(f"{name} must be {', '.join(first)} or {last}, not {word!r}")
