"""What codecs refuse and how they say it; stored values; pickling; the registry."""

import dataclasses
import datetime
import enum
import os
import subprocess
import sys
import typing
import warnings
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flyte_nb.api import literal_types
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType, simple
from flyte_nb.api.literals import Literal
from flyte_nb.types.codec import Codec, NeedsStore, PickledTypeWarning, spell
from flyte_nb.types.files import FlyteDirectory, FlyteFile
from flyte_nb.types.registry import Registry, default_registry


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.Enum):
    LOW = 1


@dataclasses.dataclass
class Point:
    x: int
    y: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Deep:
    points: dict[str, list[Point]]


@dataclasses.dataclass
class Chain:
    next: "Optional[Chain]"


@dataclasses.dataclass
class Fitted:
    model: "Opaque"
    score: float


class Opaque:
    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


class Stubborn:
    def __reduce__(self) -> Any:
        raise TypeError("not me")


@pytest.fixture
def registry() -> Registry:
    return default_registry(warn_pickled=False)


def refusal(registry: Registry, python_type: Any, value: Any, data: Any = None) -> CodecError:
    with pytest.raises(CodecError) as refused:
        registry.codec(python_type).encode(value, data)
    return refused.value


@pytest.mark.parametrize(
    ("python_type", "value", "message", "hint"),
    [
        (int, "3", "Expected int, got str '3'.", "Write 3."),
        (int, "x", "Expected int, got str 'x'.", ""),
        (int, 3.0, "Expected int, got float 3.0.", "Write 3."),
        (int, 3.5, "Expected int, got float 3.5.", ""),
        (int, True, "Expected int, got bool True.", "Write 1."),
        (int, 2**63, "9223372036854775808 does not fit the 64 bits", "Pass it as str or float."),
        (float, "1.5", "Expected float, got str '1.5'.", "Write 1.5."),
        (float, 2**1100, "Expected float, got int", ""),
        (str, 3, "Expected str, got int 3.", "Write '3'."),
        (str, b"x", "Expected str, got bytes b'x'.", ""),
        (bool, 1, "Expected bool, got int 1.", "Write True."),
        (bool, "false", "Expected bool, got str 'false'.", "Write False."),
        (type(None), 0, "Expected None, got int 0.", ""),
        (
            datetime.datetime,
            "2024-05-06",
            "got str '2024-05-06'.",
            "Write datetime.datetime(2024, 5, 6, 0, 0).",
        ),
        (
            datetime.date,
            datetime.datetime(2024, 5, 6),
            "Expected datetime.date",
            "Write datetime.date(2024, 5, 6).",
        ),
        (
            datetime.timedelta,
            90,
            "Expected datetime.timedelta",
            "Write datetime.timedelta(seconds=90).",
        ),
        (list[int], (1, 2), "Expected list[int], got tuple (1, 2).", "Write [1, 2]."),
        (Optional[int], "3", "Expected Optional[int], got str '3'.", "Write 3."),
        (
            Colour,
            "green",
            "'green' is not a member of tests.Colour.",
            "Write Colour.RED or Colour.BLUE.",
        ),
        (typing.Literal["a", "b"], "c", "'c' is not one of the values.", "Write 'a' or 'b'."),
        (dict, {"a": {1, 2}}, "set {1, 2} is not plain data.", "dict[str, Any]"),
        (dict[str, int], {1: 2}, "The key 1 is not a str.", "Use str keys"),
        (Point, 3, "Expected tests.Point, got int 3.", ""),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would_fit(
    registry, python_type, value, message, hint
):
    error = refusal(registry, python_type, value)
    assert message in error.bare_message
    assert hint in error.hint
    assert bool(hint) == bool(error.hint)


@pytest.mark.parametrize(
    ("python_type", "value", "path"),
    [
        (list[int], [1, "x"], "$[1]"),
        (list[list[str]], [["a"], ["b", 3]], "$[1][1]"),
        (dict[str, list[int]], {"k": [1, None]}, "$['k'][1]"),
        (Deep, Deep({"a": [Point(1), Point("x")]}), "$.points['a'][1].x"),  # type: ignore[arg-type]
        (dict, {"a": [1, {"b": object}]}, "$['a'][1]['b']"),
    ],
)
def test_an_error_names_the_place_inside_a_value(registry, python_type, value, path):
    assert refusal(registry, python_type, value).path == path


@pytest.mark.parametrize(
    ("python_type", "hint"),
    [
        (list, "Write list[int]"),
        (typing.List, "Write list[int]"),
        (tuple[int, str], "a dataclass"),
        (typing.NamedTuple("N", [("a", int)]), "a dataclass"),
        (typing.TypeVar("T"), "Write the type that is meant."),
        ("int", "without quotes"),
        (3, "Write its type."),
        (Level, "Write '1'"),
        (typing.Literal["a", 1], "Give all values one type"),
        (typing.Annotated[pd.DataFrame, "avro"], "leave the format out"),
    ],
)
def test_a_type_without_a_codec_is_refused_with_what_to_write(registry, python_type, hint):
    with pytest.raises(CodecError) as refused:
        registry.codec(python_type)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("python_type", "value", "literal"),
    [
        (int, np.int64(3), Literal("integer", 3)),
        (float, np.float32(0.5), Literal("float_value", 0.5)),
        (float, 3, Literal("float_value", 3.0)),
        (bool, np.bool_(True), Literal("boolean", True)),
        (str, np.str_("x"), Literal("string_value", "x")),
        (list[float], [1, np.float64(2)], Literal("column", ("float_value", [1.0, 2.0]))),
        (dict, {"a": (np.int8(1), np.float64(2))}, Literal("struct", {"a": [1, 2.0]})),
        (Colour, "red", Literal("string_value", "red")),
        (Point, {"x": 1}, Literal("struct", {"x": 1, "y": []})),
    ],
)
def test_values_that_convert_without_loss_are_accepted(registry, python_type, value, literal):
    assert registry.codec(python_type).encode(value, None) == literal
    assert type(registry.codec(python_type).encode(value, None).value) is type(literal.value)


def test_a_union_chooses_the_exact_type_in_any_order(registry):
    def tag(python_type: Any, value: Any) -> str:
        return str(registry.codec(python_type).encode(value, None).value[1].tag)

    assert tag(Union[float, int], 3) == "int"
    assert tag(Union[int, float], 3.0) == "float"
    assert tag(Union[float, str], 3) == "float"
    assert tag(Union[Colour, str], "red") == "str"
    assert tag(Union[str, Colour], Colour.RED) == "DefaultEnumTransformer"
    assert tag(Union[Any, int], 3) == "int"


def test_two_dataclasses_in_a_union_come_back_as_what_they_were(registry):
    @dataclasses.dataclass
    class Other:
        x: int
        y: list[float] = dataclasses.field(default_factory=list)

    codec = registry.codec(Union[Other, Point])
    assert type(codec.decode(codec.encode(Point(1), None), None)) is Point
    assert type(codec.decode(codec.encode(Other(1), None), None)) is Other


def test_a_subclass_with_more_fields_is_refused_rather_than_cut(registry):
    @dataclasses.dataclass
    class More(Point):
        z: int = 0

    assert "Expected" in refusal(registry, Point, More(1)).bare_message


def test_a_value_of_an_earlier_definition_of_its_class_has_an_error_of_its_own(registry):
    namespaces: list[dict[str, Any]] = [{"__name__": "__main__"} for _ in range(2)]
    for namespace in namespaces:
        exec("import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\n", namespace)
    old, new = (namespace["P"] for namespace in namespaces)
    assert refusal(registry, new, old(1)).hint == (
        "P was defined again since: run the cells of the tasks that name it again, and create the"
        " value again."
    )


def test_data_that_contains_itself_is_refused(registry):
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "contains itself" in refusal(registry, dict, endless).bare_message


def test_threads_that_read_one_dataclass_at_a_time_get_the_same_codec():
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(20):
        registry = default_registry()
        with ThreadPoolExecutor(4) as pool:
            codecs = list(pool.map(registry.codec, [Deep] * 4))
        assert {codec.transformer for codec in codecs} == {"Object-Dataclass-Transformer"}


def test_encoding_a_dataclass_changes_nothing_in_it(registry, data, tmp_path):
    @dataclasses.dataclass
    class Holder:
        file: FlyteFile
        points: list[Point]

    (tmp_path / "x").write_text("a")
    value = Holder(FlyteFile(tmp_path / "x"), [Point(1)])
    registry.codec(Holder).encode(value, data)
    assert value == Holder(FlyteFile(tmp_path / "x"), [Point(1)])
    assert value.file.uri == ""


def test_files_are_uploaded_once_and_downloaded_when_first_used(registry, data, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b")
    codec = registry.codec(FlyteFile["csv"])
    literal = codec.encode(FlyteFile(path), data)
    assert literal.value[0].endswith("/rows.csv")
    assert literal.value[1].format == "csv"

    file = codec.decode(literal, data)
    assert data.downloads == []
    assert Path(file).read_text() == "a,b"
    with file.open() as opened:
        assert opened.read() == "a,b"
    assert pd.read_csv(file).columns.tolist() == ["a", "b"]
    assert data.downloads == [literal.value[0]]
    assert codec.encode(file, data) == literal  # what is stored is not stored again


def test_folders_travel_whole(registry, data, tmp_path):
    folder = tmp_path / "many"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "sub" / "b").write_text("2")
    codec = registry.codec(FlyteDirectory)
    back = codec.decode(codec.encode(str(folder), data), data)
    assert back.listdir() == [FlyteFile(f"{back}/a"), FlyteDirectory(f"{back}/sub")]
    assert Path(back, "sub", "b").read_text() == "2"


def test_files_may_be_named_by_uri_or_path(registry, data, tmp_path):
    codec = registry.codec(FlyteFile)
    assert codec.encode("s3://bucket/x", None).value[0] == "s3://bucket/x"
    assert codec.encode(FlyteFile("s3://bucket/x"), None).value[0] == "s3://bucket/x"
    assert FlyteFile(f"file://{tmp_path}/a%20b").path == f"{tmp_path}/a b"
    error = refusal(registry, FlyteFile, str(tmp_path / "missing"), data)
    assert "There is no file at" in error.bare_message
    (tmp_path / "x").write_text("")
    with pytest.raises(NeedsStore):
        codec.encode(tmp_path / "x", None)
    assert "folder" in refusal(registry, FlyteDirectory, tmp_path / "x", data).bare_message
    assert "Expected" in refusal(registry, FlyteFile, FlyteDirectory(tmp_path), data).bare_message


def test_os_pathlike_is_a_file_and_pathlib_is_pickled(registry):
    assert registry.codec(os.PathLike).transformer == "FlyteFilePath"
    with pytest.raises(TypeError, match="write the format as text"):
        FlyteFile[3]


def test_arrays_come_back_with_shape_and_type(registry, data):
    codec = registry.codec(np.ndarray)
    for array in (np.arange(6).reshape(2, 3), np.array(["a", "bc"]), np.zeros((0, 4), "float32")):
        back = codec.decode(codec.encode(array, data), data)
        assert back.dtype == array.dtype
        assert (back == array).all()
        assert back.shape == array.shape
    assert (
        "Python objects" in refusal(registry, np.ndarray, np.array([object()]), data).bare_message
    )
    assert (
        "Expected numpy.ndarray, got list" in refusal(registry, np.ndarray, [1], data).bare_message
    )
    assert registry.codec(np.typing.NDArray[np.float64]).transformer == "Numpy Array"


def test_tables_come_back_with_their_columns_and_index(registry, data):
    frame = pd.DataFrame(
        {
            "when": pd.to_datetime(["2024-01-01T00:00:00.000000001"]),
            "kind": pd.Categorical(["x"]),
            "n": [1],
        },
        index=["row"],
    )
    codec = registry.codec(pd.DataFrame)
    pd.testing.assert_frame_equal(codec.decode(codec.encode(frame, data), data), frame)
    table = pa.table({"a": [1, None]})
    arrow = registry.codec(pa.Table)
    assert arrow.decode(arrow.encode(table, data), data).equals(table)
    crossed = arrow.decode(codec.encode(frame[["n"]], data), data)
    assert crossed.column("n").to_pylist() == [1]


def test_a_table_that_parquet_cannot_hold_is_refused(registry, data):
    mixed = pd.DataFrame({"a": [1, "x"]})
    assert (
        "cannot be written as parquet" in refusal(registry, pd.DataFrame, mixed, data).bare_message
    )
    assert "Expected pandas.DataFrame" in refusal(registry, pd.DataFrame, [1], data).bare_message
    avro = Literal("structured_dataset", ("x", literal_types.StructuredDatasetType((), "avro")))
    with pytest.raises(CodecError, match="has the format avro"):
        registry.codec(pd.DataFrame).decode(avro, data)


def test_declared_columns_are_part_of_the_type(registry):
    codec = registry.codec(typing.Annotated[pd.DataFrame, {"a": int}])
    assert codec.literal_type.value.columns == (("a", simple(literal_types.INTEGER)),)


@pytest.mark.parametrize(
    "python_type", [pd.DataFrame, np.ndarray, Opaque, list[Opaque], Optional[Opaque]]
)
def test_without_a_store_a_value_that_fits_raises_needs_store(registry, python_type):
    value = {pd.DataFrame: pd.DataFrame(), np.ndarray: np.zeros(1)}.get(python_type, Opaque(1))
    with pytest.raises(NeedsStore, match="no store here"):
        registry.codec(python_type).encode([value] if python_type == list[Opaque] else value, None)


def test_anything_else_is_pickled_and_comes_back(registry, data):
    for python_type, value in (
        (Opaque, Opaque(3)),
        (Any, None),
        (Any, lambda: 4),
        (bytes, b"x"),
        (dict[str, Any], {"a": Opaque(1), "b": {2}}),
        (list[Opaque], [Opaque(1), Opaque(2)]),
    ):
        codec = registry.codec(python_type)
        back = codec.decode(codec.encode(value, data), data)
        assert back() == 4 if callable(value) else back == value


def test_a_class_of_the_notebook_travels_by_value(registry, data):
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("class Model:\n    def predict(self):\n        return 42\n", namespace)
    codec = registry.codec(namespace["Model"])
    back = codec.decode(codec.encode(namespace["Model"](), data), data)
    assert back.predict() == 42


def test_a_pickle_of_a_worker_is_read_where_cloudpickle_has_its_own_name(registry, data, tmp_path):
    """In a worker cloudpickle has a private name; what it writes refers to its functions by it."""
    shaded = tmp_path / "_flyte_nb_cloudpickle"
    shaded.mkdir()
    import cloudpickle

    for source in Path(cloudpickle.__file__).parent.glob("*.py"):
        text = source.read_text().replace("from cloudpickle", "from _flyte_nb_cloudpickle")
        (shaded / source.name).write_text(
            text.replace("from . import cloudpickle", "from . import cloudpickle")
        )
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import _flyte_nb_cloudpickle as p\n"
        "class Model:\n    def predict(self): return 42\n"
        f"open({str(tmp_path / 'made.pkl')!r}, 'wb').write(p.dumps(Model()))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    literal = Literal(
        "blob", (f"file://{tmp_path}/made.pkl", literal_types.BlobType("PythonPickle"))
    )
    assert b"_flyte_nb_cloudpickle" in (tmp_path / "made.pkl").read_bytes()
    assert registry.codec(Any).decode(literal, data).predict() == 42


def test_a_value_that_cannot_be_pickled_or_unpickled_is_a_codec_error(registry, data, tmp_path):
    error = refusal(registry, Any, Stubborn(), data)
    assert "cannot be pickled: TypeError: not me" in error.bare_message
    assert "Expected tests.Opaque" in refusal(registry, Opaque, 3, data).bare_message
    (tmp_path / "bad.pkl").write_bytes(b"nothing")
    literal = Literal(
        "blob", (f"file://{tmp_path}/bad.pkl", literal_types.BlobType("PythonPickle"))
    )
    with pytest.raises(CodecError, match=r"cannot be read by Python 3\.\d+"):
        registry.codec(Opaque).decode(literal, data)


def test_a_pickled_type_warns_once_in_a_registry_and_names_itself():
    registry = default_registry()
    with pytest.warns(PickledTypeWarning) as told:
        registry.codec(Optional[Opaque])
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.codec(Opaque)
        registry.codec(list[Opaque])
    assert told[0].filename == __file__
    text = str(told[0].message)
    assert "Opaque (module" in text
    assert "another minor version" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        default_registry().codec(Any)
        default_registry(warn_pickled=False).codec(Opaque)


def test_a_dataclass_with_parts_that_are_no_plain_data_is_pickled_whole(data):
    registry = default_registry()
    with pytest.warns(PickledTypeWarning):
        codec = registry.codec(Fitted)
    assert codec.transformer == "FlytePickle"
    assert codec.decode(codec.encode(Fitted(Opaque(1), 0.5), data), data) == Fitted(Opaque(1), 0.5)
    with pytest.warns(PickledTypeWarning):
        assert registry.codec(Chain).transformer == "FlytePickle"


def test_any_inside_a_dataclass_is_plain_data_or_refused(registry):
    @dataclasses.dataclass
    class Loose:
        what: Any

    codec = registry.codec(Loose)
    assert codec.decode(codec.encode(Loose([1, {"a": None}]), None), None) == Loose(
        [1, {"a": None}]
    )
    assert refusal(registry, Loose, Loose(Opaque(1))).path == "$.what"


def test_fields_that_are_not_in_init_come_back_too(registry):
    @dataclasses.dataclass(frozen=True)
    class Frozen:
        a: int
        b: int = dataclasses.field(init=False, default=7)

    codec = registry.codec(Frozen)
    value = Frozen(1)
    object.__setattr__(value, "b", 9)
    back = codec.decode(codec.encode(value, None), None)
    assert (back.a, back.b) == (1, 9)
    with pytest.raises(CodecError, match="no value for its field a"):
        codec.decode(Literal("struct", {}), None)


def test_a_registered_factory_replaces_the_built_in_codec(registry):
    class Upper(Codec):
        transformer = "Upper"

        def __init__(self) -> None:
            super().__init__(Opaque, simple(literal_types.STRING))

        def encode(self, value: Any, data: Any) -> Literal:
            return Literal("string_value", str(value.value))

        def decode(self, literal: Literal, data: Any) -> Any:
            return Opaque(int(literal.value))

    registry.codec(Opaque)
    registry.register(Opaque, lambda python_type, registry: Upper())
    codec = registry.codec(list[Opaque])
    assert codec.decode(codec.encode([Opaque(3)], None), None) == [Opaque(3)]
    assert registry.codec(int).encode(3, None) == Literal("integer", 3)


def test_new_types_and_aliases_have_the_codec_of_their_type(registry):
    assert registry.codec(typing.NewType("Meters", int)).literal_type == simple("integer")
    assert registry.codec(typing.Annotated[list[int], "x"]).literal_type.kind == "collection_type"


@pytest.mark.parametrize(
    "python_type",
    [
        int,
        float,
        str,
        bool,
        type(None),
        datetime.datetime,
        datetime.timedelta,
        dict,
        list[int],
        dict[str, list[float]],
        Optional[int],
        typing.Literal["a", "b"],
        typing.Literal[1, 2],
        FlyteFile,
        FlyteFile["csv"],
        FlyteDirectory,
        np.ndarray,
        pd.DataFrame,
        Any,
    ],
)
def test_a_guessed_type_writes_the_same_type(registry, python_type):
    literal_type = registry.codec(python_type).literal_type
    assert registry.codec(registry.guess(literal_type)).literal_type == literal_type


def test_enums_are_guessed_as_enums_and_dataclasses_as_dicts(registry):
    assert [member.value for member in registry.guess(registry.codec(Colour).literal_type)] == [
        "red",
        "blue",
    ]
    assert registry.guess(registry.codec(Point).literal_type) is dict
    with pytest.raises(CodecError, match="no Python type"):
        registry.guess(LiteralType(literal_types.SIMPLE, literal_types.BINARY))


@pytest.mark.parametrize(
    ("python_type", "spelled"),
    [
        (int, "int"),
        (None, "None"),
        (list[int], "list[int]"),
        (Optional[int], "Optional[int]"),
        (pd.DataFrame, "pandas.DataFrame"),
        (FlyteFile["csv"], "flyte_nb.types.files.FlyteFile['csv']"),
        (datetime.date, "datetime.date"),
    ],
)
def test_types_are_spelled_as_people_write_them(python_type, spelled):
    assert spell(python_type) == spelled


def test_a_broken_repr_does_not_hide_the_error(registry):
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "<repr failed: RuntimeError>" in refusal(registry, int, Broken()).bare_message


def test_codecs_load_no_library_that_the_user_did_not():
    code = (
        "import sys\nfrom flyte_nb.types.registry import default_registry\n"
        "r = default_registry()\n"
        "for t in (int, list[str], dict[str, float], dict, int | None):\n    r.codec(t)\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'dataclasses', 'inspect', 'cloudpickle'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@dataclasses.dataclass
class WrongDefaults:
    xs: list[str] = None  # type: ignore[assignment]
    n: int = "a"  # type: ignore[assignment]
    right: Optional[int] = None


@dataclasses.dataclass
class WithFile:
    file: FlyteFile = FlyteFile(__file__)  # noqa: RUF009 - as people write it


def test_every_field_whose_default_does_not_fit_is_named_with_what_to_write(registry):
    with pytest.raises(
        CodecError, match=r"The fields xs and n of .*WrongDefaults have a default"
    ) as e:
        registry.codec(WrongDefaults)
    assert "xs: Expected list[str], got None; " in e.value.bare_message
    assert "n: Expected int, got str 'a'." in e.value.bare_message
    assert e.value.hint == ("Write xs: list[str] | None = None. Give n a default of the type int.")


def test_a_default_that_has_to_be_uploaded_first_makes_no_dataclass_unusable(registry):
    assert "default" not in registry.codec(WithFile).schema()["properties"]["file"]
