"""Names that import their module on first use, so that JAX is not loaded before it is needed."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy(
    package: str, names: Mapping[str, tuple[str, ...]], packages: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package (PEP 562). `names` gives the names of each
    module, `packages` the subpackages to import when they are named.
    """
    homes = {name: module for module, held in names.items() for name in held}

    def attribute(name: str) -> Any:
        if name in packages:
            return import_module(f"{package}.{name}")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return attribute, lambda: sorted({*homes, *packages})
