"""Stage packed tasks: members first, each once, side by side; then an index for every task.

An index appears only after all its members, and names them by their digests, so an interrupted
staging leaves nothing that could be run, and the next one sends what is still missing.
"""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import StorageError
from flyte_nb.api.index import Index, IndexEntry, TaskEntry
from flyte_nb.api.ports import StagingArea
from flyte_nb.api.version import PROTOCOL, __version__
from flyte_nb.bundle.pack import PackedTask
from flyte_nb.bundle.ring import ring

RING_NAME = "ring.zip"

_PARALLEL = 8
_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.2


class Staged(NamedTuple):
    """One staged task."""

    task_name: str
    index_uri: str
    """Where its index lies; the name pins the index's digest."""
    sent_bytes: int
    """Bytes that were not there yet; of a shared member, with the first task that needs it."""


class _Member(NamedTuple):
    name: str
    kind: str
    sha256: str
    data: Any
    """`bytes`, or a `memoryview` of a large buffer."""


Progress = Callable[[int, int, str], None]
"""Called with members done, members in all, and the name of the task that was just served."""


def stage(
    packed: "Sequence[PackedTask]",
    area: StagingArea,
    *,
    on_progress: "Progress | None" = None,
    sleep: "Callable[[float], None]" = time.sleep,
) -> "list[Staged]":
    """Put everything that `packed` needs into `area`; in the order of `packed`.

    Args:
        packed: the tasks.
        area: where members and indexes go.
        on_progress: called from several threads, one at a time for each member.
        sleep: waits between attempts at a transient fault.

    Raises:
        StorageError: when a member cannot be stored, also after trying again.
    """
    members = {task.name: tuple(_members(task)) for task in packed}
    distinct: dict[str, tuple[_Member, str]] = {}
    for task in packed:
        for member in members[task.name]:
            distinct.setdefault(member.sha256, (member, task.name))
    total = len(distinct) + len(packed)
    placed: dict[str, tuple[str, int]] = {}
    own = dict.fromkeys(members, 0)
    with _submitter(area) as submit:
        jobs = {
            sha256: submit(_put, area, member, sleep) for sha256, (member, _) in distinct.items()
        }
        for done, (sha256, job) in enumerate(jobs.items(), start=1):
            placed[sha256] = job()
            first = distinct[sha256][1]
            own[first] += placed[sha256][1]
            if on_progress is not None:
                on_progress(done, total, first)
        sent = [
            submit(
                _put_index, area, index_of.dumps(_index(task, members[task.name], placed)), sleep
            )
            for task in packed
        ]
        staged = []
        for done, (task, job) in enumerate(zip(packed, sent, strict=True), start=len(placed) + 1):
            uri, sent_bytes = job()
            staged.append(Staged(task.name, uri, sent_bytes + own[task.name]))
            if on_progress is not None:
                on_progress(done, total, task.name)
    return staged


def planned_index(task: PackedTask, root_uri: str) -> str:
    """Where the index of `task` will lie when it is staged below `root_uri`."""
    members = tuple(_members(task))
    placed = {item.sha256: (f"{root_uri}/{_place(item.sha256)}", 0) for item in members}
    name = index_of.index_name(index_of.dumps(_index(task, members, placed)))
    return f"{root_uri}/{name}"


Job = Callable[[], tuple[str, int]]
"""Waits for what was submitted, and says what came of it."""


@contextmanager
def _submitter(area: StagingArea) -> "Iterator[Callable[..., Job]]":
    """How to hand work to `area`: side by side, or at once where waiting is not what takes time."""
    if getattr(area, "is_local", False):
        yield lambda act, *values: functools.partial(act, *values)
        return
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="flyte-nb-stage") as pool:
        yield lambda act, *values: pool.submit(act, *values).result


def _members(task: PackedTask) -> "Iterable[_Member]":
    travelling = ring()
    yield _Member(RING_NAME, index_of.RING, travelling.sha256, travelling.data)
    yield _Member(f"{task.name}.pkl", index_of.TASK, task.payload_sha256, task.payload)
    for number, buffer in enumerate(task.buffers):
        yield _Member(f"buffer-{number}", index_of.BUFFER, buffer.sha256, buffer.data)
    for unit in task.modules:
        yield _Member(f"module-{unit.name}.zip", index_of.MODULE, unit.sha256, unit.data)


def _index(
    task: PackedTask, members: "tuple[_Member, ...]", placed: "dict[str, tuple[str, int]]"
) -> Index:
    def named(kind: str) -> "tuple[str, ...]":
        return tuple(member.name for member in members if member.kind == kind)

    entries = tuple(
        IndexEntry(
            member.name,
            placed[member.sha256][0],
            memoryview(member.data).nbytes,
            member.sha256,
            member.kind,
        )
        for member in members
    )
    entry = TaskEntry(named(index_of.TASK)[0], named(index_of.BUFFER), named(index_of.MODULE))
    return Index(__version__, PROTOCOL, task.python, entries, {task.name: entry})


def _put(area: StagingArea, member: _Member, sleep: "Callable[[float], None]") -> "tuple[str, int]":
    data = member.data if isinstance(member.data, bytes) else bytes(member.data)
    name = _place(member.sha256)
    return _retried(lambda: area.stage(name, data, sha256=member.sha256), sleep)


def _place(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _put_index(
    area: StagingArea, data: bytes, sleep: "Callable[[float], None]"
) -> "tuple[str, int]":
    name = index_of.index_name(data)
    return _retried(lambda: area.stage(name, data, sha256=index_of.digest(data)), sleep)


def _retried(
    act: "Callable[[], tuple[str, int]]", sleep: "Callable[[float], None]"
) -> "tuple[str, int]":
    for attempt in range(_ATTEMPTS - 1):
        try:
            return act()
        except StorageError as error:
            if not error.transient:
                raise
        sleep(_FIRST_PAUSE_S * 2**attempt)
    return act()
