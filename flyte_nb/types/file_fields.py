"""Files, folders and datasets as fields of pydantic's models.

pydantic asks a class how it is checked and written. It is never imported here before it asks.
"""

import os
from importlib import import_module
from typing import Any

from flyte_nb.types.codec import Annotation, JsonSchema
from flyte_nb.types.datasets import DatasetCodec, StructuredDataset
from flyte_nb.types.file_codecs import file_codec
from flyte_nb.types.models import DATA


def field_schema(made: Annotation) -> Any:
    """Return pydantic's schema of a field of FlyteFile, FlyteDirectory or StructuredDataset."""
    core_schema = import_module("pydantic_core").core_schema
    codec = DatasetCodec(made) if made is StructuredDataset else file_codec(made)

    def read(value: object, info: Any) -> object:
        if isinstance(value, made):
            return value
        data = (info.context or {}).get(DATA)
        if isinstance(value, (str, os.PathLike)):
            return made(value) if data is None else codec.unpack({"path": os.fspath(value)}, data)
        if not isinstance(value, dict):
            raise ValueError(f"Expected {made.__name__} or a path")
        return codec.unpack({name: part for name, part in value.items() if part is not None}, data)

    def write(value: Any, info: Any) -> object:
        if info.context is None or DATA not in info.context:  # the author's own `model_dump`
            return _as_it_is(value)
        return codec.pack(value, info.context[DATA])

    def described(schema: Any, handler: Any) -> JsonSchema:
        return _described(codec.schema())

    return core_schema.with_info_plain_validator_function(
        read,
        ref=f"{made.__module__}.{made.__name__}:{id(made)}",
        metadata={"pydantic_js_functions": [described]},
        serialization=core_schema.plain_serializer_function_ser_schema(write, info_arg=True),
    )


def _as_it_is(value: Any) -> JsonSchema:
    """Return the value's fields without storing anything."""
    if isinstance(value, StructuredDataset):
        return {"uri": value.uri, "file_format": value.file_format}
    fields = {"path": str(value), "metadata": value.metadata}
    return {name: part for name, part in fields.items() if part is not None}


def _described(schema: JsonSchema) -> JsonSchema:
    """Return a dataclass's schema as pydantic writes it: properties have titles, and nothing is forbidden."""
    properties = {}
    for name, part in schema["properties"].items():
        variants = [
            {key: item for key, item in each.items() if key != "propertyNames"}
            for each in part["anyOf"]
        ]
        properties[name] = {**part, "anyOf": variants, "title": name.replace("_", " ").title()}
    return {"properties": properties, "title": schema["title"], "type": "object"}
