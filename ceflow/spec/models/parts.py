"""Networks inside other models: the member of an ensemble, the halves of a bottleneck."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic.json_schema import JsonSchemaValue

from ceflow.spec.models.external import External
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.network import Network

USUAL = "mlp"
"""The kind of a part whose table leaves its type out."""


def _typed(value: Any) -> Any:
    """Add the type to a table that leaves it out."""
    if isinstance(value, Mapping) and "type" not in value:
        return {"type": USUAL, **value}
    return value


class Typed:
    """Says in the schema of tagged tables which kind a table without a tag is."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> JsonSchemaValue:
        schema = handler(core)
        schema["discriminator"]["defaultMapping"] = USUAL
        return schema


typed = BeforeValidator(_typed)

Part = Annotated[Annotated[Mlp | Network, Field(discriminator="type")], typed, Typed()]
"""A half of a bottleneck: an mlp, which may leave its type out, or any network."""

MemberPart = Annotated[
    Annotated[Mlp | Network | External, Field(discriminator="type")], typed, Typed()
]
"""A member of an ensemble: an mlp, which may leave its type out, any network, or a module of the
user's."""
