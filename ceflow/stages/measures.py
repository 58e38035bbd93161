"""Measures that may be undefined, such as 0/0: null, with a warning, and nothing else is lost."""

from collections.abc import Callable, Iterable

from ceflow.stages.stage import Values


def measured(
    values: Values, keys: Iterable[str], measure: Callable[[], Values], name: str = ""
) -> None:
    """Add to a stage's values what a measure finds; where it is undefined, and so raises
    `ValueError` or `ArithmeticError`, null for each of its keys and a warning that says why.

    >>> values = {"trace": 1.0}
    >>> measured(values, ["ratio"], lambda: {"ratio": 1 / 0}, "the ratio")
    >>> values
    {'trace': 1.0, 'ratio': None, 'warnings': ['the ratio is undefined: division by zero']}
    """
    try:
        values |= measure()
    except (ValueError, ArithmeticError) as error:
        values |= dict.fromkeys(keys)
        warn(values, f"{name or ' and '.join(keys)} is undefined: {error}")


def warn(values: Values, sentence: str) -> None:
    """Add a warning to a stage's values."""
    values["warnings"] = [*values.get("warnings", ()), sentence]
