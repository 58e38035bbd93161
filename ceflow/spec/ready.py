"""Ready-made networks: the documents in the folder `networks`, which any document can extend."""

from importlib.resources import files
from pathlib import Path

from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.origin import PREFIX
from ceflow.spec.suggest import nearest
from ceflow.spec.text import Text

_FOLDER = files("ceflow.spec") / "networks"


def ready_names() -> list[str]:
    """Return the names of the ready-made networks."""
    names = (file.name for file in _FOLDER.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def ready(name: str) -> Text:
    """Return the document of a ready-made network. Raises `SpecError` for a name that none has.

    >>> ready("resnet-18").lines[0]
    '# ResNet-18 for ImageNet: He et al. 2015, arXiv:1512.03385, table 1.'
    """
    names = ready_names()
    if name not in names:
        meant = nearest(name, names)
        message = f"no ready-made network has this name; there are {', '.join(names)}"
        raise SpecError(Fault("CE001", message, help=f"did you mean {meant}?" if meant else ""))
    content = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return Text(f"{PREFIX}{name}", content, "toml", Path())
