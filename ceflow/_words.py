"""Words that stand for a choice, as Python gives them to the library."""

from collections.abc import Iterable


def one_of(what: str, word: object, known: Iterable[str]) -> None:
    """Raise `ValueError`, which says what `what` is, for a word that is none of those known.

    >>> one_of("a reduction", "max", ("sum", "mean"))
    Traceback (most recent call last):
    ValueError: a reduction is sum or mean, not 'max'
    """
    *first, last = known
    if not (isinstance(word, str) and word in (*first, last)):
        raise ValueError(f"{what} is {', '.join(first)} or {last}, not {word!r}")
