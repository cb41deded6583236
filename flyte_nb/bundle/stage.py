"""Stage packed tasks: members first, each once, side by side; then an index for every task.

An index appears only after all its members, and names them by their digests, so an interrupted
staging leaves nothing that could be run, and the next one sends what is still missing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from flyte_nb.api import index as index_of
from flyte_nb.api.ports import StagingArea
from flyte_nb.bundle.members import Contents, Member
from flyte_nb.bundle.pack import PackedTask
from flyte_nb.bundle.retrying import Retrying, Sleep
from flyte_nb.bundle.side_by_side import side_by_side

_PARALLEL = 8

_T = TypeVar("_T")


class Staged(NamedTuple):
    """One staged task."""

    task_name: str
    index_uri: str
    """Where its index lies; the name pins the index's digest."""
    sent_bytes: int
    """Bytes that were not there yet; of a shared member, with the first task that needs it."""


class Progress(NamedTuple):
    """How far a staging is."""

    done_bytes: int
    """Of members and indexes that are there now."""
    total_bytes: int
    """Of all members; indexes (1 kB each) are known when the members are there."""
    sent_bytes: int
    """Of those done, what was not there before."""


class _Meter:
    """Counts what is there, and tells it."""

    def __init__(self, total: int, tell: "Callable[[Progress], None] | None") -> None:
        self._now = Progress(0, total, 0)
        self._tell = tell
        if tell is not None and total:
            tell(self._now)

    def count(self, size: int, sent: int) -> None:
        now = self._now
        done = now.done_bytes + size
        self._now = Progress(done, max(now.total_bytes, done), now.sent_bytes + sent)
        if self._tell is not None:
            self._tell(self._now)


def stage(
    packed: "Sequence[PackedTask]",
    area: StagingArea,
    *,
    on_progress: "Callable[[Progress], None] | None" = None,
    sleep: Sleep = time.sleep,
) -> "list[Staged]":
    """Put everything that `packed` needs into `area`; in the order of `packed`.

    Interrupted (by `KeyboardInterrupt`, or by an error) it waits for no upload that is under way:
    objects appear whole or not at all, and nothing names them yet.

    Args:
        packed: the tasks.
        area: where members and indexes go.
        on_progress: told at the beginning, and whenever one more object is there.
        sleep: waits between attempts at a transient fault.

    Raises:
        StorageError: when a member cannot be stored, also after trying again.
    """
    contents = {task.name: Contents(task) for task in packed}
    distinct: dict[str, tuple[Member, str]] = {}
    for task in packed:
        for member in contents[task.name]:
            distinct.setdefault(member.sha256, (member, task.name))
    members = [member for member, _ in distinct.values()]
    meter = _Meter(sum(member.size for member in members), on_progress)
    retrying = Retrying(sleep)
    uris: dict[str, str] = {}
    own = dict.fromkeys(contents, 0)
    placed = _all(partial(_put, area, retrying), members, area)
    for member, (uri, sent) in zip(members, placed, strict=True):
        uris[member.sha256] = uri
        own[distinct[member.sha256][1]] += sent
        meter.count(member.size, sent)
    indexes = [index_of.dumps(contents[task.name].index(uris)) for task in packed]
    staged = []
    placed = _all(partial(_put_index, area, retrying), indexes, area)
    for task, data, (uri, sent) in zip(packed, indexes, placed, strict=True):
        staged.append(Staged(task.name, uri, sent + own[task.name]))
        meter.count(len(data), sent)
    retrying(area.settle)
    return staged


def planned_index(task: PackedTask, root_uri: str) -> str:
    """Where the index of `task` will lie when it is staged below `root_uri`."""
    contents = Contents(task)
    uris = {item.sha256: f"{root_uri}/{item.place}" for item in contents}
    name = index_of.index_name(index_of.dumps(contents.index(uris)))
    return f"{root_uri}/{name}"


def _all(
    put: "Callable[[_T], tuple[str, int]]", items: "Sequence[_T]", area: StagingArea
) -> "Iterator[tuple[str, int]]":
    """Side by side; one after the other on a local disk, where waiting is not what takes time."""
    if area.is_local:
        return map(put, items)
    return side_by_side(put, items, threads=_PARALLEL)


def _put(area: StagingArea, retrying: Retrying, member: Member) -> "tuple[str, int]":
    return retrying(lambda: area.stage(member.place, member.data, sha256=member.sha256))


def _put_index(area: StagingArea, retrying: Retrying, data: bytes) -> "tuple[str, int]":
    name = index_of.index_name(data)
    return retrying(lambda: area.stage(name, data, sha256=index_of.digest(data)))
