"""Frames whose columns parquet cannot hold: refused by name, and never changed without a word."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flyte_nb.api.errors import CodecError
from flyte_nb.types.registry import default_registry


def objects(*values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return pd.DataFrame({"x": column})


def with_attrs(**attrs):
    frame = pd.DataFrame({"x": [1]})
    frame.attrs.update(attrs)
    return frame


DAY = datetime.date(2024, 1, 1)
MOMENT = datetime.datetime(2024, 1, 1, 5)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (objects(1, "a"), "the column 'x' holds int and str"),
        (objects("a", b"b"), "the column 'x' holds bytes and str"),
        (objects(True, 2), "the column 'x' holds bool and int"),
        (objects(DAY, MOMENT), "the column 'x' holds datetime.date and datetime.datetime"),
        (
            objects(MOMENT, MOMENT.replace(tzinfo=datetime.timezone.utc)),
            "times with and without a time zone",
        ),
        (objects({"a": 1}, {"b": 2}), r"dicts with different keys \('a' and 'b'\)"),
        (objects({"a": {"b": 1}}, {"a": {}}), r"dicts that hold at 'a' dicts with different keys"),
        (objects([{"a": 1}, {}]), "lists of dicts with different keys"),
        (objects({1}, {2}), "holds sets, which become lists"),
        (objects([1, "a"]), "lists of int and str"),
        (objects({}), "holds values of dict"),
        (objects(object()), "holds values of object"),
        (objects(2**70), "ints of more than 64 bits"),
        (pd.DataFrame({"x": [1j]}), "the column 'x' holds values of complex128"),
        (pd.DataFrame({"x": pd.Categorical([1, "a"])}), "holds a category of int and str"),
        (pd.DataFrame([[1, 2]], columns=[1, "a"]), r"the column 1 would be called '1'"),
        (pd.DataFrame([[1, 2]], columns=[True, False]), "the column False would be called True"),
        (pd.DataFrame([[1]], columns=[DAY]), "the columns' names are of datetime.date"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns are called 'a'"),
        (pd.DataFrame({"x": [1, 2]}, index=[1, "a"]), "the index holds int and str"),
        (with_attrs(k=object()), "its attrs are not JSON"),
    ],
)
def test_a_frame_that_parquet_would_change_is_refused_with_its_column(data, frame, said):
    with pytest.raises(CodecError, match=said) as caught:
        default_registry().codec(pd.DataFrame).encode(frame, data)
    assert "pandas.DataFrame" in caught.value.bare_message
    assert "Any" in caught.value.hint
    assert "Arrow" not in str(caught.value)


def test_every_wrong_column_is_named_at_once(data):
    frame = pd.DataFrame({"a": [{1}], "b": [[1, "x"]], "c": [1]})
    with pytest.raises(CodecError, match=r"the column 'a' .*; the column 'b' "):
        default_registry().codec(pd.DataFrame).encode(frame, data)


@pytest.mark.parametrize(
    "frame",
    [
        objects(1, 2.5, None),
        objects("a", None, float("nan")),
        objects({"a": 1}, None, {"a": 2}),
        objects([1, 2], (3,), np.array([4])),
        objects(np.str_("a"), "b"),
        objects(np.int64(1), 2),
        objects(pd.Timestamp("2024-01-01"), MOMENT),
        pd.DataFrame([[1, 2]], columns=[1, 5]),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pd.DataFrame({"x": []}),
        pd.DataFrame(),
        with_attrs(k=[1]),
    ],
)
def test_what_parquet_holds_still_travels(data, frame):
    codec = default_registry().codec(pd.DataFrame)
    back = codec.decode(codec.encode(frame, data), data)
    assert list(back.columns) == list(frame.columns)
    assert len(back) == len(frame)


def test_the_column_of_a_table_that_cannot_be_written_is_named(data):
    odd = pa.UnionArray.from_sparse(pa.array([0], type=pa.int8()), [pa.array([1])])
    with pytest.raises(CodecError, match="the column 'odd' holds values of sparse_union"):
        default_registry().codec(pa.Table).encode(pa.table({"fine": [1], "odd": odd}), data)


def test_a_file_that_is_not_parquet_is_named(data, tmp_path):
    codec = default_registry().codec(pd.DataFrame)
    literal = codec.encode(pd.DataFrame({"x": [1]}), data)
    dataset = literal.value[1]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "00000").write_bytes(b"PAR1 broken PAR1")
    with pytest.raises(CodecError, match="cannot be read as parquet"):
        codec.decode(literal._replace(value=(str(tmp_path / "broken"), dataset)), data)
