"""What codecs of composite types ask of the registry: the codecs of their parts."""

from typing import Any, Protocol

from flyte_nb.types.codec import Codec


class CodecLookup(Protocol):
    """Finds the codec of a Python type. `registry.Registry` is one.

    Codecs of lists, unions, dataclasses and structs are made of the codecs of their parts. They name this
    port and not the registry, because the registry imports them.
    """

    def codec(self, python_type: Any) -> Codec:
        """Return the codec of a type.

        Raises:
            CodecError: values of the type cannot travel.
        """
        ...

    @property
    def quiet(self) -> "CodecLookup":
        """The same types, without warnings about those that travel by pickle."""
        ...
