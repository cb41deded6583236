"""What stands beside a type in `Annotated`: carried to the wire, applied to values, or refused."""

import hashlib
from typing import Annotated, Any

import pytest

from flyte_nb import FlyteAnnotation, HashMethod, UsageError, kwtypes
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import INTEGER, simple
from flyte_nb.api.literals import Literal, from_plain, to_plain, type_from_plain, type_to_plain
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.storage import open_stores
from flyte_nb.types.frame_libraries import library_of
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literals import literal_from_idl, literal_to_idl
from flyte_nb.wire.types import type_from_idl, type_to_idl

pd = pytest.importorskip("pandas", reason="frames need pandas")
pa = pytest.importorskip("pyarrow", reason="parquet needs pyarrow")

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


@pytest.fixture
def data():
    made = KernelData(open_stores(), folder_uri=SCRATCH)
    yield made
    made.close()


def codec(python_type):
    return default_registry().codec(python_type)


def digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def test_a_hash_method_gives_a_frames_literal_its_hash_on_every_way(data):
    hashed = codec(Annotated[pd.DataFrame, HashMethod(digest)])
    literal = hashed.encode(FRAME, data)
    assert literal.hash == digest(FRAME)
    assert from_plain(to_plain(literal)).hash == literal.hash
    assert literal_to_idl(literal).hash == literal.hash
    assert hashed.decode(literal_from_idl(literal_to_idl(literal)), data).equals(FRAME)


@pytest.mark.parametrize(("python_type", "value"), [(int, 3), (list[int], [1, 2]), (str, "x")])
def test_a_hash_method_counts_for_any_type(data, python_type, value):
    hashed = codec(Annotated[python_type, HashMethod(digest)])
    literal = hashed.encode(value, data)
    assert literal.hash == digest(value)
    assert hashed.decode(literal, data) == value
    assert hashed.literal_type == codec(python_type).literal_type


def test_items_of_a_list_keep_their_hashes(data):
    listed = codec(list[Annotated[int, HashMethod(digest)]])
    literal = listed.encode([1, 2], data)
    assert [item.hash for item in literal.value] == [digest(1), digest(2)]
    assert listed.decode(literal, data) == [1, 2]


def test_a_hash_that_is_no_text_and_two_methods_are_refused(data):
    with pytest.raises(CodecError, match="returned int"):
        codec(Annotated[int, HashMethod(lambda value: value)]).encode(3, data)
    with pytest.raises(CodecError, match="2 hash methods"):
        codec(Annotated[int, HashMethod(digest), HashMethod(digest)])
    with pytest.raises(UsageError, match="needs a function"):
        HashMethod("sha256")


@pytest.mark.parametrize("table", [FRAME, pa.table({"a": [1, 2], "b": ["x", "y"]})])
def test_a_subset_of_columns_is_what_is_read(data, table):
    whole, part = codec(type(table)), codec(Annotated[type(table), kwtypes(b=str)])
    literal = whole.encode(table, data)
    assert list(part.decode(literal, data)["b"]) == list(table["b"])
    assert library_of(type(table)).names(part.decode(literal, data)) == ["b"]


@pytest.mark.parametrize("table", [FRAME, pa.table({"a": [1, 2], "b": ["x", "y"]})])
def test_a_column_that_is_not_there_is_named_when_written_and_when_read(data, table):
    wrong = codec(Annotated[type(table), kwtypes(a=int, age=int)])
    with pytest.raises(CodecError, match="lacks the declared columns age; it has: a, b"):
        wrong.encode(table, data)
    with pytest.raises(CodecError, match="age"):
        wrong.decode(codec(type(table)).encode(table, data), data)


def test_an_arrow_schema_travels_as_flytekit_has_it():
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    made = codec(Annotated[pd.DataFrame, schema]).literal_type
    message = type_to_idl(made).structured_dataset_type
    assert message.external_schema_type == "arrow"
    assert message.external_schema_bytes == b"a: int64\nb: string"
    assert type_from_idl(type_to_idl(made)) == made
    assert type_from_plain(type_to_plain(made)) == made
    flytekit = pytest.importorskip("flytekit", reason="the peer is not installed here")
    from flytekit.core.type_engine import TypeEngine

    assert flytekit is not None
    theirs = TypeEngine.to_literal_type(Annotated[pd.DataFrame, schema]).to_flyte_idl()
    assert theirs.structured_dataset_type == message


def test_an_annotation_goes_into_the_type_beside_what_is_there():
    unit = FlyteAnnotation({"unit": "m"})
    assert codec(Annotated[int, unit]).literal_type == simple(INTEGER)._replace(
        annotation={"unit": "m"}
    )
    plain = codec(dict).literal_type.annotation
    assert codec(Annotated[dict, unit]).literal_type.annotation == {"unit": "m", **plain}
    assert codec(Annotated[int, unit]).encode(3, None) == Literal("integer", 3)
    both = codec(Annotated[int, unit, HashMethod(digest)])
    assert both.literal_type.annotation == {"unit": "m"}
    assert both.encode(3, None).hash == digest(3)


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ([FlyteAnnotation({"a": 1}), FlyteAnnotation({"b": 1})], "Flyte keeps one"),
        ([FlyteAnnotation({"cache-key-metadata": {}})], "without the key"),
    ],
)
def test_annotations_that_cannot_be_kept_are_refused(extras, message):
    with pytest.raises(CodecError, match=message):
        codec(Annotated[(int, *extras)])
    with pytest.raises(UsageError, match="needs a dict"):
        FlyteAnnotation("unit")
