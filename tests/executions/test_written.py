"""Values after `name=`: what `repr` and JSON write for a value is read as that value again."""

import contextlib
import dataclasses
import datetime
import decimal
import enum
import json
from typing import Any, Literal, Optional, Union

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.executions.field_text import Unreadable
from flyte_nb.executions.notation import NoNotation, end_of_value, parsed
from flyte_nb.executions.written import Names, value_of
from flyte_nb.notebook.arguments import parse
from flyte_nb.notebook.interpolation import names_in
from flyte_nb.types.files import FlyteFile
from flyte_nb.types.registry import Registry

UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"
    ODD = "a 'b' > \"c\""


class Level(enum.Enum):
    LOW = 1


@dataclasses.dataclass
class Inner:
    level: Level
    since: datetime.datetime
    took: datetime.timedelta
    tags: set[str]
    pair: tuple[int, str]


@dataclasses.dataclass
class Config:
    name: str
    inner: Optional[Inner] = None
    rates: list[float] = dataclasses.field(default_factory=list)


INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MOMENTS = st.datetimes(
    datetime.datetime(2, 1, 1), datetime.datetime(9998, 1, 1), timezones=st.just(UTC)
)
SPANS = st.timedeltas(datetime.timedelta(days=-99999), datetime.timedelta(days=99999))
PLAIN = st.recursive(
    st.none() | st.booleans() | INTS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
INNER = st.builds(
    Inner,
    st.just(Level.LOW),
    MOMENTS,
    SPANS,
    st.sets(TEXTS, max_size=3),
    st.tuples(INTS, TEXTS),
)
CONFIGS = st.builds(Config, TEXTS, st.none() | INNER, st.lists(FLOATS, max_size=3))

BY_TYPE: "list[tuple[Any, st.SearchStrategy[Any]]]" = [
    (int, INTS),
    (float, FLOATS),
    (bool, st.booleans()),
    (str, TEXTS),
    (datetime.datetime, MOMENTS),
    (datetime.date, st.dates()),
    (datetime.timedelta, SPANS),
    (Colour, st.sampled_from(Colour)),
    (Literal["a", "b c"], st.sampled_from(["a", "b c"])),
    (Optional[str], st.none() | TEXTS),
    (Union[str, int, None], st.none() | TEXTS | INTS),
    (Union[int, float, bool, str], INTS | FLOATS | st.booleans() | TEXTS),
    (Union[list[int], list[str]], st.lists(INTS, min_size=1) | st.lists(TEXTS, min_size=1)),
    (list[str], st.lists(TEXTS, max_size=4)),
    (list[list[float]], st.lists(st.lists(FLOATS, max_size=3), max_size=3)),
    (list[Optional[Colour]], st.lists(st.none() | st.sampled_from(Colour), max_size=3)),
    (dict[str, int], st.dictionaries(TEXTS, INTS, max_size=3)),
    (dict[int, str], st.dictionaries(INTS, TEXTS, max_size=3)),
    (dict, st.dictionaries(TEXTS, PLAIN, max_size=3)),
    (Config, CONFIGS),
    (list[Config], st.lists(CONFIGS, max_size=2)),
    (Any, PLAIN),
    (dict[str, Any], st.dictionaries(TEXTS, PLAIN, max_size=3)),
]
"""Every type that has a notation, with values of it."""

ONLY_PYTHON: "list[tuple[Any, st.SearchStrategy[Any]]]" = [
    (bytes, st.binary(max_size=8)),
    (complex, st.complex_numbers(allow_nan=False, allow_infinity=False)),
    (set[int], st.sets(INTS, min_size=1, max_size=3)),
    (decimal.Decimal, st.decimals(allow_nan=False)),
    (FlyteFile, TEXTS.filter(str.strip).map(FlyteFile)),
    (dict, st.dictionaries(INTS | st.none() | st.booleans(), PLAIN, max_size=3)),
]
"""Types whose values JSON does not have."""

REGISTRY = Registry(warn_pickled=False)


def cases(*tables):
    rows = [row for table in tables for row in table]
    return st.sampled_from(rows).flatmap(lambda row: st.tuples(st.just(row[0]), row[1]))


def as_json(value):
    """Return the value in JSON. What JSON does not have is written as in Flyte's structs."""

    def other(part):
        if isinstance(part, enum.Enum):
            return part.value
        if dataclasses.is_dataclass(part):
            return vars(part)
        if isinstance(part, datetime.timedelta):
            return part.total_seconds()
        return sorted(part) if isinstance(part, set) else part.isoformat()

    return json.dumps(value, default=other)


def on_a_line(text, kind):
    """Return the value that is read when the text is pasted into a magic's line, before more text."""
    arguments = parse(f"launch wf before=1 x={text} after='#';  # a comment")
    assert sorted(arguments.written) == ["after", "before", "x"]
    names = names_in({"before": 1, "x": "wrong", "a": "wrong"})
    return value_of(arguments.written["x"], REGISTRY.codec(kind), names)


def same(got, wanted):
    return got == wanted and type(got) is type(wanted)


@given(cases(BY_TYPE, ONLY_PYTHON))
def test_the_repr_of_a_value_arrives_as_that_value(case):
    kind, value = case
    assert same(value_of(repr(value), REGISTRY.codec(kind)), value)
    assert same(on_a_line(repr(value), kind), value)


@given(cases(BY_TYPE))
def test_the_json_of_a_value_arrives_as_that_value(case):
    kind, value = case
    text = as_json(value)
    assert near(value_of(text, REGISTRY.codec(kind)), value)
    assert near(on_a_line(text, kind), value)


def near(got, wanted):
    """Return whether both are equal, apart from microseconds that a number of seconds cannot hold."""
    if dataclasses.is_dataclass(wanted):
        return type(got) is type(wanted) and near(vars(got), vars(wanted))
    if isinstance(wanted, (list, tuple)):
        return len(got) == len(wanted) and all(map(near, got, wanted))
    if isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(near(got[key], wanted[key]) for key in wanted)
    if isinstance(wanted, datetime.timedelta):
        return abs(got - wanted) <= datetime.timedelta(microseconds=2)
    return same(got, wanted)


@given(st.text())
def test_any_text_is_a_value_of_its_type_or_unreadable(text):
    for kind in (int, list[str], Config, Any, Colour, np.ndarray, Optional[datetime.datetime]):
        with contextlib.suppress(Unreadable):
            value_of(text, REGISTRY.codec(kind))


@given(st.text())
def test_any_text_ends_somewhere(text):
    try:
        assert 0 <= end_of_value(text, 0) <= len(text)
    except NoNotation:
        assert text[0] in "'\"rRbBuUfF"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (r"\d+\s", str, r"\d+\s"),
        (r"C:\new\table", str, r"C:\new\table"),
        ("a{2,3}", str, "a{2,3}"),
        ("007", str, "007"),
        ("None", str, "None"),
        ("None", Optional[str], None),
        ("null", Optional[int], None),
        ("true", Optional[str], "true"),
        ("3", Union[str, int], 3),
        ("'3'", Union[str, int], "3"),
        ("3", Optional[str], "3"),
        ("a,b", list[str], ["a", "b"]),
        ("1.50, 2", list[str], ["1.50", "2"]),
        ("1, 2", list[int], [1, 2]),
        ("'a,b','c'", list[str], ["a,b", "c"]),
        ('\'["a", "b"]\'', list[str], ["a", "b"]),
        ("'3'", int, 3),
        ("2024-11-01", datetime.datetime, datetime.datetime(2024, 11, 1, tzinfo=UTC)),
        ("20241101", datetime.date, datetime.date(2024, 11, 1)),
        ("90s", datetime.timedelta, datetime.timedelta(seconds=90)),
        ("90", datetime.timedelta, datetime.timedelta(seconds=90)),
        ("-90.5s", datetime.timedelta, datetime.timedelta(seconds=-90.5)),
        ("-1 day, 23:59:59.5", datetime.timedelta, datetime.timedelta(seconds=-0.5)),
        ("Colour.RED", Colour, Colour.RED),
        ("red", Colour, Colour.RED),
        ("yes", bool, True),
        ("3", float, 3.0),
        ("{a: 1}", dict[str, int], {"a": 1}),
        ('"\\ud83d\\ude00"', str, "😀"),
        ("text", Any, "text"),
        ("range(0, 3)", range, range(3)),
    ],
)
def test_what_a_person_types_is_read_by_the_type(text, kind, value):
    got = value_of(text, REGISTRY.codec(kind))
    assert same(got, value)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("[1, 'x']", list[int], "item 2 is not an int: “x”"),
        ("[1, 2]", list[str], "item 1 is not a value of str: “1”; put it in quotes"),
        ("{1: 2}", dict[str, int], "has the key 1, but keys must be text"),
        ("{'a': [1, None]}", dict[str, list[int]], "'a', item 2 is not a value of int: “None”"),
        ("True", int, "is not a value of int: “True”|is not an int: “True”"),
        ("3.7", int, "is not an int: “3.7”"),
        ("Config(1)", Config, "values without names|no value for its field"),
        ("datetime.datetime(2024, 1, 1, 9)", datetime.date, "is not a value of datetime.date"),
        ("[3]", pd.DataFrame, "is neither a variable.s name nor a path"),
        ("array([[1], [2, 3]])", np.ndarray, "is no array"),
        ("__import__('os')", Any, "is not a value of typing.Any"),
    ],
)
def test_what_does_not_fit_is_refused_and_never_changed(text, kind, said):
    with pytest.raises(Unreadable, match=said):
        value_of(text, REGISTRY.codec(kind))


def test_an_array_is_read_from_its_repr_and_from_a_list():
    value = np.array([[1.5, 2.0]], dtype=np.float32)
    for text in (repr(value), "array([[1.5, 2.0]], dtype='float32')"):
        got = value_of(text, REGISTRY.codec(np.ndarray))
        assert (got == value).all()
        assert got.dtype == value.dtype
    assert value_of("[1, 2]", REGISTRY.codec(np.ndarray)).tolist() == [1, 2]


FRAME = pd.DataFrame({"a": [1]})
NAMESPACE = {"xs": ["a,b", "c d"], "host": "h", "n": 3, "rows": FRAME, "d": {"k": 1}}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("{xs}", list[str], ["a,b", "c d"]),
        ("{xs[1]}", str, "c d"),
        ("{n + 1}", int, 4),
        ("{n}", str, "3"),
        ("[{n}, {n + 1}]", list[int], [3, 4]),
        ("{'a': {n}}", dict[str, int], {"a": 3}),
        ("https://{host}/{n:03}?q={nobody}", str, "https://h/003?q={nobody}"),
        ("https://$host/$nobody", str, "https://h/$nobody"),
        ("{'a':1}", dict[str, int], {"a": 1}),
        ('{"a":1}', dict[str, int], {"a": 1}),
        ("{{'a': 1}}", dict[str, int], {"a": 1}),
        ("'{host}'", str, "{host}"),
        ("f'{host}!'", str, "h!"),
        ("{nobody}", str, "{nobody}"),
        (r"\d{3}", str, r"\d{3}"),
        ("n", int, 3),
        ("xs", list[str], ["xs"]),
        ("{xs}", Any, ["a,b", "c d"]),
    ],
)
def test_names_of_the_notebook_are_inserted_as_values(text, kind, value):
    assert same(value_of(text, REGISTRY.codec(kind), names_in(NAMESPACE)), value)


@pytest.mark.parametrize("text", ["rows", "{rows}", "'rows'"])
def test_a_frame_is_given_by_its_name(text):
    assert value_of(text, REGISTRY.codec(pd.DataFrame), names_in(NAMESPACE)) is FRAME


def test_nothing_of_the_notebook_is_known_in_a_terminal():
    assert value_of("{host}", REGISTRY.codec(str), Names()) == "{host}"
    with pytest.raises(NoNotation):
        parsed("[{n}]")
