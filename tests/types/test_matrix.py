"""Every type in both directions: the same messages as flytekit, read by it and reading what it wrote.

`python tests/types/test_matrix.py` writes the table of these types to `docs/types.md`.
"""

import dataclasses
import io
import logging
import os
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pytest
from google.protobuf.message import Message

pytest.importorskip("flytekit", reason="the other SDK is not installed here")

from flytekit import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal as TheirLiteral

from flyte_nb.api.errors import CodecError
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.executions.written import value_of
from flyte_nb.storage import open_stores
from flyte_nb.types.codec import NeedsStore, PickledTypeWarning
from flyte_nb.types.registry import Registry, default_registry
from flyte_nb.wire.literal_bytes import literal_to_bytes
from flyte_nb.wire.literals import literal_from_idl, literal_to_idl
from flyte_nb.wire.types import type_to_idl
from tests.types.matrix_rows import CASES, Case

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch, Keras and flytekit
    # flytekit's iterator of JSON lines does not close its file.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PAGE = Path(__file__).parents[2] / "docs" / "types.md"


@pytest.fixture(params=CASES, ids=lambda one: one.name)
def row(request) -> Case:
    if request.param.needs:
        pytest.importorskip(request.param.needs, reason="the library is not installed here")
    return request.param


@pytest.fixture
def registry() -> Registry:
    return default_registry(warn_pickled=False)


@pytest.fixture(autouse=True)
def their_log_is_quiet():
    logger = logging.getLogger("flytekit")
    before, logger.level = logger.level, logging.CRITICAL
    yield
    logger.level = before


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "values"
    made.mkdir()
    return made


def theirs(row: Case, folder: Path) -> Any:
    context = FlyteContextManager.current_context()
    expected = TypeEngine.to_literal_type(row.flytekits)
    value = row.flytekits_value(folder)
    return TypeEngine.to_literal(context, value, row.flytekits, expected).to_flyte_idl()


def each_place(message: Message) -> Any:
    """Yield every part of the message that names a URI."""
    for field, value in message.ListFields():
        if field.name == "uri":
            yield message
        elif field.type == field.TYPE_MESSAGE and isinstance(value, Message):
            yield from each_place(value)
    if message.DESCRIPTOR.full_name == "google.protobuf.Struct":
        file = message.fields.get("pickle_file")
        if file is not None:
            yield file


def moved(message: Message, place: Any) -> Message:
    """The message with each URI replaced by what `place` returns for it."""
    for part in each_place(message):
        field = "uri" if hasattr(part, "uri") else "string_value"
        setattr(part, field, place(getattr(part, field)))
    return message


def seen(value: Any) -> Any:
    """What a value holds, whichever SDK's and library's object it is."""
    if hasattr(value, "open") and type(value).__name__ in DATASETS:
        value = value.open(pd.DataFrame).all()
    for kind, look in LOOKS:
        if isinstance(value, kind):
            return look(value)
    if type(value).__name__ in ("FlyteFile", "FlyteDirectory", "_SpecificFormatClass"):
        return seen(Path(value))
    if type(value).__name__ == "FlyteError":
        return value.message, value.failed_node_id
    if hasattr(value, "coef_"):
        return value.coef_.tolist(), value.intercept_
    if hasattr(value, "state_dict"):
        return {name: part.tolist() for name, part in value.state_dict().items()}
    if hasattr(value, "get_weights"):
        return [part.tolist() for part in value.get_weights()]
    if type(value).__name__ == "TFRecordDatasetV2":
        return [each.numpy() for each in value]
    if type(value).__name__ == "Tensor":
        return value.tolist()
    return list(value) if hasattr(value, "__next__") else value


def _content(path: Path) -> Any:
    if path.is_file():
        return path.read_bytes()
    return {
        str(each.relative_to(path)): _content(each) for each in path.rglob("*") if each.is_file()
    }


def _read(file: Any) -> Any:
    with file:
        return file.read()


DATASETS = ("StructuredDataset", "FlyteSchema", "_TypedSchema")
LOOKS: list[tuple[Any, Any]] = [
    (pd.DataFrame, lambda value: value.to_dict(orient="list")),
    (pa.Table, lambda value: value.to_pydict()),
    (pl.DataFrame, lambda value: value.to_dict(as_series=False)),
    (pl.LazyFrame, lambda value: value.collect().to_dict(as_series=False)),
    (np.ndarray, lambda value: (str(value.dtype), value.tolist())),
    (PIL.Image.Image, lambda value: (value.mode, value.tobytes())),
    (Path, _content),
    (io.IOBase, _read),
    (types.FunctionType, lambda value: value(3)),
]


def expected_of(row: Case, folder: Path) -> Any:
    """What the row's value holds when it is read."""
    value = row.value(folder)
    name = getattr(row.ours, "__name__", "")
    if name in ("TextIO", "BinaryIO"):
        return Path(value).read_text() if name == "TextIO" else Path(value).read_bytes()
    if name.startswith("TFRecord"):
        return [
            each.SerializeToString() for each in (value if isinstance(value, list) else [value])
        ]
    if name == "PyTorchCheckpoint":
        return value.state()
    return seen(Path(value) if isinstance(value, str) and os.path.exists(value) else value)


def test_the_type_is_the_same_message_as_flytekits(row, registry):
    ours = type_to_idl(registry.codec(row.ours).literal_type)
    assert ours == TypeEngine.to_literal_type(row.flytekits).to_flyte_idl()


def test_a_union_knows_the_variant_by_flytekits_name(row, registry):
    assert registry.codec(row.ours).transformer == row.tag
    if hasattr(row.flytekits, "__metadata__"):
        return  # flytekit asks for the transformer of what is annotated
    assert TypeEngine.get_transformer(row.flytekits).name == row.tag


def test_the_literal_is_the_same_message_as_flytekits(row, registry, data, folder):
    if row.unwritten:
        pytest.skip(row.unwritten)
    ours = literal_to_idl(registry.codec(row.ours).encode(row.value(folder), data))
    assert moved(ours, lambda uri: "") == moved(theirs(row, folder), lambda uri: "")


def test_what_flytekit_wrote_is_read(row, registry, data, folder):
    if row.unwritten:
        pytest.skip(row.unwritten)
    read = registry.codec(row.ours).decode(literal_from_idl(theirs(row, folder)), data)
    assert seen(read) == expected_of(row, folder)


def test_what_we_wrote_is_read_here_and_by_flytekit(row, registry, data, folder):
    codec = registry.codec(row.ours)
    literal = codec.encode(row.value(folder), data)
    assert seen(codec.decode(literal, data)) == expected_of(row, folder)
    if row.unread:
        return
    message = moved(literal_to_idl(literal), data.download)
    context = FlyteContextManager.current_context()
    read = TypeEngine.to_python_value(context, TheirLiteral.from_flyte_idl(message), row.flytekits)
    assert seen(read) == expected_of(row, folder)


def test_equal_values_have_equal_literals(row, registry, folder):
    if row.needs:
        pytest.skip(f"{row.needs} does not promise equal files")
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    codec = registry.codec(row.ours)
    one = literal_to_bytes(codec.encode(row.value(folder), data))
    other = literal_to_bytes(codec.encode(row.value(folder), data))
    assert one == other
    data.close()


def test_a_value_that_does_not_fit_is_refused_with_a_reason(row, registry, data):
    if row.misfit is None:
        pytest.skip("any value fits")
    with pytest.raises(CodecError) as caught:
        registry.codec(row.ours).encode(row.misfit, data)
    assert not isinstance(caught.value, NeedsStore)
    assert len(str(caught.value)) > 20
    assert re.match(r"^\$", caught.value.path)


def test_what_a_person_writes_for_it_is_read(row, registry):
    if row.given is None:
        return
    read = value_of(row.give, registry.codec(row.ours))
    assert seen(read) == seen(row.given)


def test_only_what_has_no_codec_is_pickled_with_a_warning():
    registry = default_registry()
    warned = set()
    for one in CASES:
        if one.needs and one.ours is None:
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda text, kind, **rest: warned.add(one.name))  # noqa: B023
            registry.codec(one.ours)
    assert warned == {each.name for each in CASES if each.tag == "FlytePickle"} - {"Any"}
    assert issubclass(PickledTypeWarning, UserWarning)


class Word(str):
    """A text of a class of its own."""


@pytest.mark.parametrize(
    "value", [np.float64(1.5), pd.Timestamp("2024-01-01"), Word("x")], ids=lambda value: repr(value)
)
def test_a_value_of_a_derived_class_comes_back_as_what_it_was(value, registry, data):
    codec = registry.codec(type(value))
    back = codec.decode(codec.encode(value, data), data)
    assert (back, type(back)) == (value, type(value))
    context = FlyteContextManager.current_context()
    expected = TypeEngine.to_literal_type(type(value))
    with pytest.raises(Exception, match="Expected value of type"):
        TypeEngine.to_literal(context, value, type(value), expected)


def page() -> str:
    """The page of the user guide that this table makes."""
    heads = "| Python | Flyte | write it in `%flyte launch` as | variant's name | to know |"
    lines = [INTRODUCTION, heads, "|---|---|---|---|---|"]
    for one in CASES:
        link = f"[`{_cell(one.name)}`](../tests/types/matrix_rows.py#L{one.line})"
        give = f"`{_cell(one.give)}`" if one.given is not None else _cell(one.give)
        notes = [one.notes, one.unwritten, one.unread, f"With {one.needs}." if one.needs else ""]
        known = " ".join(filter(None, notes))
        lines.append(f"| {link} | {_cell(one.kind)} | {give} | {_cell(one.tag)} | {_cell(known)} |")
    return "\n".join([*lines, "", ENDING])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


INTRODUCTION = """\
# Types

Every type that an input or output can have. Each row is tried in both directions against flytekit, by the
values and the tests that it links to: types and literals are equal, message by message; what flytekit wrote
is read, and flytekit reads what was written here. Where a row differs, it says so.

A type without a row is pickled, after a warning. A package brings further types by the entry point
`flyte_nb.types` ([details](adding.md#a-literal-type)). [Frames, arrays and caching](frames-and-caching.md)
has more about tables; `notebooks/types.ipynb` shows the types at work.
"""

ENDING = """\
Refused as one value are a tuple and a NamedTuple (as a task's return annotation they mean several outputs), a
list without the type of its items, and an Enum of numbers; the error says what to write.

A class that is derived from one of these, e.g. `numpy.float64`, `pandas.Timestamp` or a class of your own
that is a `str`, is pickled, so that its values come back as what they were; flytekit has the base's type for
it, and then refuses its values. Estimators, images, models, messages, tensors and modules are the exception:
their derived classes have the row of the base.

## What a task gets

- Files, folders and datasets are read when they are used. Passing one on moves no content.
- An error names the place inside the value: `$.rows[3].age`.
- Equal values have equal literals, so that caches know them. Frames, arrays, images and files of JSON lines
  carry a hash of their content.
- `Annotated[T, HashMethod(f)]` computes the hash that stands for a value in cache keys, and
  `Annotated[T, codec]` uses a codec of your own.
"""


def test_the_guides_table_is_what_the_tests_tried():
    """Run `python tests/types/test_matrix.py` to write the page."""
    assert PAGE.read_text() == page()


def test_every_row_of_the_table_has_a_name_of_its_own():
    names = [one.name for one in CASES]
    assert len(set(names)) == len(names)
    assert all(dataclasses.is_dataclass(one) and one.tag and one.line for one in CASES)


if __name__ == "__main__":
    PAGE.write_text(page())
