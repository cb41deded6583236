"""Frames and arrays of equal content: one hash, and one place where content decides the place."""

from typing import Optional

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flyte_nb.client.data import KernelData
from flyte_nb.client.uploads import Uploads
from flyte_nb.storage import open_stores
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.signed_store import signed_store
from flyte_nb.types.content import SWITCH
from flyte_nb.types.registry import default_registry

VALUES = [
    (pd.DataFrame, lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None]})),
    (pd.DataFrame, lambda: pd.DataFrame({"t": pd.date_range("2024", periods=3)}, index=[3, 1, 2])),
    (pa.Table, lambda: pa.table({"a": [1, 2]})),
    (np.ndarray, lambda: np.arange(6.0).reshape(2, 3)),
    (Optional[pd.DataFrame], lambda: pd.DataFrame({"a": [1]})),
]
OTHERS = {
    pd.DataFrame: pd.DataFrame({"a": [1, 3], "b": ["x", None]}),
    pa.Table: pa.table({"a": [1, 3]}),
    np.ndarray: np.arange(6),
    Optional[pd.DataFrame]: pd.DataFrame({"a": [2]}),
}


@pytest.fixture(params=["a folder", "FlyteAdmin"])
def make_kernel(request, tmp_path):
    """What a new kernel has each time; the store stays."""
    made = []
    with signed_store() as bucket:

        def make():
            options = {"folder_uri": str(tmp_path / "objects")}
            store = open_stores()
            if request.param == "FlyteAdmin":
                options = {"uploads": Uploads(bucket, project="p", domain="d")}
                store = MemoryStore()
            made.append(KernelData(store, **options))
            return made[-1]

        yield make
        for each in made:
            each.close()


def place(literal):
    value = literal.value[0]
    return place(value) if hasattr(value, "kind") else value


@pytest.mark.parametrize(("python_type", "make"), VALUES)
def test_equal_content_has_one_place_and_one_hash_in_every_kernel(make_kernel, python_type, make):
    codec = default_registry().codec(python_type)
    first, other_values = make_kernel(), make_kernel()
    other_values.upload(__file__)  # a kernel that has stored something else before
    one, again = codec.encode(make(), first), codec.encode(make(), first)
    elsewhere = codec.encode(make(), other_values)
    assert place(one) == place(again) == place(elsewhere)
    assert one.hash == again.hash == elsewhere.hash != ""
    differs = codec.encode(OTHERS[python_type], first)
    assert place(differs) != place(one)
    assert differs.hash != one.hash


def test_what_is_stored_already_is_not_written_again(tmp_path):
    data = KernelData(open_stores(), folder_uri=str(tmp_path))
    codec = default_registry().codec(pd.DataFrame)
    uri = place(codec.encode(pd.DataFrame({"a": [1]}), data))
    (path,) = tmp_path.rglob("00000")
    before = path.stat().st_ino
    codec.encode(pd.DataFrame({"a": [1]}), data)
    assert path.stat().st_ino == before
    path.write_bytes(b"")  # lost in a power cut
    codec.encode(pd.DataFrame({"a": [1]}), data)
    assert len(pd.read_parquet(uri)) == 1
    data.close()


@pytest.mark.parametrize("off", ["0", "false", "No", " off "])
def test_the_hash_is_switched_off_by_the_environment(tmp_path, monkeypatch, off):
    monkeypatch.setenv(SWITCH, off)
    data = KernelData(open_stores(), folder_uri=str(tmp_path))
    registry = default_registry()
    for python_type, make in VALUES:
        assert registry.codec(python_type).encode(make(), data).hash == ""
    data.close()


def test_other_values_have_no_hash(tmp_path):
    data = KernelData(open_stores(), folder_uri=str(tmp_path))
    registry = default_registry()
    assert registry.codec(int).encode(1, data).hash == ""
    assert registry.codec(Optional[int]).encode(1, data).hash == ""
    data.close()
