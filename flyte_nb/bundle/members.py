"""Turn a packed task into members and an index, before anything is stored."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flyte_nb.api import index as index_of
from flyte_nb.api.index import Index, IndexEntry, TaskEntry
from flyte_nb.api.version import PROTOCOL, __version__
from flyte_nb.bundle.pack import PackedTask
from flyte_nb.bundle.package_parts import Zip
from flyte_nb.bundle.ring import ring
from flyte_nb.bundle.units import Unit

RING_NAME = "ring.zip"


class Member(NamedTuple):
    """One object to be stored."""

    name: str
    kind: str
    """One of the kinds in `api/index.py`: the ring, a task's payload, a buffer, a module or a lock."""
    sha256: str
    data: "bytes | memoryview"
    """`bytes`, or a `memoryview` of a large buffer."""

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return memoryview(self.data).nbytes

    @property
    def place(self) -> str:
        """Return its path below the staging area: `<sha256[:2]>/<sha256>`."""
        return f"{self.sha256[:2]}/{self.sha256}"


class Contents:
    """The members of one packed task and of the tasks that its body can call, and which task needs which.

    Bytes that two of the tasks share are one member.
    """

    def __init__(self, task: PackedTask) -> None:
        self._task = task
        # By kind and digest: a payload and a buffer with equal bytes are still two members.
        self._members: dict[tuple[str, str], Member] = {}
        travelling = ring()
        self._add(RING_NAME, index_of.RING, travelling.sha256, travelling.data)
        self.tasks = {one.name: self._entry(one) for one in (task, *task.inner)}

    def __iter__(self) -> "Iterator[Member]":
        return iter(self._members.values())

    def index(self, uris: "Mapping[str, str]") -> Index:
        """Return the index of these members; `uris` has each member's location, by its digest."""
        entries = tuple(
            IndexEntry(item.name, uris[item.sha256], item.size, item.sha256, item.kind)
            for item in self
        )
        needed = {item.text for one in (self._task, *self._task.inner) for item in one.requirements}
        return Index(
            sdk_version=__version__,
            protocol=PROTOCOL,
            python=self._task.python,
            entries=entries,
            tasks=self.tasks,
            requirements=tuple(sorted(needed)),
            launch_plans=self._task.launch_plans,
        )

    def _entry(self, task: PackedTask) -> TaskEntry:
        payload = self._add(f"{task.name}.pkl", index_of.TASK, task.payload_sha256, task.payload)
        buffers = [
            self._add("buffer", index_of.BUFFER, buffer.sha256, buffer.data)
            for buffer in task.buffers
        ]
        modules = [
            self._add(name, index_of.MODULE, part.sha256, part.data)
            for unit in task.modules
            for name, part in _named(unit)
        ]
        # The task's own template has its fingerprint. The tasks that its body calls have no template.
        fingerprint = task.fingerprint if task is not self._task else ""
        lock = ""
        if task.lock:
            digest = hashlib.sha256(task.lock).hexdigest()
            lock = self._add(f"{task.name}.lock", index_of.LOCK, digest, task.lock)
        return TaskEntry(
            payload=payload,
            buffers=tuple(buffers),
            modules=tuple(modules),
            fingerprint=fingerprint,
            lock=lock,
        )

    def _add(self, name: str, kind: str, sha256: str, data: "bytes | memoryview") -> str:
        """Add a member unless it is there; return the name that it has in the index."""
        known = self._members.get((kind, sha256))
        if known is None:
            if kind == index_of.BUFFER:
                count = sum(item.kind == kind for item in self)
                name = f"{name}-{count}"
            known = self._members[kind, sha256] = Member(name, kind, sha256, data)
        return known.name


def _named(unit: Unit) -> "Iterator[tuple[str, Zip]]":
    if len(unit.parts) == 1:
        yield f"module-{unit.name}.zip", unit.parts[0]
        return
    for number, part in enumerate(unit.parts, 1):
        yield f"module-{unit.name}-{number:02}.zip", part
