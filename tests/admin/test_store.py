"""The metastore: migrations, pages, filters against plain Python, a full disk."""

import contextlib
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_nb.admin import cron
from flyte_nb.admin.moments import now_us, stamp, stamp_us, text
from flyte_nb.admin.refused import Refused
from flyte_nb.admin.rpc import failure
from flyte_nb.admin.store.cache import BytesCache
from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.filters import parse_filters
from flyte_nb.admin.store.listing import message_list
from flyte_nb.admin.store.resources import EXECUTION, RESOURCES, TASK
from flyte_nb.admin.store.schema import MIGRATIONS
from flyte_nb.api.errors import BackendError, RemoteError, StorageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.records import NodeRecord
from flyte_nb.testing.backend import in_process_calls

NAMES = ("alpha", "Alpha", "beta", "b%ta", "g_mma", "gamma", "")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    database = Database(tmp_path_factory.mktemp("store") / "metastore.db")
    with database.write() as transaction:
        for number, name in enumerate(NAMES):
            transaction.insert(
                "tasks",
                {
                    "created_at": text(number * 10**6),
                    "updated_at": text(number),
                    "project": "p",
                    "domain": "d",
                    "name": name,
                    "version": str(number),
                    "digest": b"",
                    "message": b"",
                    "type": "t",
                    "short_description": "",
                },
            )
    yield database
    database.close()


@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=60)), max_size=40))
def test_the_cache_gives_what_was_put_first_and_stays_within_its_room(puts):
    cache = BytesCache(100)
    first = {}
    for key, message in puts:
        if cache.get(key) is None:
            first[key] = message
        cache.put(key, message)
        held = [cache.get(each) for each in range(10)]
        assert sum(len(each) for each in held if each is not None) <= 100
        assert all(each in (None, first.get(number)) for number, each in enumerate(held))


def test_every_column_that_can_be_filtered_by_is_a_column(database):
    for noun, resource in RESOURCES.items():
        if resource.table == "entities":
            continue
        rows = database.all(f"SELECT name FROM pragma_table_info('{resource.table}')")
        columns = {row[0] for row in rows} | ({"name"} if noun == "admin_tag" else set())
        assert resource.columns <= columns, noun


def test_an_older_database_is_brought_to_the_newest_schema_and_keeps_its_rows(tmp_path):
    path = tmp_path / "metastore.db"
    Database(path).close()
    again = Database(path)
    assert again.one("PRAGMA user_version") == (len(MIGRATIONS),)
    again.close()


def test_a_failed_transaction_changes_nothing_and_runs_nothing_after_commit(tmp_path):
    database = Database(tmp_path / "metastore.db")
    called = []

    def fail():
        with database.write() as transaction:
            transaction.execute("INSERT INTO history (execution_id, record) VALUES (1, 'x')")
            transaction.after_commit(lambda: called.append(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert database.one("SELECT COUNT(*) FROM history") == (0,)
    assert called == []
    database.close()


PLAIN = {
    "eq": lambda name, value: name == value,
    "ne": lambda name, value: name != value,
    "gt": lambda name, value: name > value,
    "gte": lambda name, value: name >= value,
    "lt": lambda name, value: name < value,
    "lte": lambda name, value: name <= value,
    "value_in": lambda name, value: name in value.split(";"),
    "value_not_in": lambda name, value: name not in value.split(";"),
}


@settings(deadline=None)
@given(
    function=st.sampled_from(sorted(PLAIN)),
    value=st.lists(st.sampled_from(NAMES[:-1]), min_size=1, max_size=3).map(";".join),
)
def test_each_filter_function_selects_the_rows_it_names(database, function, value):
    try:
        (condition,) = parse_filters(f"{function}(name,{value})", TASK)
    except Refused:
        assert ";" in value
        assert not function.startswith("value")
        return
    rows = database.all(f"SELECT name FROM tasks WHERE {condition.sql}", condition.values)
    assert sorted(row[0] for row in rows) == sorted(
        name for name in NAMES if PLAIN[function](name, value)
    )


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_filter_is_understood_or_refused_whatever_its_text(database, text):
    for candidate in (text, f"eq(name,{text})", f"{text}(name,x)", f"gt({text},1)"):
        conditions = []
        with contextlib.suppress(Refused):
            conditions = parse_filters(candidate, TASK)
        for condition in conditions:
            if condition.joins == "":
                database.all(f"SELECT 1 FROM tasks WHERE {condition.sql}", condition.values)


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [("1.5", 1_500_000_000), ("1h30m", 5400 * 10**9), ("250ms", 250 * 10**6), ("0", 0)],
)
def test_durations_are_seconds_or_gos_own_spelling(value, nanoseconds):
    (condition,) = parse_filters(f"gt(duration,{value})", EXECUTION)
    assert condition.values == (nanoseconds,)


def test_a_text_that_is_no_duration_is_refused():
    with pytest.raises(Refused, match=r"Failed to parse duration \[soon\]"):
        parse_filters("gt(duration,soon)", EXECUTION)


def test_times_are_compared_as_times_whatever_their_spelling(database):
    for moment in ("1970-01-01T00:00:03Z", "1969-12-31T23:00:03.0-01:00"):
        (condition,) = parse_filters(f"gte(created_at,{moment})", TASK)
        rows = database.all(f"SELECT name FROM tasks WHERE {condition.sql}", condition.values)
        assert [row[0] for row in rows] == list(NAMES[3:])


@given(st.integers(min_value=0, max_value=4 * 10**15))
def test_times_keep_their_microseconds(at_us):
    assert stamp_us(stamp(at_us)) == at_us
    assert text(at_us) < text(at_us + 1)


@given(st.lists(st.binary(max_size=300), max_size=5), st.text(max_size=10))
def test_a_list_made_of_stored_bytes_parses_as_flyteidls_list(blobs, token):
    from flyteidl.admin import common_pb2

    entities = [common_pb2.NamedEntityIdentifier(name=blob.hex()) for blob in blobs]
    data = message_list([entity.SerializeToString() for entity in entities], token)
    assert common_pb2.NamedEntityIdentifierList.FromString(data) == (
        common_pb2.NamedEntityIdentifierList(entities=entities, token=token)
    )


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(limit=st.integers(min_value=1, max_value=9))
def test_pages_of_any_size_hold_everything_once(hand_backend, specs, limit):
    admin = in_process_calls(hand_backend)
    versions = [f"v{number}" for number in range(7)]
    for version in versions:
        with contextlib.suppress(RemoteError):  # from the second example on they are there
            admin.CreateTask(specs.task_request(version=version))
    seen, token = [], ""
    while True:
        answer = admin.ListTasks(specs.list_request(limit=limit, token=token))
        seen += [task.id.version for task in answer.tasks]
        token = answer.token
        if not token:
            break
    assert seen == versions


def test_a_full_disk_is_reported_with_what_to_do_and_nothing_is_half_done(
    hand_backend, engine, specs
):
    admin = in_process_calls(hand_backend)
    admin.CreateTask(specs.task_request())
    admin.CreateWorkflow(specs.workflow_request())
    admin.CreateLaunchPlan(specs.launch_plan_request())
    admin.CreateExecution(specs.execution_request("run-1", n=1))
    id = ExecutionId(specs.PROJECT, specs.DOMAIN, "run-1")
    writer = hand_backend._database._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    big = specs.task_request(version="v2", args=("x" * 100_000,))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        admin.CreateTask(big)
    nodes = [NodeRecord(now_us(), f"n{n}", "x" * 1000, "QUEUED") for n in range(100)]
    with pytest.raises(StorageError, match="cannot be written") as caught:
        engine.record(id, *nodes)
    assert caught.value.transient
    assert list(engine.recorder.history(id)) == []
    writer.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    engine.record(id, *nodes)
    assert list(engine.recorder.history(id)) == nodes
    admin.CreateTask(big)


@pytest.mark.parametrize(
    "expression",
    ["* * * * *", "0 6 * * mon-fri", "*/15 0-12/2 1,15 jan *", "@daily", "@every 1h",
     "CRON_TZ=UTC 0 0 * * *"],
)  # fmt: skip
def test_a_standard_cron_expression_has_no_problem(expression):
    assert cron.problem(expression) == ""


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4"),
        ("* * * * * *", "expected exactly 5 fields, found 6"),
        ("60 * * * *", "above maximum (59)"),
        ("* * 0 * *", "below minimum (1)"),
        ("5-1 * * * *", "beyond end of range"),
        ("*/0 * * * *", "step should be a positive number"),
        ("a * * * *", "failed to parse number"),
        ("1-2-3 * * * *", "too many hyphens"),
        ("@sometimes", "unrecognized descriptor"),
    ],
)
def test_the_problem_of_a_wrong_cron_expression_is_named(expression, words):
    assert words in cron.problem(expression)


# --- after an unclean end -------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path):
    """A database of which an index says other things than its table."""
    path = tmp_path / "metastore.db"
    database = Database(path)
    with database.write() as transaction:
        for number in range(500):
            row = {"created_at": "", "updated_at": "", "identifier": f"p{number}", "name": "n"}
            transaction.insert("projects", {**row, "description": "", "labels": b"", "state": 0})
    database.close()
    whole = path.read_bytes()
    assert whole.count(b"p321") == 2  # in the table and in its index
    place = whole.rindex(b"p321")
    path.write_bytes(whole[:place] + b"p32!" + whole[place + 4 :])
    return path


def test_a_database_is_read_through_after_an_unclean_end(damaged):
    damaged.with_name("metastore.db-wal").touch()
    with pytest.raises(BackendError) as caught:
        Database(damaged)
    assert "was not shut down cleanly" in str(caught.value)
    assert "Move" in caught.value.hint
    assert ".recover" in caught.value.hint


def test_a_clean_end_leaves_no_write_ahead_log_and_a_kill_does(tmp_path):
    path = tmp_path / "metastore.db"
    Database(path).close()
    assert not path.with_name("metastore.db-wal").exists()
    left = Database(path)
    assert path.with_name("metastore.db-wal").exists()
    Database(path).close()  # sound, so it opens
    left.close()


def test_a_call_on_a_damaged_database_is_answered_with_data_loss():
    refused = failure(sqlite3.DatabaseError("database disk image is malformed"))
    assert refused.code == "DATA_LOSS"
    assert "flyte-nb down" in refused.message
