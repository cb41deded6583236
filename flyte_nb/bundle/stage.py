"""Stage packed tasks: store their members, each once and several at once, then an index for each task.

An index is written only after all its members, and names them by their digests. So an interrupted staging
leaves nothing that could be run, and the next one sends only what is still missing.
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
    """The location of its index, with the index's digest in the file name."""
    sent_bytes: int
    """Bytes that were not stored before. A shared member counts for the first task that needs it."""


class StagingProgress(NamedTuple):
    """How much of a staging is done."""

    done_bytes: int
    """Bytes of the members and indexes that are stored now."""
    total_bytes: int
    """Bytes of all members. Indexes (1 kB each) are added as they are stored, when their sizes are known."""
    sent_bytes: int
    """The part of `done_bytes` that was not stored before."""


class _Meter:
    """Counts the bytes that are stored, and reports each change."""

    def __init__(self, total: int, report: "Callable[[StagingProgress], None] | None") -> None:
        self._now = StagingProgress(done_bytes=0, total_bytes=total, sent_bytes=0)
        self._report = report
        if report is not None and total:
            report(self._now)

    def count(self, size: int, sent: int) -> None:
        now = self._now
        done = now.done_bytes + size
        self._now = StagingProgress(
            done_bytes=done,
            total_bytes=max(now.total_bytes, done),
            sent_bytes=now.sent_bytes + sent,
        )
        if self._report is not None:
            self._report(self._now)


def stage(
    packed: "Sequence[PackedTask]",
    area: StagingArea,
    *,
    on_progress: "Callable[[StagingProgress], None] | None" = None,
    sleep: Sleep = time.sleep,
) -> "list[Staged]":
    """Store everything that the tasks need in `area`.

    When it is interrupted (by `KeyboardInterrupt` or an error), it does not wait for uploads that are under
    way. That is safe, because objects appear whole or not at all, and no index names them yet.

    Args:
        packed: the tasks.
        area: the staging area.
        on_progress: called at the beginning and after each stored object.
        sleep: waits before another try after a transient fault, in seconds.

    Returns:
        the staged tasks, in the order of `packed`.

    Raises:
        StorageError: when an object cannot be stored, also after several tries.
    """
    contents = {task.name: Contents(task) for task in packed}
    # Each object once, with the first task that needs it: by digest, whatever its name and kind are.
    distinct: dict[str, tuple[Member, str]] = {}
    for task in packed:
        for member in contents[task.name]:
            distinct.setdefault(member.sha256, (member, task.name))
    members = [member for member, _ in distinct.values()]
    meter = _Meter(sum(member.size for member in members), on_progress)
    # One for all objects: its deadline is for the whole staging.
    retrying = Retrying(sleep)
    uris: dict[str, str] = {}
    own = dict.fromkeys(contents, 0)
    placed = _all(partial(_put, area, retrying), members, area)
    for member, (uri, sent) in zip(members, placed, strict=True):
        uris[member.sha256] = uri
        own[distinct[member.sha256][1]] += sent
        meter.count(member.size, sent)
    # Every member is stored by now. Before, an index could name one that is not there.
    indexes = [index_of.dumps(contents[task.name].index(uris)) for task in packed]
    staged = []
    placed = _all(partial(_put_index, area, retrying), indexes, area)
    for task, data, (uri, sent) in zip(packed, indexes, placed, strict=True):
        staged.append(Staged(task.name, uri, sent + own[task.name]))
        meter.count(len(data), sent)
    # Only now is everything named by an index, so that a cleanup cannot remove it any more.
    retrying(area.settle)
    return staged


def planned_index(task: PackedTask, root_uri: str) -> str:
    """Return the URI that the index of `task` gets when it is staged below `root_uri`."""
    contents = Contents(task)
    uris = {item.sha256: f"{root_uri}/{item.place}" for item in contents}
    name = index_of.index_name(index_of.dumps(contents.index(uris)))
    return f"{root_uri}/{name}"


def _all(
    put: "Callable[[_T], tuple[str, int]]", items: "Sequence[_T]", area: StagingArea
) -> "Iterator[tuple[str, int]]":
    """Store the items, several at once, or one after the other on a local disk, where nothing waits."""
    # Threads only help where calls wait for a network.
    if area.is_local:
        return map(put, items)
    return side_by_side(put, items, threads=_PARALLEL)


def _put(area: StagingArea, retrying: Retrying, member: Member) -> "tuple[str, int]":
    return retrying(lambda: area.stage(member.place, member.data, sha256=member.sha256))


def _put_index(area: StagingArea, retrying: Retrying, data: bytes) -> "tuple[str, int]":
    name = index_of.index_name(data)
    return retrying(lambda: area.stage(name, data, sha256=index_of.digest(data)))
