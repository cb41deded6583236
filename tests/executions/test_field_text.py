"""What a person types into a field becomes a literal, and a literal becomes such a text."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api import literal_types as lt
from flyte_nb.api import literals as li
from flyte_nb.api.literal_types import LiteralType, simple
from flyte_nb.api.literals import NOTHING, Literal
from flyte_nb.executions.field_text import Unreadable, read, write

INT = simple(lt.INTEGER)
INTS = LiteralType(lt.COLLECTION, INT)
COLOUR = LiteralType(lt.ENUM, ("red", "green"))
OPTIONAL_INT = LiteralType(
    lt.UNION, (INT._replace(tag="int"), simple(lt.NONE)._replace(tag="none"))
)

_PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.text(string.printable, max_size=20), st.none()
)
_BIG = 4_000_000_000_000_000

_SCALARS = st.one_of(
    st.tuples(st.just(INT), st.integers(-(2**63), 2**63 - 1).map(lambda v: Literal(li.INTEGER, v))),
    st.tuples(
        st.just(simple(lt.FLOAT)),
        st.floats(allow_nan=False).map(lambda v: Literal(li.FLOAT, v)),
    ),
    st.tuples(st.just(simple(lt.STRING)), st.text().map(lambda v: Literal(li.STRING, v))),
    st.tuples(st.just(simple(lt.BOOLEAN)), st.booleans().map(lambda v: Literal(li.BOOLEAN, v))),
    st.tuples(
        st.just(simple(lt.DATETIME)),
        st.integers(-_BIG, _BIG).map(lambda v: Literal(li.DATETIME, v)),
    ),
    st.tuples(
        st.just(simple(lt.DURATION)),
        st.integers(-_BIG, _BIG).map(lambda v: Literal(li.DURATION, v)),
    ),
    st.tuples(
        st.just(simple(lt.STRUCT)),
        st.dictionaries(
            st.text(string.ascii_letters, min_size=1), st.one_of(_PLAIN, st.lists(_PLAIN))
        ).map(lambda v: Literal(li.STRUCT, v)),
    ),
    st.tuples(st.just(COLOUR), st.sampled_from(COLOUR.value).map(lambda v: Literal(li.STRING, v))),
)


@given(_SCALARS)
def test_what_is_written_into_a_field_is_read_back_as_the_same_literal(case):
    type, literal = case
    assert read(write(literal, type), type) == literal


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_a_list_of_ints_survives_the_field(values):
    literal = Literal(li.COLUMN, (li.INTEGER, values))
    assert read(write(literal, INTS), INTS) == literal


@given(st.lists(st.text()))
def test_a_list_of_texts_survives_the_field_commas_and_all(values):
    type = LiteralType(lt.COLLECTION, simple(lt.STRING))
    literal = Literal(li.COLUMN, (li.STRING, values))
    assert read(write(literal, type), type) == literal


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3, 5, 8", [3, 5, 8]),
        ("[3, 5]", [3, 5]),
        ("- 3\n- 5", [3, 5]),
        ("", []),
        ("-3, 4", [-3, 4]),
    ],
)
def test_a_list_may_be_typed_with_commas_or_as_yaml(text, values):
    assert read(text, INTS) == Literal(li.COLUMN, (li.INTEGER, values))


def test_the_item_that_is_wrong_is_named():
    with pytest.raises(Unreadable, match="item 3 is not an int: “eight”"):
        read("3, 5, eight", INTS)


def test_nested_items_are_named_from_the_outside_in():
    type = LiteralType(lt.MAP, INTS)
    with pytest.raises(Unreadable, match="'a', item 2 is not an int: “x”"):
        read("a: [1, x]", type)


def test_an_empty_field_is_none_where_the_type_allows_it():
    assert read("", OPTIONAL_INT) == Literal(li.UNION, (NOTHING, OPTIONAL_INT.value[1]))
    assert read("7", OPTIONAL_INT).value[0] == Literal(li.INTEGER, 7)
    with pytest.raises(Unreadable, match="not an int"):
        read("", INT)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("90s", 90_000_000), ("1h30m", 5_400_000_000), ("1:30:00", 5_400_000_000), ("250ms", 250_000)],
)
def test_durations_are_read_as_people_write_them(text, microseconds):
    assert read(text, simple(lt.DURATION)) == Literal(li.DURATION, microseconds)


@pytest.mark.parametrize("text", ["2026-11-01 00:00 UTC", "2026-11-01T00:00:00Z", "2026-11-01"])
def test_times_without_a_zone_are_utc(text):
    assert read(text, simple(lt.DATETIME)).value == 1_793_491_200_000_000


def test_broken_yaml_says_the_line():
    with pytest.raises(Unreadable, match="line 2"):
        read("a: 1\nb: [", simple(lt.STRUCT))


def test_a_word_that_is_no_choice_lists_the_choices():
    with pytest.raises(Unreadable, match="is not one of red, green"):
        read("blue", COLOUR)
