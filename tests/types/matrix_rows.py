"""The rows of the table of types: each with values, how flytekit has it, and what a person has to know.

`test_matrix.py` tries each row in both directions against flytekit, and makes `docs/types.md` of them.
"""

import dataclasses
import datetime
import enum
import os
import sys
import typing
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pydantic
import sklearn.linear_model
from flytekit import FlyteDirectory as TheirDirectory
from flytekit import FlyteFile as TheirFile
from flytekit import HashMethod as TheirHash
from flytekit import StructuredDataset as TheirDataset
from flytekit import kwtypes as their_kwtypes
from flytekit.core.annotation import FlyteAnnotation as TheirAnnotation
from flytekit.core.type_engine import BatchSize as TheirBatch
from flytekit.types.error.error import FlyteError as TheirError
from flytekit.types.iterator import JSON as THEIR_JSON
from flytekit.types.schema import FlyteSchema as TheirSchema
from google.protobuf import struct_pb2

from flyte_nb import (
    FlyteAnnotation,
    FlyteDirectory,
    FlyteError,
    FlyteFile,
    HashMethod,
    StructuredDataset,
    kwtypes,
)
from flyte_nb.types.annotations import BatchSize
from flyte_nb.types.iterators import JSON
from flyte_nb.types.schemas import FlyteSchema

UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    label: str = "p"
    near: list[float] = dataclasses.field(default_factory=list)


class Row(pydantic.BaseModel):
    age: int
    colour: Colour = Colour.RED


class Rows(pydantic.BaseModel):
    rows: list[Row]
    when: Optional[datetime.datetime] = None


class Thing:
    """A class that no library has."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and other.n == self.n


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    """The type as the table has it."""
    kind: str
    """Flyte's type and value in words."""
    ours: Any
    value: "Callable[[Path], Any]"
    """Returns a value of the type; it may make files in the folder that it is given."""
    theirs: Any = None
    """flytekit's spelling, where it is another class."""
    their_value: "Callable[[Path], Any] | None" = None
    tag: str = ""
    """The name by which a union tells its variants apart."""
    give: str = ""
    """How to write a value in `%flyte launch`."""
    given: Any = None
    """The value that `give` stands for; `None` where it names a variable or a path."""
    misfit: Any = 3
    """A value that is refused."""
    notes: str = ""
    """What differs from flytekit, or has to be known."""
    unread: str = ""
    """Why flytekit cannot read what it or we wrote."""
    unwritten: str = ""
    """Why flytekit writes no value of this type, or one that differs from ours."""
    needs: str = ""
    """A library that not everybody has."""
    line: int = 0

    @property
    def flytekits(self) -> Any:
        return self.ours if self.theirs is None else self.theirs

    def flytekits_value(self, folder: Path) -> Any:
        return (self.their_value or self.value)(folder)


CASES: list[Case] = []


def case(name: str, kind: str, ours: Any, value: Any, **rest: Any) -> None:
    """Add a row. A value that is no function of a folder is given as it is."""
    made = value if callable(value) and not isinstance(value, type) else lambda folder: value
    CASES.append(Case(name, kind, ours, made, line=sys._getframe(1).f_lineno, **rest))


def stored_text(folder: Path) -> str:
    path = folder / "notes.csv"
    path.write_text("a,b\n1,2\n")
    return str(path)


def stored_folder(folder: Path) -> str:
    made = folder / "many"
    (made / "sub").mkdir(parents=True, exist_ok=True)
    (made / "a.txt").write_text("a")
    (made / "sub" / "b.txt").write_text("b")
    return str(made)


def twice(value: int) -> int:
    return 2 * value


def digest(value: object) -> str:
    return f"digest of {value!r}"


def struct_message(folder: Path) -> Any:
    message = struct_pb2.Struct()
    message.update({"n": 1.5, "items": [1, "x", None], "inner": {"yes": True}})
    return message


def list_message(folder: Path) -> Any:
    message = struct_pb2.ListValue()
    message.extend([1.5, "x", None, {"yes": True}])
    return message


COLUMNS = {"age": [1, 2], "name": ["x", "y"]}
NOTED = {"unit": "m"}
SCHEMA = pa.schema([("age", pa.int64()), ("name", pa.string())])
FRAME = "a table: a variable, or the path of a csv or parquet file"
VARIABLE = "name=variable"

# --- Simple types

case(
    "int",
    "integer",
    int,
    3,
    tag="int",
    give="3",
    given=3,
    misfit="x",
    notes="64 bits; more is refused.",
)
case(
    "float",
    "float",
    float,
    2.5,
    tag="float",
    give="2.5",
    given=2.5,
    misfit="x",
    notes="An int is taken where a float holds it exactly; flytekit refuses every int.",
)
case("bool", "boolean", bool, True, tag="bool", give="true", given=True, misfit="x")
case("str", "string", str, "käse\n", tag="str", give="any text", given="any text")
case("None", "none", type(None), None, tag="none", give="null", misfit=3)
case(
    "datetime",
    "datetime",
    datetime.datetime,
    datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
    tag="datetime",
    give="2024-02-29T01:02:03Z",
    given=datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
    notes="A time without a zone counts as UTC, and comes back with UTC: Flyte has no other.",
)
case(
    "date",
    "datetime, midnight UTC",
    datetime.date,
    datetime.date(2024, 2, 29),
    tag="date",
    give="2024-02-29",
    given=datetime.date(2024, 2, 29),
    misfit=datetime.datetime(2024, 2, 29, 1),
    notes="A datetime is refused, because its time would be lost.",
)
case(
    "timedelta",
    "duration",
    datetime.timedelta,
    datetime.timedelta(days=3, microseconds=7),
    tag="timedelta",
    give="90s",
    given=datetime.timedelta(seconds=90),
)
case(
    "an Enum of texts",
    "enum",
    Colour,
    Colour.BLUE,
    tag="DefaultEnumTransformer",
    give="blue",
    given=Colour.BLUE,
    misfit="green",
    notes="An Enum of numbers is refused, except inside a dataclass.",
)
case(
    "Literal",
    "the simple type, with the values as annotation",
    typing.Literal["a", "b"],
    "b",
    tag="LiteralTypeTransformer",
    give="b",
    given="b",
    misfit="c",
    notes="Other values are refused; flytekit takes them.",
)

# --- Containers

case(
    "list[T]",
    "collection",
    list[int],
    [1, 2, 3],
    tag="Typed List",
    give="[1, 2, 3]",
    given=[1, 2, 3],
    misfit=[1, "x"],
    notes="A list without the type of its items is refused.",
)
case(
    "dict[str, T]",
    "map",
    dict[str, float],
    {"a": 1.0, "b": 2.5},
    tag="Typed Dict",
    give='{"a": 1.0, "b": 2.5}',
    given={"a": 1.0, "b": 2.5},
    misfit={"a": "x"},
)
case(
    "dict",
    "struct (msgpack)",
    dict,
    {"a": [1, "x", None, {"b": 2.5}]},
    tag="Typed Dict",
    give='{"a": [1, "x", null]}',
    given={"a": [1, "x", None]},
    misfit={"a": object},
    notes="Plain data and bytes; keys of any scalar type.",
)
case(
    "dict[int, T]",
    "struct (msgpack)",
    dict[int, str],
    {3: "x", -7: "y"},
    tag="Typed Dict",
    give='{3: "x"}',
    given={3: "x"},
    misfit={3: 4},
)
case(
    "Annotated[dict, kwtypes(allow_pickle=True)]",
    "struct; the URI of a pickle where it is no plain data",
    Annotated[dict, kwtypes(allow_pickle=True)],
    {"a": complex(1, 2)},
    theirs=Annotated[dict, their_kwtypes(allow_pickle=True)],
    tag="Typed Dict",
    give=VARIABLE,
)
case(
    "A | B, Optional[A]",
    "union",
    Union[int, str, None],
    "a",
    tag="Typed Union",
    give="a",
    given="a",
    misfit=2.5,
    notes="The exact type is chosen, then the first that fits; flytekit refuses a value that fits several.",
)
case(
    "Iterator[T]",
    "collection",
    Iterator[int],
    lambda folder: iter([1, 2, 3]),
    tag="Typed Iterator",
    give="[1, 2, 3]",
    given=[1, 2, 3],
    notes="Items are decoded one by one. It fits a list[T] and the other way round.",
)
case(
    "Iterator[JSON]",
    "blob jsonl",
    Iterator[JSON],
    lambda folder: iter([{"a": [1, None]}, "x", 2.5]),
    theirs=typing.Iterator[THEIR_JSON],
    tag="JSON Iterator",
    give=VARIABLE,
    notes="Lines are written and read one by one. Nothing is a value too; flytekit refuses it.",
)

# --- Structs

case(
    "a dataclass",
    "struct (msgpack); the type has a JSON schema and the fields' types",
    Point,
    Point(3, near=[0.5]),
    tag="Object-Dataclass-Transformer",
    give='{"x": 3}',
    given=Point(3),
    misfit={"x": "y"},
    notes="The author's object is never changed; flytekit changes its files. A dict of the fields is taken.",
)
case(
    "a pydantic model",
    "struct (msgpack); the type has pydantic's JSON schema",
    Rows,
    Rows(rows=[Row(age=3)]),
    tag="Pydantic Transformer",
    give='{"rows": [{"age": 3}]}',
    given=Rows(rows=[Row(age=3)]),
    misfit={"rows": [{"age": "y"}]},
    notes="Version 2. NaN and infinity are kept; flytekit makes them null.",
)
case(
    "a protobuf message",
    "struct (google.protobuf.Struct)",
    struct_pb2.Struct,
    struct_message,
    tag="Protobuf-Transformer",
    give='{"n": 1.5}',
    given=None,
    misfit=3,
    notes="A message with content that its JSON form does not hold is refused.",
)
case(
    "google.protobuf.ListValue",
    "collection",
    struct_pb2.ListValue,
    list_message,
    tag="Protobuf-Transformer",
    give=VARIABLE,
    unread="flytekit writes a collection and reads none.",
)
case(
    "FlyteError",
    "error",
    FlyteError,
    FlyteError("it broke", "n3"),
    theirs=TheirError,
    their_value=lambda folder: TheirError("it broke", "n3"),
    tag="FlyteError",
    notes="What a failure handler gets.",
)

# --- Files

case(
    "FlyteFile",
    "blob",
    FlyteFile,
    lambda folder: FlyteFile(stored_text(folder)),
    theirs=TheirFile,
    their_value=lambda folder: TheirFile(stored_text(folder)),
    tag="FlyteFilePath",
    give="a path or a URI",
    notes="Also `new`, `new_remote_file`, `remote_path`, `metadata`, `extension()`. An edited file is"
    " stored anew; flytekit may give its former upload.",
)
case(
    'FlyteFile["csv"]',
    "blob csv",
    FlyteFile["csv"],
    stored_text,
    theirs=TheirFile["csv"],
    tag="FlyteFilePath",
    give="a path or a URI",
)
case(
    "os.PathLike",
    "blob",
    os.PathLike,
    stored_text,
    tag="FlyteFilePath",
    give="a path or a URI",
    unwritten="flytekit stores no file here: its literal names the local path.",
    notes="A file that is stored, as FlyteFile. `pathlib.Path` is pickled, with the file that it names.",
)
case(
    "FlyteDirectory",
    "blob, multipart",
    FlyteDirectory,
    lambda folder: FlyteDirectory(stored_folder(folder)),
    theirs=TheirDirectory,
    their_value=lambda folder: TheirDirectory(stored_folder(folder)),
    tag="FlyteDirectory",
    give="a path or a URI",
    notes="Also `new`, `new_remote`, `new_file`, `listdir`, `crawl`; listing downloads nothing.",
)
case(
    "Annotated[FlyteDirectory, BatchSize(n)]",
    "blob, multipart",
    Annotated[FlyteDirectory, BatchSize(10)],
    stored_folder,
    theirs=Annotated[TheirDirectory, TheirBatch(10)],
    tag="FlyteDirectory",
    give="a path or a URI",
    notes="The size is ignored: files are copied one by one, and none is in memory.",
)
case(
    "TextIO",
    "blob text/plain",
    typing.TextIO,
    stored_text,
    tag="TextIO",
    give="a path or a URI",
    unwritten="flytekit writes no such value.",
    notes="A task gets the file open for reading. An open file of a task is stored.",
)
case(
    "BinaryIO",
    "blob application/octet-stream",
    typing.BinaryIO,
    stored_text,
    tag="BinaryIO",
    give="a path or a URI",
    unwritten="flytekit writes no such value.",
)

# --- Tables

TAG = "StructuredDataset Transformer"
case(
    "pandas.DataFrame",
    "structured dataset, parquet",
    pd.DataFrame,
    pd.DataFrame(COLUMNS),
    tag=TAG,
    give=FRAME,
    notes="A frame that parquet would change is refused, with the columns at fault.",
)
case(
    "pyarrow.Table", "structured dataset, parquet", pa.Table, pa.table(COLUMNS), tag=TAG, give=FRAME
)
case(
    "polars.DataFrame",
    "structured dataset, parquet",
    pl.DataFrame,
    pl.DataFrame(COLUMNS),
    tag=TAG,
    give=FRAME,
    notes="In flytekit by a plugin.",
)
case(
    "polars.LazyFrame",
    "structured dataset, parquet",
    pl.LazyFrame,
    pl.LazyFrame(COLUMNS),
    tag=TAG,
    give=FRAME,
    notes="Written and read a part at a time; flytekit's plugin reads it whole.",
)
case(
    "StructuredDataset",
    "structured dataset",
    StructuredDataset,
    lambda folder: StructuredDataset(dataframe=pd.DataFrame(COLUMNS)),
    theirs=TheirDataset,
    their_value=lambda folder: TheirDataset(dataframe=pd.DataFrame(COLUMNS)),
    tag=TAG,
    give=FRAME,
    misfit=pd.DataFrame(COLUMNS),
    notes="`open(type).all()` and `.iter()` read it, as a table of any library, when it is wanted.",
)
case(
    'Annotated[StructuredDataset, "csv"]',
    "structured dataset, csv",
    Annotated[StructuredDataset, "csv"],
    lambda folder: StructuredDataset(dataframe=pd.DataFrame(COLUMNS)),
    theirs=Annotated[TheirDataset, "csv"],
    their_value=lambda folder: TheirDataset(dataframe=pd.DataFrame(COLUMNS)),
    tag=TAG,
    give=FRAME,
)
case(
    'Annotated[pandas.DataFrame, "csv"]',
    "structured dataset, csv",
    Annotated[pd.DataFrame, "csv"],
    pd.DataFrame(COLUMNS),
    tag=TAG,
    give=FRAME,
    unwritten="flytekit writes parquet for a type that says csv.",
    notes="Written as csv. An index that has names or labels is refused.",
)
case(
    "Annotated[…, kwtypes(age=int)]",
    "structured dataset with columns",
    Annotated[pd.DataFrame, kwtypes(age=int)],
    pd.DataFrame({"age": [1, 2]}),
    tag=TAG,
    give=FRAME,
    misfit=pd.DataFrame({"name": ["x"]}),
    notes="Only these columns are read; one that is missing is named.",
)
case(
    "Annotated[…, pyarrow.schema(…)]",
    "structured dataset with the schema's text",
    Annotated[pa.Table, SCHEMA],
    pa.table(COLUMNS, schema=SCHEMA),
    tag=TAG,
    give=FRAME,
)
case(
    "FlyteSchema",
    "schema",
    FlyteSchema,
    pd.DataFrame(COLUMNS),
    theirs=TheirSchema,
    tag="FlyteSchema Transformer",
    give=FRAME,
    notes="Flyte's older table.",
)
case(
    "FlyteSchema[kwtypes(age=int)]",
    "schema with columns",
    FlyteSchema[kwtypes(age=int)],
    pd.DataFrame({"age": [1, 2]}),
    theirs=TheirSchema[their_kwtypes(age=int)],
    tag="FlyteSchema Transformer",
    give=FRAME,
)

# --- Objects of libraries

case(
    "numpy.ndarray",
    "blob NumpyArray: .npy",
    np.ndarray,
    np.arange(6.0).reshape(2, 3),
    tag="Numpy Array",
    give="[[0.0, 1.0]]",
    misfit=np.array([object()]),
)
case(
    "Annotated[numpy.ndarray, kwtypes(allow_pickle=True, mmap_mode=…)]",
    "blob NumpyArray: .npy",
    Annotated[np.ndarray, kwtypes(allow_pickle=True)],
    np.array([None, "x"], dtype=object),
    theirs=Annotated[np.ndarray, their_kwtypes(allow_pickle=True)],
    tag="Numpy Array",
    give=VARIABLE,
)
case(
    "scikit-learn's estimators",
    "blob SklearnEstimator",
    sklearn.linear_model.LinearRegression,
    lambda folder: sklearn.linear_model.LinearRegression().fit([[1], [2]], [1, 2]),
    tag="Sklearn Estimator",
    give=VARIABLE,
    notes="A pickle, which joblib reads too; it may hold classes and functions of the notebook.",
)
case(
    "PIL.Image.Image",
    "blob PIL.Image: .png",
    PIL.Image.Image,
    lambda folder: PIL.Image.new("RGB", (3, 2), (1, 2, 3)),
    tag="PIL.Image",
    give=VARIABLE,
    misfit=PIL.Image.new("CMYK", (1, 1)),
    notes="A mode that PNG would change is refused.",
)

if find_spec("torch"):
    import torch
    from flytekit.extras.pytorch import PyTorchCheckpoint as TheirCheckpoint

    from flyte_nb.types.torch_objects import PyTorchCheckpoint

    LAYER = torch.nn.Linear(2, 1)
    TENSOR, MODULE = torch.Tensor, torch.nn.Linear
    OURS, THEIRS = PyTorchCheckpoint, TheirCheckpoint
    MAKE = {
        "tensor": lambda folder: torch.arange(3.0),
        "module": lambda folder: LAYER,
        "ours": lambda folder: PyTorchCheckpoint(hyperparameters={"rate": 0.1}),
        "theirs": lambda folder: TheirCheckpoint(hyperparameters={"rate": 0.1}),
    }
else:
    TENSOR = MODULE = OURS = THEIRS = None
    MAKE = dict.fromkeys(("tensor", "module", "ours", "theirs"))

case(
    "torch.Tensor",
    "blob PyTorchTensor",
    TENSOR,
    MAKE["tensor"],
    tag="PyTorch Tensor",
    give=VARIABLE,
    needs="torch",
)
case(
    "torch.nn.Module",
    "blob PyTorchModule",
    MODULE,
    MAKE["module"],
    tag="PyTorch Module",
    give=VARIABLE,
    needs="torch",
    unread="flytekit reads weights only, as torch does since 2.6.",
    notes="Classes of the notebook travel in the file.",
)
case(
    "PyTorchCheckpoint",
    "blob PyTorchCheckpoint",
    OURS,
    MAKE["ours"],
    theirs=THEIRS,
    their_value=MAKE["theirs"],
    tag="PyTorch Checkpoint",
    give=VARIABLE,
    needs="torch",
    notes="A task that takes one gets a dict of its states.",
)

if find_spec("tensorflow"):
    import tensorflow as tf
    from flytekit.types.directory import TFRecordsDirectory as TheirRecords
    from flytekit.types.file import TFRecordFile as TheirRecord

    from flyte_nb.types.tensorflow_objects import TFRecordFile, TFRecordsDirectory

    def example(folder: Path) -> Any:
        feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
        return tf.train.Example(features=tf.train.Features(feature={"a": feature}))

    MODEL = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1)])

    TF = (tf.keras.Model, TFRecordFile, TFRecordsDirectory, TheirRecord, TheirRecords)
    TF_MAKE = (lambda folder: MODEL, example, lambda folder: [example(folder), example(folder)])
else:
    TF, TF_MAKE = (None,) * 5, (None,) * 3

case(
    "a Keras model",
    "blob TensorFlowModel: .keras",
    TF[0],
    TF_MAKE[0],
    tag="TensorFlow Model",
    give=VARIABLE,
    needs="tensorflow",
)
case(
    "TFRecordFile",
    "blob TensorFlowRecord",
    TF[1],
    TF_MAKE[1],
    theirs=TF[3],
    tag="TensorFlow Record File",
    give=VARIABLE,
    needs="tensorflow",
    notes="A task returns a message and takes a `tf.data.TFRecordDataset`.",
)
case(
    "TFRecordsDirectory",
    "blob TensorFlowRecord, multipart",
    TF[2],
    TF_MAKE[2],
    theirs=TF[4],
    tag="TensorFlow Record Directory",
    give=VARIABLE,
    needs="tensorflow",
)

# --- Everything else is pickled

PICKLE = {"kind": "blob PythonPickle", "tag": "FlytePickle", "give": VARIABLE}
case(
    "Any",
    ours=Any,
    value={"a": complex(1, 2)},
    misfit=None,
    **PICKLE,
    notes="Pickles name the author's own modules; those travel with them.",
)
case("bytes", ours=bytes, value=b"\x00\xff", **PICKLE)
case("set, frozenset", ours=set, value={1, 2}, **PICKLE)
case("complex", ours=complex, value=complex(1, 2), misfit="x", **PICKLE)
case("Callable", ours=typing.Callable, value=lambda folder: twice, misfit=None, **PICKLE)
case(
    "any other class",
    ours=Thing,
    value=Thing(4),
    **PICKLE,
    notes="Local files in the value are stored with it.",
)

# --- What stands beside a type

case(
    "Annotated[T, HashMethod(f)]",
    "T's, with a hash for cache keys",
    Annotated[int, HashMethod(digest)],
    3,
    theirs=Annotated[int, TheirHash(digest)],
    tag="int",
    give="3",
    given=3,
    misfit="x",
)
case(
    "Annotated[T, FlyteAnnotation({…})]",
    "T's, with an annotation",
    Annotated[list[int], FlyteAnnotation(NOTED)],
    [1],
    theirs=Annotated[list[int], TheirAnnotation(NOTED)],
    tag="Typed List",
    give="[1]",
    given=[1],
    misfit="x",
    notes="Also beside dicts, dataclasses and enums, where flytekit refuses it.",
)
