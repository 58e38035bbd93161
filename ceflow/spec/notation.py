"""Names of networks in the notation of ResNeXt: `37x10d` is 37 members of width 10."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ceflow.spec.base import LARGEST_COUNT

NETWORK_PATTERN = r"[0-9]{1,13}x[0-9]{1,13}(-[0-9]{1,13})*d?"


def read_network(name: str) -> tuple[int, tuple[int, ...]]:
    """Read multiplicity and widths from a name; a single width applies to all layers.

    >>> read_network("37x10d"), read_network("4x60-30d")
    ((37, (10,)), (4, (60, 30)))
    """
    multiplicity, widths = name.removesuffix("d").split("x")
    return int(multiplicity), tuple(map(int, widths.split("-")))


def network_name(multiplicity: int, widths: Sequence[int]) -> str:
    """Write the name of a network.

    >>> network_name(37, [10, 10]), network_name(4, [60, 30])
    ('37x10d', '4x60-30d')
    """
    shown = widths[:1] if len(set(widths)) == 1 else widths
    return f"{multiplicity}x{'-'.join(map(str, shown))}d"


def flops_text(flops: float) -> str:
    """Write FLOPs, followed by the multiply-adds, two FLOPs each.

    >>> flops_text(8.18e9), flops_text(960), flops_text(1.2345e6)
    ('8.18 GFLOPs (4.09 GMACs)', '960 FLOPs (480 MACs)', '1.23 MFLOPs (617 kMACs)')
    """
    return f"{scaled(flops)}FLOPs ({scaled(flops / 2)}MACs)"


def scaled(count: float) -> str:
    """Write a number with three digits and the prefix of its unit.

    >>> scaled(999_600), scaled(7), scaled(0.5), scaled(4e16), scaled(float("inf"))
    ('1.00 M', '7 ', '0.5 ', '40.0 P', 'inf ')
    """
    if count < 999.5 or count == float("inf"):
        return f"{count:.3g} "
    for prefix in "kMGT":
        count /= 1000
        if count < 999.5:
            return f"{count:#.3g}".rstrip(".") + f" {prefix}"
    return f"{count / 1000:#.3g}".rstrip(".") + " P"


def _checked(name: str) -> str:
    if re.fullmatch(NETWORK_PATTERN, name):
        multiplicity, widths = read_network(name)
        if all(1 <= count <= LARGEST_COUNT for count in (multiplicity, *widths)):
            return name
    raise PydanticCustomError("network", "must be members x width, as 37x10d or 4x60-30d")


NetworkName = Annotated[
    str,
    AfterValidator(_checked),
    WithJsonSchema({"type": "string", "pattern": f"^{NETWORK_PATTERN}$"}),
]
"""The name of a network in a document."""
