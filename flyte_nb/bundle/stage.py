"""Stage packed tasks: members first, each once, side by side; then an index for every task.

An index appears only after all its members, and names them by their digests, so an interrupted
staging leaves nothing that could be run, and the next one sends what is still missing.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from flyte_nb.api import index as index_of
from flyte_nb.api.errors import StorageError
from flyte_nb.api.ports import StagingArea
from flyte_nb.bundle.members import Contents, Member
from flyte_nb.bundle.pack import PackedTask

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
    contents = {task.name: Contents(task) for task in packed}
    distinct: dict[str, tuple[Member, str]] = {}
    for task in packed:
        for member in contents[task.name]:
            distinct.setdefault(member.sha256, (member, task.name))
    total = len(distinct) + len(packed)
    placed: dict[str, tuple[str, int]] = {}
    own = dict.fromkeys(contents, 0)
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
        uris = {sha256: uri for sha256, (uri, _) in placed.items()}
        sent = [
            submit(_put_index, area, index_of.dumps(contents[task.name].index(uris)), sleep)
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
    contents = Contents(task)
    uris = {item.sha256: f"{root_uri}/{item.place}" for item in contents}
    name = index_of.index_name(index_of.dumps(contents.index(uris)))
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


def _put(area: StagingArea, member: Member, sleep: "Callable[[float], None]") -> "tuple[str, int]":
    data = member.data if isinstance(member.data, bytes) else bytes(member.data)
    return _retried(lambda: area.stage(member.place, data, sha256=member.sha256), sleep)


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
