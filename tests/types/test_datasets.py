"""Datasets: tables of three libraries, two formats, a part of the columns, and reading when it is wanted."""

import dataclasses
import pickle
import typing
from typing import Annotated, Any, Optional

import pytest

from flyte_nb import kwtypes
from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError, UsageError
from flyte_nb.api.literal_types import StructuredDatasetType
from flyte_nb.api.literals import Literal, from_plain, to_plain
from flyte_nb.types import frame_libraries
from flyte_nb.types.by_value import codec_for
from flyte_nb.types.codec import NeedsStore
from flyte_nb.types.datasets import StructuredDataset
from flyte_nb.types.registry import Registry, default_registry
from flyte_nb.wire.literal_bytes import literal_from_bytes, literal_to_bytes

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")

COLUMNS = {"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, 1.5, 2.5]}
TABLES = {
    "pandas": pd.DataFrame(COLUMNS),
    "arrow": pa.table(COLUMNS),
    "polars": pl.DataFrame(COLUMNS),
    "lazy polars": pl.LazyFrame(COLUMNS),
}
EVERY = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
FORMATS = pytest.mark.parametrize("format", ["parquet", "csv"])


@pytest.fixture
def registry() -> Registry:
    return default_registry(warn_pickled=False)


def plain(table: Any) -> dict[str, list[Any]]:
    """The table's columns as lists, of whichever library it is."""
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    if isinstance(table, pd.DataFrame):
        return table.to_dict(orient="list")
    return table.to_dict(as_series=False) if isinstance(table, pl.DataFrame) else table.to_pydict()


def sent(literal: Literal) -> Literal:
    return literal_from_bytes(literal_to_bytes(from_plain(to_plain(literal))))


@EVERY
@FORMATS
def test_a_table_comes_back_equal_in_each_format(registry, data, table, format):
    codec = registry.codec(Annotated[type(table), format])
    literal = codec.encode(table, data)
    assert literal.value[1].format == format
    assert codec.literal_type.value.format == format
    back = codec.decode(sent(literal), data)
    assert type(back) is type(table)
    assert plain(back) == COLUMNS


@EVERY
@FORMATS
def test_a_table_of_one_library_is_read_as_any_other(registry, data, table, format):
    literal = registry.codec(Annotated[type(table), format]).encode(table, data)
    for other in TABLES.values():
        assert plain(registry.codec(type(other)).decode(literal, data)) == COLUMNS


@EVERY
@FORMATS
def test_only_the_declared_columns_are_read_in_their_order(registry, data, table, format):
    literal = registry.codec(Annotated[type(table), format]).encode(table, data)
    part = registry.codec(Annotated[type(table), kwtypes(c=float, a=int)])
    assert list(plain(part.decode(literal, data)).items()) == [
        ("c", COLUMNS["c"]),
        ("a", COLUMNS["a"]),
    ]
    declared = part.encode(table, data)
    assert plain(registry.codec(type(table)).decode(declared, data)) == {
        "c": COLUMNS["c"],
        "a": COLUMNS["a"],
    }


@EVERY
@FORMATS
def test_a_column_that_is_missing_is_named(registry, data, table, format):
    wrong = registry.codec(Annotated[type(table), kwtypes(a=int, age=int), format])
    with pytest.raises(CodecError, match="lacks the declared columns age"):
        wrong.encode(table, data)
    literal = registry.codec(Annotated[type(table), format]).encode(table, data)
    with pytest.raises(CodecError, match="age"):
        plain(wrong.decode(literal, data))


@EVERY
@FORMATS
def test_a_dataset_is_read_when_it_is_opened_and_not_before(registry, data, table, format):
    codec = registry.codec(Annotated[StructuredDataset, format])
    literal = codec.encode(StructuredDataset(dataframe=table), data)
    dataset = codec.decode(sent(literal), data)
    assert (dataset.dataframe, dataset.file_format) == (None, format)
    opened = dataset.open(type(table))
    assert data.downloads == []
    assert plain(opened.all()) == COLUMNS
    assert len(data.downloads) == 1


@EVERY
@FORMATS
def test_a_dataset_is_read_in_parts(registry, data, table, format, monkeypatch):
    monkeypatch.setattr(frame_libraries, "ROWS", 2)
    literal = registry.codec(Annotated[type(table), format]).encode(table, data)
    codec = registry.codec(Annotated[StructuredDataset, kwtypes(a=int)])
    parts = [plain(part) for part in codec.decode(literal, data).open(type(table)).iter()]
    assert [value for part in parts for value in part["a"]] == [1, 2, 3]
    assert all(part.keys() == {"a"} for part in parts)
    if format == "parquet" or not isinstance(table, pa.Table):  # Arrow reads a csv by bytes
        assert [len(part["a"]) for part in parts] == [2, 1]


def test_a_dataset_that_is_passed_on_is_stored_once(registry, data):
    codec = registry.codec(StructuredDataset)
    literal = codec.encode(StructuredDataset(dataframe=TABLES["pandas"]), data)
    assert codec.encode(codec.decode(literal, data), None) == literal
    assert codec.decode(literal, data).literal == literal
    assert codec.decode(literal, data).metadata == StructuredDatasetType((), "parquet")


def test_a_dataset_at_a_uri_is_not_read(registry, data):
    codec = registry.codec(StructuredDataset)
    literal = codec.encode(StructuredDataset(uri="bq://project/table", file_format="bq"), None)
    assert literal.value == ("bq://project/table", StructuredDatasetType((), "bq"))
    with pytest.raises(CodecError, match="has the format bq; parquet and csv can be read"):
        codec.decode(literal, data).open(pd.DataFrame).all()


def test_a_local_dataset_is_stored(registry, data, tmp_path):
    TABLES["pandas"].to_csv(tmp_path / "x.csv", index=False)
    local = StructuredDataset(uri=str(tmp_path / "x.csv"), file_format="csv")
    literal = registry.codec(StructuredDataset).encode(local, data)
    assert literal.value[0].endswith("/x.csv")
    assert plain(registry.codec(pl.DataFrame).decode(literal, data)) == COLUMNS
    with pytest.raises(CodecError, match="There is no dataset at"):
        registry.codec(StructuredDataset).encode(StructuredDataset(uri="/no/such"), data)


def test_a_table_is_stored_where_its_author_says(registry, data):
    wanted = StructuredDataset(
        dataframe=TABLES["arrow"], uri="store://mine/table", file_format="csv"
    )
    literal = registry.codec(StructuredDataset).encode(wanted, data)
    assert literal.value == ("store://mine/table", StructuredDatasetType((), "csv"))
    assert plain(registry.codec(pa.Table).decode(literal, data)) == COLUMNS


def test_a_task_that_returns_a_frame_may_return_a_dataset(registry, data):
    literal = registry.codec(pd.DataFrame).encode(StructuredDataset(TABLES["polars"]), data)
    assert plain(registry.codec(pd.DataFrame).decode(literal, data)) == COLUMNS


def test_a_frame_for_a_dataset_is_refused_with_what_to_write(registry, data):
    with pytest.raises(CodecError, match="Expected StructuredDataset, got pandas"):
        registry.codec(StructuredDataset).encode(TABLES["pandas"], data)
    with pytest.raises(CodecError, match="The dataset is empty"):
        registry.codec(StructuredDataset).encode(StructuredDataset(), data)
    with pytest.raises(NeedsStore):
        registry.codec(StructuredDataset).encode(StructuredDataset(TABLES["pandas"]), None)


def test_a_dataset_is_opened_as_a_table_only():
    dataset = StructuredDataset(dataframe=TABLES["pandas"])
    with pytest.raises(UsageError, match="Say first which table"):
        dataset.all()
    with pytest.raises(CodecError, match="dict is no table"):
        dataset.open(dict)
    with pytest.raises(CodecError, match="is not stored yet"):
        dataset.open(pa.Table).all()
    assert dataset.open(pd.DataFrame).all() is TABLES["pandas"]
    assert list(dataset.iter()) == [dataset.dataframe]
    assert repr(dataset) == "StructuredDataset(dataframe=<pandas.DataFrame>)"


@dataclasses.dataclass
class Report:
    rows: StructuredDataset
    other: Optional[StructuredDataset] = None


def test_a_dataset_is_a_part_of_a_dataclass(registry, data):
    codec = registry.codec(Report)
    back = codec.decode(sent(codec.encode(Report(StructuredDataset(TABLES["pandas"])), data)), data)
    assert plain(back.rows.open(pa.Table).all()) == COLUMNS
    assert back.other is None
    again = pickle.loads(pickle.dumps(back.rows))
    assert again.uri == back.rows.uri


def test_columns_have_the_types_of_python_and_numpy(registry):
    @dataclasses.dataclass
    class Inner:
        e: int
        f: str

    shaped = kwtypes(
        i=np.int32, u=np.uint64, f=np.float32, b=np.bool_, t=np.datetime64, d=np.timedelta64,
        s=np.str_, o=np.object_, many=list[str], by=dict[str, int], inner=Inner, deep={"n": int},
    )  # fmt: skip
    columns = dict(registry.codec(Annotated[pd.DataFrame, shaped]).literal_type.value.columns)
    assert {name: column.value for name, column in columns.items() if column.kind == "simple"} == {
        "i": "integer", "u": "integer", "f": "float", "b": "boolean", "t": "datetime",
        "d": "duration", "s": "string", "o": "string",
        "inner.e": "integer", "inner.f": "string", "deep.n": "integer",
    }  # fmt: skip
    assert columns["many"] == registry.codec(list[str]).literal_type
    of_class = registry.codec(Annotated[StructuredDataset, Inner]).literal_type
    assert [name for name, _ in of_class.value.columns] == ["e", "f"]


@pytest.mark.parametrize(
    ("extras", "noun"),
    [
        ((kwtypes(a=int), kwtypes(b=int)), "columns"),
        (("csv", "parquet"), "format"),
        ((pa.schema([]), pa.schema([("a", pa.int64())])), "Arrow schema"),
    ],
)
def test_what_is_declared_twice_is_refused(registry, extras, noun):
    with pytest.raises(CodecError, match=f"its {noun} declared 2 times"):
        registry.codec(Annotated[(StructuredDataset, *extras)])


def test_a_csv_has_no_index_so_one_that_means_something_is_refused(registry, data):
    codec = registry.codec(Annotated[pd.DataFrame, "csv"])
    left = TABLES["pandas"][TABLES["pandas"]["a"] > 1]
    assert plain(codec.decode(codec.encode(left, data), data))["a"] == [2, 3]
    with pytest.raises(CodecError, match=r"not part of a csv.*reset_index"):
        codec.encode(TABLES["pandas"].set_index("b"), data)


def test_a_folder_of_several_files_is_one_dataset(registry, data, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    TABLES["pandas"].iloc[:2].to_csv(folder / "part-0.csv", index=False)
    TABLES["pandas"].iloc[2:].to_csv(folder / "part-1.csv", index=False)
    (folder / "_SUCCESS").write_text("")
    uri = data.upload(str(folder))
    literal = Literal(literals.STRUCTURED_DATASET, (uri, StructuredDatasetType((), "csv")))
    for table in TABLES.values():
        assert plain(registry.codec(type(table)).decode(literal, data)) == COLUMNS
    (tmp_path / "empty").mkdir()
    nothing = Literal(
        literals.STRUCTURED_DATASET, (data.upload(str(tmp_path / "empty")), literal.value[1])
    )
    with pytest.raises(CodecError, match="The dataset has no files"):
        registry.codec(pd.DataFrame).decode(nothing, data)


def test_a_frame_of_polars_that_cannot_be_written_is_refused(registry, data):
    odd = pl.DataFrame({"a": [object()]})
    with pytest.raises(CodecError, match=r"polars\.DataFrame cannot be written as parquet"):
        registry.codec(pl.DataFrame).encode(odd, data)


@EVERY
def test_a_fetched_interface_takes_a_table_of_any_library(registry, data, table):
    fetched = codec_for(
        registry.codec(Annotated[StructuredDataset, kwtypes(a=int)]).literal_type, registry
    )
    for value in (table, StructuredDataset(table)):
        literal = fetched.encode(value, data)
        assert plain(registry.codec(type(table)).decode(literal, data)) == {"a": COLUMNS["a"]}
    with pytest.raises(CodecError, match="got int 3"):
        fetched.encode(3, data)


def test_a_union_takes_the_variant_of_the_tables_library(registry, data):
    codec = registry.codec(typing.Union[pd.DataFrame, int])
    assert plain(codec.decode(codec.encode(TABLES["pandas"], data), data)) == COLUMNS
