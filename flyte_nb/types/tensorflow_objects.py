"""Keras models and TFRecord files (flytekit's `TensorFlowModel` and `TensorFlowRecord` blobs).

Neither keras nor tensorflow is imported before the author's own code needs it.
"""

# ruff: noqa: D102 - `Codec` and `ObjectCodec` document these methods
import os
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.literal_types import MULTIPART, BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, no_data
from flyte_nb.types.stored_objects import ObjectCodec

_RECORD = "TensorFlowRecord"


class ModelCodec(ObjectCodec):
    """Codec of a Keras model, in Keras's own format."""

    transformer = "TensorFlow Model"
    format = "TensorFlowModel"
    name = "model.keras"

    def __init__(self, python_type: Annotation) -> None:
        super().__init__(python_type)
        # A model comes from the package keras, or from the copy of it in tensorflow.
        top = python_type.__mro__[-2].__module__.partition(".")[0]
        self.imports = ("tensorflow",) if top == "tensorflow" else ("keras",)

    def write(self, value: Any, path: str) -> None:
        value.save(path)

    def read(self, path: str) -> object:
        model: object = self._models().load_model(path)
        return model

    def _models(self) -> Any:
        if self.imports == ("tensorflow",):
            return import_module("tensorflow").keras.models
        return import_module("keras").models


class TFRecordFile:
    """The type of a TFRecord file.

    A task returns a `tf.train.Example` (or another message), which is written as the file's one record, and
    takes a `tf.data.TFRecordDataset`.
    """


class TFRecordsDirectory:
    """The type of a folder of TFRecord files.

    A task returns a list of `tf.train.Example`, each of which becomes a file, and takes a
    `tf.data.TFRecordDataset` over all of them.
    """


class TFRecordDatasetConfig:
    """How TFRecord files are read: `Annotated[TFRecordFile, TFRecordDatasetConfig(compression_type="GZIP")]`.

    Args:
        compression_type: `""`, `"ZLIB"` or `"GZIP"`.
        buffer_size: bytes in the read buffer.
        num_parallel_reads: how many files are read at the same time.
        name: the dataset's name.
    """

    def __init__(
        self,
        compression_type: "str | None" = None,
        buffer_size: "int | None" = None,
        num_parallel_reads: "int | None" = None,
        name: "str | None" = None,
    ) -> None:
        self.compression_type = compression_type
        self.buffer_size = buffer_size
        self.num_parallel_reads = num_parallel_reads
        self.name = name


class RecordCodec(Codec):
    """Codec of TFRecordFile and TFRecordsDirectory."""

    imports = ("tensorflow",)

    def __init__(
        self, python_type: Annotation, config: "TFRecordDatasetConfig | None" = None
    ) -> None:
        self._is_folder = issubclass(python_type, TFRecordsDirectory)
        self._blob = BlobType(_RECORD, MULTIPART) if self._is_folder else BlobType(_RECORD)
        self.transformer = f"TensorFlow Record {'Directory' if self._is_folder else 'File'}"
        self._config = config or TFRecordDatasetConfig()
        super().__init__(python_type, LiteralType(literal_types.BLOB, self._blob))

    def with_config(self, config: TFRecordDatasetConfig) -> "RecordCodec":
        """Return the codec that reads as `config` says."""
        return RecordCodec(self.python_type, config)

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        messages = value if self._is_folder else [value]
        if not isinstance(messages, Iterable):
            raise mismatch(self, value)
        if data is None:
            raise no_data(self)
        writer = import_module("tensorflow").io.TFRecordWriter
        folder = data.scratch()
        os.makedirs(folder, exist_ok=True)
        path = folder
        for number, message in enumerate(messages):
            serialize: Any = getattr(message, "SerializeToString", None)
            if serialize is None:
                raise mismatch(self, message)
            path = os.path.join(folder, f"part_{number}.tfrecord")
            with writer(path) as file:
                file.write(serialize())
        if self._is_folder:
            return Literal(literals.BLOB, (data.upload(folder, name="records"), self._blob))
        return Literal(literals.BLOB, (data.upload(path, name="0000.tfrecord"), self._blob))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        path = data.download(literal.value[0])
        names = sorted(os.listdir(path)) if self._is_folder else []
        files = [os.path.join(path, name) for name in names] if self._is_folder else [path]
        dataset: object = import_module("tensorflow").data.TFRecordDataset(
            filenames=files, **vars(self._config)
        )
        return dataset
