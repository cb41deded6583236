"""Types of libraries (pydantic, protobuf, scikit-learn, Pillow), iterators, open files, FlyteError."""

import collections.abc
import datetime
import enum
import importlib.metadata
import io
import json
import sys
import typing
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
import PIL.Image
import pydantic
import pytest
import sklearn.linear_model
from google.protobuf import struct_pb2, timestamp_pb2
from sklearn.preprocessing import FunctionTransformer

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError, UsageError
from flyte_nb.api.literals import Literal, from_plain, to_plain
from flyte_nb.types import homes
from flyte_nb.types.codec import NeedsStore
from flyte_nb.types.flyte_error import FlyteError
from flyte_nb.types.iterators import JSON, FlyteIterator
from flyte_nb.types.registry import Registry, default_registry
from flyte_nb.types.torch_objects import PyTorchCheckpoint
from flyte_nb.wire.literal_bytes import literal_from_bytes, literal_to_bytes


class Colour(enum.Enum):
    RED = "red"


class Row(pydantic.BaseModel):
    age: int
    colour: Colour = Colour.RED


class Table(pydantic.BaseModel):
    rows: list[Row]
    when: Optional[datetime.datetime] = None
    tags: set[str] = set()
    share: float = 0.0


@pytest.fixture
def registry() -> Registry:
    return default_registry(warn_pickled=False)


def through_bytes(literal: Literal) -> Literal:
    piped = from_plain(json.loads(json.dumps(to_plain(literal))))
    return literal_from_bytes(literal_to_bytes(piped))


def there_and_back(codec: Any, value: Any, data: Any = None) -> Any:
    return codec.decode(through_bytes(codec.encode(value, data)), data)


TABLE = Table(
    rows=[Row(age=3), Row(age=4)],
    when=datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
    tags={"x", "y", "z"},
)


def test_a_model_comes_back_equal(registry):
    assert there_and_back(registry.codec(Table), TABLE) == TABLE
    assert there_and_back(registry.codec(Optional[Table]), TABLE) == TABLE
    assert there_and_back(registry.codec(list[Row]), TABLE.rows) == TABLE.rows


def test_a_model_is_a_struct_whose_parts_can_be_bound(registry):
    literal_type = registry.codec(Table).literal_type
    assert literal_type.dataclass_type["rows"] == registry.codec(list[Row]).literal_type
    part = Literal(literals.STRUCT, {"age": 7, "colour": "red"})
    assert registry.codec(Row).decode(part, None) == Row(age=7)


def test_equal_models_have_equal_bytes_whatever_the_order_of_their_sets(registry):
    codec = registry.codec(Table)
    one = Table(rows=[], tags=set("abcdefgh"))
    other = Table(rows=[], tags=set("hgfedcba"))
    assert literal_to_bytes(codec.encode(one, None)) == literal_to_bytes(codec.encode(other, None))


def test_a_model_keeps_numbers_that_json_has_not(registry):
    codec = registry.codec(Table)
    back = there_and_back(codec, Table(rows=[], share=float("inf")))
    assert back.share == float("inf")
    assert np.isnan(there_and_back(codec, Table(rows=[], share=float("nan"))).share)


def test_every_fault_of_a_model_is_named_with_its_place(registry):
    plain = {"rows": [{"age": 1}, {"age": "x"}], "when": "soon"}
    with pytest.raises(CodecError, match="has 2 faults") as caught:
        registry.codec(Table).decode(Literal(literals.STRUCT, plain), None)
    assert caught.value.path == "$.rows[1].age"
    assert "$.rows[1].age: " in str(caught.value)
    assert "$.when: " in str(caught.value)


def test_a_value_that_is_no_such_model_is_refused(registry):
    with pytest.raises(CodecError, match=r"Expected .*Row, got int 3"):
        registry.codec(Row).encode(3, None)

    class Wider(Row):
        name: str = ""

    with pytest.raises(CodecError, match=r"Expected .*Row, got .*Wider"):
        registry.codec(Row).encode(Wider(age=1), None)


def test_a_model_without_a_json_schema_is_refused_with_what_to_write(registry):
    class Odd(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        made: io.BytesIO

    with pytest.raises(CodecError, match="has no JSON schema") as caught:
        registry.codec(Odd)
    assert "declare the type as Any" in str(caught.value)


def test_a_message_comes_back_equal(registry):
    message = struct_pb2.Struct()
    message.update({"n": 1.5, "list": [1, "x", None], "inner": {"yes": True}})
    assert there_and_back(registry.codec(struct_pb2.Struct), message) == message
    values = struct_pb2.ListValue()
    values.extend([1, "x", None, {"a": [True]}])
    assert there_and_back(registry.codec(struct_pb2.ListValue), values) == values
    numbers = struct_pb2.ListValue()
    numbers.extend([1.5, 2.5])
    assert there_and_back(registry.codec(struct_pb2.ListValue), numbers) == numbers


def test_a_message_whose_json_form_is_no_object_is_refused(registry):
    with pytest.raises(CodecError, match="Flyte's structs are objects"):
        registry.codec(timestamp_pb2.Timestamp).encode(timestamp_pb2.Timestamp(seconds=1), None)


def test_a_message_with_unknown_fields_is_refused(registry):
    from flyteidl.core import literals_pb2

    newer = literals_pb2.Primitive.FromString(
        literals_pb2.Primitive(integer=3).SerializeToString() + b"\xfa\x7f\x01x"
    )
    with pytest.raises(CodecError, match="its JSON form does not hold"):
        registry.codec(literals_pb2.Primitive).encode(newer, None)
    with pytest.raises(CodecError, match="does not fit"):
        registry.codec(literals_pb2.Primitive).decode(Literal(literals.GENERIC, {"no": 1}), None)


def test_an_estimator_comes_back_with_what_it_has_learned(registry, data):
    model = sklearn.linear_model.LinearRegression().fit([[1], [2]], [1, 2])
    for python_type in (type(model), sklearn.base.BaseEstimator):
        back = there_and_back(registry.codec(python_type), model, data)
        assert back.predict([[3]]) == pytest.approx([3])


def test_an_estimator_with_a_notebooks_own_function_is_stored(registry, data):
    double = FunctionTransformer(lambda rows: rows * 2)
    back = there_and_back(registry.codec(FunctionTransformer), double, data)
    assert back.transform(np.array([[2]])).tolist() == [[4]]


def test_a_file_that_is_no_estimator_is_refused(registry, data, tmp_path):
    (tmp_path / "x").write_bytes(b"no pickle")
    uri = data.upload(str(tmp_path / "x"))
    codec = registry.codec(sklearn.base.BaseEstimator)
    with pytest.raises(CodecError, match="cannot be read"):
        codec.decode(
            codec.encode(FunctionTransformer(), data)._replace(value=(uri, codec.blob)), data
        )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
def test_an_image_comes_back_with_the_same_pixels(registry, data, mode):
    image = PIL.Image.effect_noise((5, 4), 80).convert(mode)
    back = there_and_back(registry.codec(PIL.Image.Image), image, data)
    assert (back.mode, back.tobytes()) == (mode, image.tobytes())
    assert isinstance(there_and_back(registry.codec(PIL.Image.Image), back, data), PIL.Image.Image)


def test_an_image_that_png_cannot_hold_is_refused_with_what_to_write(registry, data):
    with pytest.raises(CodecError, match=r"mode CMYK.*convert\('RGB'\)"):
        registry.codec(PIL.Image.Image).encode(PIL.Image.new("CMYK", (1, 1)), data)
    with pytest.raises(CodecError, match=r"Expected .*Image, got str"):
        registry.codec(PIL.Image.Image).encode("picture.png", data)
    with pytest.raises(NeedsStore):
        registry.codec(PIL.Image.Image).encode(PIL.Image.new("L", (1, 1)), None)


def test_a_damaged_image_is_refused(registry, data, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no image")
    uri = data.upload(str(tmp_path / "x.png"))
    codec = registry.codec(PIL.Image.Image)
    with pytest.raises(CodecError, match=r"cannot be read as PIL\.Image"):
        codec.decode(Literal(literals.BLOB, (uri, codec.literal_type.value)), data)


def test_a_value_that_was_pickled_before_its_type_had_a_codec_is_read(registry, data):
    array = np.arange(3)
    pickled = registry.codec(Any).encode(array, data)
    assert registry.codec(np.ndarray).decode(pickled, data).tolist() == [0, 1, 2]


def test_an_iterator_is_read_item_by_item_and_again(registry):
    for python_type in (Iterator[int], typing.Iterator[int], collections.abc.Iterator[int]):
        codec = registry.codec(python_type)
        back = there_and_back(codec, (n * n for n in range(4)))
        assert isinstance(back, FlyteIterator)
        assert len(back) == 4
        assert list(back) == [0, 1, 4, 9]
        assert list(back) == [0, 1, 4, 9]
    assert registry.codec(list[int]).decode(codec.encode(iter([1]), None), None) == [1]


def test_items_of_an_iterator_are_decoded_only_when_they_are_asked_for(registry, data):
    codec = registry.codec(Iterator[np.ndarray])
    back = codec.decode(codec.encode((np.full(2, n) for n in range(3)), data), data)
    assert data.downloads == []
    assert next(back).tolist() == [0, 0]
    assert len(data.downloads) == 1


def test_an_iterator_of_items_that_do_not_fit_names_the_first(registry):
    with pytest.raises(CodecError, match=r"\$\[1\]"):
        registry.codec(Iterator[int]).encode(iter([1, "x"]), None)
    with pytest.raises(CodecError, match="got str"):
        registry.codec(Iterator[str]).encode("abc", None)
    with pytest.raises(CodecError, match="needs the type of its items"):
        registry.codec(Iterator)


def test_json_lines_are_written_and_read_one_by_one(registry, data):
    codec = registry.codec(Iterator[JSON])
    values = [{"a": [1, None]}, "käse", 2.5, True, []]
    literal = codec.encode(iter(values), data)
    with open(data._path(literal.value[0])) as file:
        assert len(file.readlines()) == 5
    back = codec.decode(through_bytes(literal), data)
    assert data.downloads == []
    assert list(back) == values
    assert list(codec.decode(codec.encode(iter([]), data), data)) == []


def test_json_lines_name_the_item_or_line_at_fault(registry, data, tmp_path):
    codec = registry.codec(Iterator[JSON])
    with pytest.raises(CodecError, match=r"\$\[1\]\['x'\]"):
        codec.encode(iter([1, {"x": {2}}]), data)
    with pytest.raises(CodecError, match=r"\$\[0\]"):
        codec.encode(iter([b"x"]), data)
    (tmp_path / "x").write_text("1\n\nno\n")
    uri = data.upload(str(tmp_path / "x"))
    back = codec.decode(Literal(literals.BLOB, (uri, codec.literal_type.value)), data)
    assert next(back) == 1
    with pytest.raises(CodecError, match=r"Line 3 of .* is not JSON"):
        next(back)


def test_an_open_file_is_stored_and_opened_again(registry, data, tmp_path):
    with open(tmp_path / "x.txt", "w+") as file:
        file.write("käse")
        literal = registry.codec(typing.TextIO).encode(file, data)
    with registry.codec(typing.TextIO).decode(literal, data) as back:
        assert back.read() == "käse"
    binary = registry.codec(typing.BinaryIO).encode(str(tmp_path / "x.txt"), data)
    with registry.codec(typing.BinaryIO).decode(binary, data) as back:
        assert back.read() == "käse".encode()
    with pytest.raises(CodecError, match=r"Expected .*BinaryIO"):
        registry.codec(typing.BinaryIO).encode(io.BytesIO(b"x"), data)


def test_the_error_of_a_workflow_comes_back_equal(registry):
    error = FlyteError("it broke", "n3")
    assert there_and_back(registry.codec(FlyteError), error) == error
    assert there_and_back(registry.codec(Optional[FlyteError]), None) is None
    assert error != FlyteError("it broke", "n4")
    with pytest.raises(CodecError, match="Expected FlyteError"):
        registry.codec(FlyteError).encode(ValueError("x"), None)


def test_a_checkpoint_without_content_is_refused():
    with pytest.raises(UsageError, match="needs a module"):
        PyTorchCheckpoint()
    with pytest.raises(UsageError, match="Write a dict"):
        PyTorchCheckpoint(hyperparameters=3)
    assert PyTorchCheckpoint(hyperparameters={"rate": 0.1}).state() == {"rate": 0.1}


class Foreign(json.JSONEncoder):
    """A class of a library for which a plugin has a codec."""


Foreign.__module__ = "foreign_library"


def test_a_plugin_brings_the_codec_of_a_library(registry, monkeypatch):
    made = registry.codec(str)
    entry = importlib.metadata.EntryPoint(
        "foreign_library.Foreign", "unused:unused", "flyte_nb.types"
    )
    monkeypatch.setattr(homes, "_plugins", lambda: {entry.name: _Loaded(lambda *_: made)})
    assert registry.codec(Foreign) is made


def test_an_installed_package_brings_its_type_by_an_entry_point(tmp_path, monkeypatch, registry):
    (tmp_path / "shapes_lib.py").write_text(
        "from flyte_nb.types.scalars import StrCodec\n"
        "class Square:\n    pass\n"
        "def square_codec(python_type, registry):\n    return StrCodec()\n"
    )
    installed = tmp_path / "shapes_lib-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes-lib\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[flyte_nb.types]\nshapes_lib.Square = shapes_lib:square_codec\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    homes._plugins.cache_clear()
    try:
        shapes = importlib.import_module("shapes_lib")
        assert registry.codec(shapes.Square).transformer == "str"
        assert registry.codec(list[shapes.Square]).literal_type.value.value == "string"
    finally:
        homes._plugins.cache_clear()
        sys.modules.pop("shapes_lib", None)


def test_a_plugin_that_cannot_be_loaded_is_named(registry, monkeypatch):
    entry = importlib.metadata.EntryPoint(
        "foreign_library.Foreign", "no_such_module:x", "flyte_nb.types"
    )
    monkeypatch.setattr(homes, "_plugins", lambda: {entry.name: entry})
    with pytest.raises(CodecError, match=r"entry point 'foreign_library.Foreign'.*no_such_module"):
        registry.codec(Foreign)


class _Loaded:
    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def load(self) -> Any:
        return self._factory
