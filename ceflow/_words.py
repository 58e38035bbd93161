"""Words that stand for a choice, as Python gives them to the library."""

from collections.abc import Iterable


def one_of(name: str, word: object, known: Iterable[str]) -> None:
    """Raise `ValueError` for a word that is none of those known; it calls the word `name`.

    >>> one_of("reduction", "max", ("sum", "mean"))
    Traceback (most recent call last):
    ValueError: reduction must be 'sum' or 'mean', not 'max'
    """
    *first, last = map(repr, known)
    if not (isinstance(word, str) and repr(word) in (*first, last)):
        raise ValueError(f"{name} must be {', '.join(first)} or {last}, not {word!r}")
