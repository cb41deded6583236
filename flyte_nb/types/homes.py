"""Find the codec of a library's class, by the names of its module and of itself.

No library is imported to ask: a class that an author annotates with exists, so its library is there. Types
of plugins come by the entry point `flyte_nb.types`, whose name is the class's module and name, and which
names a factory, i.e. a function from the type and the registry to a codec:

    [project.entry-points."flyte_nb.types"]
    "shapely.geometry.point.Point" = "my_package.codecs:point_codec"
"""

import functools
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from flyte_nb.api.errors import CodecError
from flyte_nb.types.codec import Codec, spell
from flyte_nb.types.lookup import CodecLookup

ENTRY_POINTS = "flyte_nb.types"

Factory = Callable[[Any, CodecLookup], Codec]
"""Makes the codec of a type from the type as the author wrote it and the registry."""


class _Home(NamedTuple):
    """Where the codec of a class is."""

    modules: "tuple[str, ...]"
    """The modules that may define the class; a name that ends with a dot is a whole package."""
    codec: str
    """The module in `flyte_nb.types` and the codec's class or factory in it."""
    inherits: bool = False
    """Whether derived classes have the codec too. The others would come back as their base."""
    wants_registry: bool = False
    """Whether the factory needs the codecs of other types."""


_HOMES: "Mapping[str, tuple[_Home, ...]]" = {
    "datetime": (_Home(("datetime",), "times.DatetimeCodec.of"),),
    "date": (_Home(("datetime",), "times.DateCodec.of"),),
    "timedelta": (_Home(("datetime",), "times.TimedeltaCodec.of"),),
    "PathLike": (_Home(("os",), "file_codecs.file_codec"),),
    "FlyteFile": (_Home(("flyte_nb.types.files",), "file_codecs.file_codec", inherits=True),),
    "FlyteDirectory": (_Home(("flyte_nb.types.files",), "file_codecs.file_codec", inherits=True),),
    "FlyteError": (_Home(("flyte_nb.types.flyte_error",), "flyte_error.ErrorCodec"),),
    "TextIO": (_Home(("typing",), "open_files.OpenFileCodec"),),
    "BinaryIO": (_Home(("typing",), "open_files.OpenFileCodec"),),
    "ndarray": (_Home(("numpy",), "arrays.ArrayCodec"),),
    "DataFrame": (_Home(("pandas.", "polars."), "frames.FrameCodec"),),
    "LazyFrame": (_Home(("polars.",), "frames.FrameCodec"),),
    "Table": (_Home(("pyarrow.lib",), "frames.FrameCodec"),),
    "FlyteSchema": (
        _Home(("flyte_nb.types.schemas",), "schemas.schema_codec", wants_registry=True),
    ),
    "StructuredDataset": (_Home(("flyte_nb.types.datasets",), "datasets.DatasetCodec"),),
    "Image": (_Home(("PIL.Image",), "images.ImageCodec", inherits=True),),
    "BaseEstimator": (_Home(("sklearn.base",), "estimators.EstimatorCodec", inherits=True),),
    "BaseModel": (
        _Home(("pydantic.main",), "models.model_codec", inherits=True, wants_registry=True),
    ),
    "Message": (_Home(("google.protobuf.message",), "messages.MessageCodec", inherits=True),),
    "Tensor": (_Home(("torch",), "torch_objects.TensorCodec", inherits=True),),
    "Module": (_Home(("torch.nn.",), "torch_objects.ModuleCodec", inherits=True),),
    "PyTorchCheckpoint": (
        _Home(("flyte_nb.types.torch_objects",), "torch_objects.CheckpointCodec"),
    ),
    "Model": (_Home(("keras.", "tensorflow."), "tensorflow_objects.ModelCodec", inherits=True),),
    "TFRecordFile": (
        _Home(("flyte_nb.types.tensorflow_objects",), "tensorflow_objects.RecordCodec"),
    ),
    "TFRecordsDirectory": (
        _Home(("flyte_nb.types.tensorflow_objects",), "tensorflow_objects.RecordCodec"),
    ),
}
"""By the class's name. The abstract base classes themselves are types too."""


def codec_of(python_type: type, registry: "CodecLookup") -> "Codec | None":
    """Return the codec of a class of the standard library or of a known library, or `None`.

    A class derived from one, e.g. `pandas.Timestamp`, gets `None` unless its base's codec says otherwise.

    Raises:
        CodecError: when the class cannot be a value.
    """
    for base in python_type.__mro__:
        for home in _HOMES.get(base.__name__, ()):
            if _is_of(base.__module__, home.modules) and (base is python_type or home.inherits):
                make = _named(f"flyte_nb.types.{home.codec}")
                made: Codec = (
                    make(python_type, registry) if home.wants_registry else make(python_type)
                )
                return made
    return None


def _is_of(module: str, homes: "tuple[str, ...]") -> bool:
    """Return whether the module is one of the homes, or in one that ends with a dot."""
    return any(
        f"{module}.".startswith(home) if home.endswith(".") else module == home for home in homes
    )


def _named(path: str) -> Any:
    """Return the class or function at `module.name`, or at `module.Class.method`."""
    steps = path.split(".")
    found: Any = import_module(".".join(steps[:3]))
    for step in steps[3:]:
        found = getattr(found, step)
    return found


def plugin_codec(python_type: type, registry: "CodecLookup") -> "Codec | None":
    """Return the codec that an installed package's entry point has for the class or a base of it, or `None`.

    Raises:
        CodecError: when the entry point cannot be loaded.
    """
    tops = {base.__module__.partition(".")[0] for base in python_type.__mro__}
    # A notebook's own class has no plugin, and looking at what is installed takes long.
    if tops <= {"__main__", "builtins", *sys.stdlib_module_names}:
        return None
    plugins = _plugins()
    for base in python_type.__mro__ if plugins else ():
        entry = plugins.get(f"{base.__module__}.{base.__qualname__}")
        if entry is None:
            continue
        try:
            factory: Factory = entry.load()
        except Exception as error:  # the plugin's own code
            raise CodecError(
                f"The entry point {entry.name!r} of {spell(python_type)} cannot be loaded:"
                f" {type(error).__name__}: {error}.",
                hint="Repair or uninstall the package that has it.",
            ) from error
        return factory(python_type, registry)
    return None


@functools.cache
def _plugins() -> "Mapping[str, Any]":
    """Return the entry points for types by their names; what is installed is read once."""
    metadata = import_module("importlib.metadata")
    return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}
