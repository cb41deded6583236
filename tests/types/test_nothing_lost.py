"""Values of classes that are nearly a known one: they come back as they were, or are refused."""

import dataclasses
import datetime
from typing import Any, Optional, Union

import numpy as np
import pandas as pd
import pytest

from flyte_nb.api.errors import CodecError
from flyte_nb.types.registry import Registry


class Measured(pd.DataFrame):
    """A table of the author's own class."""


@dataclasses.dataclass
class Scaled:
    x: int
    factor: dataclasses.InitVar[int]

    def __post_init__(self, factor: int) -> None:
        self.x *= factor


@pytest.fixture
def registry():
    return Registry(warn_pickled=False)


def back(registry, python_type, value, data):
    codec = registry.codec(python_type)
    return codec.decode(codec.encode(value, data), data)


@pytest.mark.parametrize(
    ("python_type", "value"),
    [
        (pd.Timestamp, pd.Timestamp("2024-01-01T00:00:00.123456789")),
        (pd.Timedelta, pd.Timedelta(5)),
        (Measured, Measured({"a": [1, 2]})),
        (np.ma.MaskedArray, np.ma.masked_array([1, 2, 3], [0, 1, 0])),
        (Any, np.ma.masked_array([1, 2, 3], [0, 1, 0])),
        (Scaled, Scaled(2, 3)),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_class_derived_from_a_known_one_comes_back_as_itself(registry, data, python_type, value):
    found = back(registry, python_type, value, data)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("python_type", "value", "said"),
    [
        (np.ndarray, np.ma.masked_array([1, 2], [0, 1]), "The array is masked"),
        (datetime.datetime, pd.Timestamp("2024-01-01T00:00:00.000000001"), "has nanoseconds"),
        (datetime.datetime, pd.NaT, "is not a time"),
    ],
)
def test_a_value_that_would_lose_something_is_refused_with_advice(
    registry, data, python_type, value, said
):
    with pytest.raises(CodecError) as refused:
        registry.codec(python_type).encode(value, data)
    assert said in refused.value.bare_message
    assert refused.value.hint


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_a_pandas_timestamp_is_the_same_time(registry, zone):
    moment = pd.Timestamp("2024-07-01T12:00:00.000001", tz=zone)
    found = back(registry, datetime.datetime, moment, None)
    assert found == (moment if zone else moment.tz_localize("UTC"))


def test_texts_of_numpy_are_text_in_a_dict(registry):
    name = np.array(["a"])[0]
    (found,) = back(registry, dict, {"name": name}, None).values()
    assert (type(found), found) == (str, "a")


@pytest.mark.parametrize("inner", [lambda each: each, lambda each: dict[str, list[each]]])
@pytest.mark.parametrize(
    ("one", "other"), [(int | float, float | int), (Optional[int], Union[None, int])]
)
def test_a_union_has_its_variants_in_the_authors_order(registry, inner, one, other):
    first, second = registry.codec(inner(one)), registry.codec(inner(other))
    assert first.literal_type != second.literal_type
    assert registry.codec(inner(one)).literal_type == first.literal_type
