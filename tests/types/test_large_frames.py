"""Large frames: read without a second copy, equal to what pandas reads, and the author may change them."""

import numpy as np
import pandas as pd
import pytest

from flyte_nb.types import frame_libraries
from flyte_nb.types.registry import default_registry

FRAME = pd.DataFrame(
    {
        "f": np.arange(5.0),
        "n": range(5),
        "s": list("abcde"),
        "t": pd.date_range("2024-01-01", periods=5),
        "m": [1.0, None, 2.0, 3.0, 4.0],
        "c": pd.Categorical(list("aabba")),
        "b": [True, False, True, True, False],
    },
    index=pd.Index(list("vwxyz"), name="key"),
)
FRAME.attrs = {"unit": "m"}


@pytest.fixture
def read(data, monkeypatch):
    codec = default_registry().codec(pd.DataFrame)
    literal = codec.encode(FRAME, data)
    monkeypatch.setattr(frame_libraries, "LARGE", 0)
    return codec.decode(literal, data)


def test_a_large_frame_is_read_as_pandas_reads_it(read):
    pd.testing.assert_frame_equal(read, FRAME)
    assert read.attrs == FRAME.attrs
    assert list(read.dtypes) == list(FRAME.dtypes)


def test_the_author_may_change_a_large_frame(read):
    for number in range(read.shape[1]):
        read.iloc[0, number] = read.iloc[1, number]
        assert read.iloc[0, number] == read.iloc[1, number] or pd.isna(read.iloc[0, number])
    read["f"] += 1
    assert read["f"].tolist() == [2.0, 2.0, 3.0, 4.0, 5.0]
    assert FRAME["f"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
