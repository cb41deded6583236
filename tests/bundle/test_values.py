"""Plain data that a task refers to arrives equal, and other data has another fingerprint."""

import copy
import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.testing.cells import Cells
from flyte_nb.worker.load import loads

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
)
HASHABLE = ATOMS | st.tuples(ATOMS, ATOMS) | st.frozensets(ATOMS, max_size=4)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=8,
)
SOME = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def packed(value):
    cells = Cells()
    cells.namespace["value"] = value
    cells.run("from flyte_nb import task\n@task\ndef f() -> str:\n    return value\n")
    return pack(cells["f"], scope=Scope())


def arrived(value):
    made = packed(value)
    return loads(made.payload, [bytearray(buffer.data) for buffer in made.buffers]).function()


def same(one, other):
    """Return whether both are equal and of equal types at every level; zeros of either sign differ."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and one == other == 0:
        return math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


@SOME
@given(VALUES)
def test_a_value_arrives_as_it_was(value):
    assert same(arrived(value), value)


@SOME
@given(VALUES)
def test_a_copy_has_an_equal_fingerprint(value):
    assert packed(value).fingerprint == packed(copy.deepcopy(value)).fingerprint


@SOME
@given(VALUES, VALUES)
def test_other_values_have_other_fingerprints(one, other):
    prints = packed([one]).fingerprint == packed([other]).fingerprint
    if same(one, other):
        assert prints
    elif one != other:
        assert not prints


@SOME
@given(st.integers(0, 100), st.binary(max_size=100))
def test_large_bytes_leave_the_payload_and_arrive(more, tail):
    data = bytes((256 << 10) + more) + tail
    made = packed(data)
    assert len(made.payload) < 10_000
    assert arrived(data) == data
