"""Pillow's images, stored as PNG, which loses nothing (flytekit's `PIL.Image` blob)."""

# ruff: noqa: D102 - `Codec` and `ObjectCodec` document these methods
from importlib import import_module
from typing import Any

from flyte_nb.api.errors import CodecError
from flyte_nb.types.stored_objects import ObjectCodec

_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
"""The modes that a PNG holds unchanged."""


class ImageCodec(ObjectCodec):
    """Codec of PIL.Image.Image: its pixels in a mode that PNG has."""

    transformer = "PIL.Image"
    imports = ("PIL",)
    format = "PIL.Image"
    name = "image.png"

    def check(self, value: Any) -> None:
        """Raise unless PNG holds the image.

        Raises:
            CodecError: when PNG does not have its mode.
        """
        if value.mode not in _MODES:
            raise CodecError(
                f"The image has the mode {value.mode}, which PNG cannot hold.",
                hint="Convert it, e.g. image.convert('RGB').",
            )

    def write(self, value: Any, path: str) -> None:
        value.save(path, format="PNG")

    def read(self, path: str) -> object:
        image = import_module("PIL.Image").open(path)
        image.load()  # so that the file is closed, and a damaged one is found here
        loaded: object = image
        return loaded
