"""The port through which codecs of composite types find the codecs of their parts."""

from typing import Protocol

from flyte_nb.types.codec import Annotation, Codec


class CodecLookup(Protocol):
    """Finds the codec of a Python type. `registry.Registry` is one.

    Codecs of unions, dataclasses and structs are built from the codecs of their parts. They depend on this
    port and not on the registry, because the registry imports them.
    """

    def codec(self, python_type: Annotation) -> Codec:
        """Return the codec of a type.

        Raises:
            CodecError: when values of the type cannot be passed between tasks.
        """
        ...

    @property
    def quiet(self) -> "CodecLookup":
        """The same types, without warnings about types that are pickled."""
        ...
