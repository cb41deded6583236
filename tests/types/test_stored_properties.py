"""Properties of every type that is stored as a file, and of structs by libraries.

What is encoded, sent and decoded is what it was; equal values have equal literals and hashes; a value that
does not fit is refused with its place.
"""

import datetime
import json
import string
from collections.abc import Iterator
from typing import Annotated, Any, Optional

import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pydantic
import pytest
import sklearn.linear_model
from google.protobuf import struct_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flyte_nb import FlyteError, FlyteFile, StructuredDataset
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import from_plain, to_plain
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.storage import open_stores
from flyte_nb.types.iterators import JSON
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literal_bytes import literal_from_bytes, literal_to_bytes

UTC = datetime.timezone.utc
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8)
INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=4)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


class Row(pydantic.BaseModel):
    age: int
    share: float = 0.0


class Table(pydantic.BaseModel):
    rows: list[Row]
    by_name: dict[str, Row] = {}
    when: Optional[datetime.datetime] = None
    tags: frozenset[str] = frozenset()


ROWS = st.builds(Row, age=INTS, share=FLOATS)
TABLES = st.builds(
    Table,
    rows=st.lists(ROWS, max_size=3),
    by_name=st.dictionaries(NAMES, ROWS, max_size=2),
    when=st.none() | st.datetimes(timezones=st.just(UTC)),
    tags=st.frozensets(TEXTS, max_size=4),
)


@st.composite
def columns(draw: Any) -> dict[str, list[Any]]:
    """The columns of a table: ints, floats, texts or booleans, each of one type."""
    rows = draw(st.integers(1, 4))
    kinds = st.sampled_from(
        [INTS, FLOATS, st.text(string.ascii_letters, min_size=1), st.booleans()]
    )
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    return {name: draw(st.lists(draw(kinds), min_size=rows, max_size=rows)) for name in names}


def message(plain: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(plain)
    return made


def image(data: Any) -> PIL.Image.Image:
    mode, pixels = data
    return PIL.Image.frombytes(mode, (2, 2), pixels[: 4 * len(mode)])


def seen(value: Any) -> Any:
    if isinstance(value, StructuredDataset):
        value = value.open(pa.Table).all() if value.dataframe is None else value.dataframe
    if isinstance(value, pd.DataFrame):
        return value.to_dict(orient="list")
    if isinstance(value, pa.Table):
        return value.to_pydict()
    if isinstance(value, pl.DataFrame):
        return value.to_dict(as_series=False)
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, PIL.Image.Image):
        return value.mode, value.tobytes()
    if hasattr(value, "coef_"):
        return value.coef_.tolist()
    return list(value) if hasattr(value, "__next__") else value


DTYPES = (
    arrays.integer_dtypes(endianness="<")
    | arrays.floating_dtypes(endianness="<")
    | arrays.unicode_string_dtypes(endianness="<")
    | arrays.boolean_dtypes()
)
FAMILIES: dict[str, tuple[Any, Any]] = {
    "model": (Table, TABLES),
    "optional model": (Optional[Row], st.none() | ROWS),
    "list of models": (list[Row], st.lists(ROWS, max_size=3)),
    "message": (struct_pb2.Struct, st.dictionaries(TEXTS, PLAIN, max_size=3).map(message)),
    "error": (FlyteError, st.builds(FlyteError, TEXTS, TEXTS)),
    "array": (np.ndarray, arrays.arrays(DTYPES, arrays.array_shapes(min_side=0))),
    "pandas": (pd.DataFrame, columns().map(pd.DataFrame)),
    "arrow": (pa.Table, columns().map(pa.table)),
    "polars": (pl.DataFrame, columns().map(pl.DataFrame)),
    "dataset": (StructuredDataset, columns().map(pa.table).map(StructuredDataset)),
    "image": (
        PIL.Image.Image,
        st.tuples(
            st.sampled_from(["L", "LA", "RGB", "RGBA"]), st.binary(min_size=16, max_size=16)
        ).map(image),
    ),
    "estimator": (
        sklearn.linear_model.LinearRegression,
        st.floats(-9, 9).map(
            lambda slope: sklearn.linear_model.LinearRegression().fit([[0.0], [1.0]], [0.0, slope])
        ),
    ),
    "pickle": (
        Any,
        st.tuples(INTS, TEXTS) | st.sets(INTS, max_size=3) | st.complex_numbers(allow_nan=False),
    ),
    "bytes": (bytes, st.binary(max_size=20)),
}
EVERY = pytest.mark.parametrize("family", FAMILIES)
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def data():
    made = KernelData(open_stores(), folder_uri=SCRATCH)
    yield made
    made.close()


@EVERY
def test_a_value_comes_back_through_pipe_and_bytes(family, data):
    python_type, values = FAMILIES[family]
    codec = default_registry(warn_pickled=False).codec(python_type)

    @QUICK
    @given(values)
    def comes_back(value: Any) -> None:
        literal = codec.encode(value, data)
        piped = from_plain(json.loads(json.dumps(to_plain(literal))))
        back = codec.decode(literal_from_bytes(literal_to_bytes(piped)), data)
        assert seen(back) == seen(value)

    comes_back()


@EVERY
def test_equal_values_have_equal_literals_and_hashes(family, data):
    python_type, values = FAMILIES[family]
    codec = default_registry(warn_pickled=False).codec(python_type)

    @QUICK
    @given(values)
    def is_stable(value: Any) -> None:
        one, other = codec.encode(value, data), codec.encode(value, data)
        assert literal_to_bytes(one) == literal_to_bytes(other)
        again = codec.decode(one, data)
        if family not in (
            "estimator",
            "pickle",
        ):  # a pickle tells a shared object from two equal ones
            assert literal_to_bytes(codec.encode(again, data)) == literal_to_bytes(one)

    is_stable()


@EVERY
def test_any_other_value_is_refused_with_a_codec_error_or_fits(family, data):
    codec = default_registry(warn_pickled=False).codec(FAMILIES[family][0])

    refusals: list[CodecError] = []

    @QUICK
    @given(PLAIN | st.binary(max_size=4) | st.dates() | ROWS)
    def is_refused_or_fits(value: Any) -> None:
        try:
            codec.encode(value, data)
        except CodecError as error:
            refusals.append(error)

    is_refused_or_fits()
    assert all(error.path.startswith("$") and error.bare_message for error in refusals)
    assert refusals or family in ("pickle", "optional model", "bytes", "list of models")


@given(st.lists(PLAIN, max_size=5))
@QUICK
def test_json_lines_come_back(values):
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    codec = default_registry().codec(Iterator[JSON])
    one, other = codec.encode(iter(values), data), codec.encode(iter(values), data)
    assert one == other
    assert list(codec.decode(one, data)) == values
    data.close()


@given(st.lists(INTS, max_size=5))
@QUICK
def test_an_iterator_comes_back(values):
    codec = default_registry().codec(Iterator[int])
    literal = literal_from_bytes(literal_to_bytes(codec.encode(iter(values), None)))
    assert list(codec.decode(literal, None)) == values


@given(columns())
@QUICK
def test_a_table_as_csv_is_the_same_for_every_library(table):
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    registry = default_registry()
    literals = [
        registry.codec(Annotated[type(made), "csv"]).encode(made, data)
        for made in (pd.DataFrame(table), pa.table(table), pl.DataFrame(table))
    ]
    for literal in literals:
        for kind in (pd.DataFrame, pa.Table, pl.DataFrame):
            read = seen(registry.codec(kind).decode(literal, data))
            assert list(read) == list(table)
            assert {len(column) for column in read.values()} == {
                len(each) for each in table.values()
            }
    data.close()


@given(st.binary(max_size=30), NAMES)
@QUICK
def test_a_file_comes_back_with_its_content_and_name(content, name):
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    path = data.scratch(f"-{name}.bin")
    with open(path, "wb") as file:
        file.write(content)
    codec = default_registry().codec(FlyteFile)
    literal = codec.encode(path, data)
    assert literal == codec.encode(FlyteFile(path), data)
    with codec.decode(literal, data).open("rb") as file:
        assert file.read() == content
    data.close()


@given(st.lists(ROWS, min_size=1, max_size=4), st.data())
@QUICK
def test_a_fault_in_a_model_is_found_where_it_is(rows, draw):
    at = draw.draw(st.integers(0, len(rows) - 1))
    plain = {"rows": [row.model_dump() for row in rows]}
    plain["rows"][at]["age"] = "no number"
    with pytest.raises(CodecError) as caught:
        default_registry().codec(Table).encode(plain, None)
    assert caught.value.path == f"$.rows[{at}].age"
