"""The bundle's index is canonical and refuses what is damaged; errors say what, where and what to do."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api import errors, index
from flyte_nb.api.identifiers import LAUNCH_PLAN, Identifier
from flyte_nb.api.index import Index, IndexEntry, TaskEntry
from flyte_nb.api.problems import Problem, as_text
from flyte_nb.api.specs import Location

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
ENTRIES = st.builds(
    IndexEntry,
    NAMES,
    NAMES,
    st.integers(0, 2**40),
    DIGESTS,
    st.sampled_from([index.RING, index.TASK, index.BUFFER, index.MODULE]),
)
TASKS = st.builds(
    TaskEntry, NAMES, st.lists(NAMES, max_size=2).map(tuple), st.lists(NAMES, max_size=2).map(tuple)
)
PLANS = st.builds(Identifier, st.just(LAUNCH_PLAN), NAMES, NAMES, NAMES, NAMES)
INDEXES = st.builds(
    Index,
    sdk_version=NAMES,
    protocol=st.integers(0, 9),
    python=NAMES,
    entries=st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.name).map(tuple),
    tasks=st.dictionaries(NAMES, TASKS, max_size=3),
    requirements=st.lists(NAMES, max_size=2).map(sorted).map(tuple),
    format=st.just(index.FORMAT),
    launch_plans=st.lists(PLANS, max_size=3).map(sorted).map(tuple),
)


def document(**changes: object) -> bytes:
    entry = {"name": "a", "uri": "u", "size": 1, "sha256": "0" * 64, "kind": "task"}
    whole = {
        "format": 1,
        "protocol": 1,
        "sdk_version": "1",
        "python": "3.11",
        "requirements": [],
        "entries": [{**entry, **changes}],
        "tasks": {},
    }
    return json.dumps(whole).encode()


@given(INDEXES)
def test_an_index_comes_back_with_its_entries_sorted(made):
    back = index.loads(index.dumps(made))
    assert back == made._replace(entries=tuple(sorted(made.entries)))


@given(INDEXES, st.randoms())
def test_equal_indexes_have_equal_bytes_whatever_the_order(made, random):
    entries, tasks = list(made.entries), list(made.tasks.items())
    random.shuffle(entries)
    random.shuffle(tasks)
    other = made._replace(entries=tuple(entries), tasks=dict(tasks))
    assert index.dumps(other) == index.dumps(made)


@given(INDEXES)
def test_the_name_of_an_index_pins_its_bytes(made):
    data = index.dumps(made)
    name = index.index_name(data)
    assert index.digest_in_name(f"s3://bucket/x/{name}") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "uri", ["", "index.json", "index-12.json", "x/index-" + "g" * 64 + ".json"]
)
def test_a_file_name_without_a_digest_pins_nothing(uri):
    assert index.digest_in_name(uri) == ""


@given(st.binary(max_size=40))
def test_no_bytes_fail_with_anything_but_a_bundle_error(data):
    with pytest.raises(errors.BundleError):
        index.loads(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": -1},
        {"size": True},
        {"size": "1"},
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"kind": "other"},
        {"name": None},
    ],
)
def test_a_damaged_entry_is_refused(changes):
    with pytest.raises(errors.BundleError) as refused:
        index.loads(document(**changes))
    assert refused.value.code == "SYSTEM:BundleIndexDamaged"


def test_a_format_of_the_future_is_refused_with_what_to_do():
    with pytest.raises(errors.BundleError, match="Upgrade flyte-nb") as refused:
        index.loads(document().replace(b'"format": 1', b'"format": 2'))
    assert refused.value.code == "SYSTEM:BundleFormat"


def test_a_member_that_is_not_there_is_named():
    with pytest.raises(errors.BundleError, match="'b'") as refused:
        index.loads(document()).entry("b")
    assert refused.value.code == "SYSTEM:BundleMemberMissing"
    assert index.loads(document()).entry("a").size == 1


def test_every_error_of_ours_is_in_the_tree_that_is_documented():
    documented = set(errors.__doc__.split()) if errors.__doc__ else set()
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_"):
            assert name in documented
            assert issubclass(value, errors.FlyteNbError) or value is errors.UsageError


def test_a_message_ends_with_what_to_do():
    error = errors.StorageError(
        "It is full.", uri="s3://b", transient=True, hint="Free some space."
    )
    assert str(error) == "It is full. Free some space."
    assert (error.message, error.hint, error.uri, error.transient) == (
        "It is full.",
        "Free some space.",
        "s3://b",
        True,
    )


def test_the_path_of_a_codec_error_grows_from_the_inside_out():
    error = errors.CodecError("No.", hint="Yes.").below("[2]").below(".rows")
    assert error.path == "$.rows[2]"
    assert str(error) == "No. (at $.rows[2]) Yes."


def test_a_checksum_error_names_the_member_and_both_digests():
    error = errors.ChecksumMismatch("m", expected="aa", actual="bb", uri="s3://b/m")
    for part in ("'m'", "aa", "bb", "s3://b/m", "Register again"):
        assert part in str(error)
    assert error.code == "SYSTEM:BundleChecksumMismatch"


def test_problems_become_numbered_lines_with_their_places():
    problems = [
        Problem("A", "It is wrong.", "n0", "x", "Write x=3.", Location("cell", 4), entity="wf"),
        Problem("B", "So is this."),
    ]
    assert as_text(problems) == "1. wf.n0.x: It is wrong. Write x=3. (cell:4)\n2. So is this."
    failed = errors.CompileFailed("It does not compile.", problems)
    assert str(failed).startswith("It does not compile.\n1. wf.n0.x")
    assert failed.problems == tuple(problems)


def test_failures_carry_what_failed_as_data():
    info = errors.ErrorInfo("USER:ValueError", "no", errors.USER)
    assert errors.TaskFailed(info).info is info
    failed = errors.ExecutionFailed("It failed.", info=info, node_id="n0", name="run")
    assert (failed.info, failed.node_id, failed.name) == (info, "n0", "run")
    assert str(errors.RecoverableError("try", 2)) == "try 2"
    assert errors.RemoteError("gone", code="NOT_FOUND").code == "NOT_FOUND"
