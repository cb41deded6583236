"""Pack a task: compute its fingerprint and payload, collect what travels with it, and warn the author.

The fingerprint comes first. Its walk finds the local modules that the task needs, and it digests classes,
whose digests the payload uses as names.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.errors import BundleError
from flyte_nb.api.identifiers import Identifier, Scope
from flyte_nb.api.specs import Location
from flyte_nb.bundle.by_reference import PackingCache, References
from flyte_nb.bundle.fingerprint import Fingerprinter, Part
from flyte_nb.bundle.installed_packages import Requirement, requirements
from flyte_nb.bundle.local_modules import Units
from flyte_nb.bundle.module_state import ModuleState
from flyte_nb.bundle.pickler import Pickled, dump
from flyte_nb.bundle.reach import called_inside, reach
from flyte_nb.bundle.remarks import DATA_KINDS, place_of, remarks
from flyte_nb.bundle.requirement_locks import read_lock
from flyte_nb.bundle.secret_signs import named_like_a_secret
from flyte_nb.bundle.source_names import spoken_place
from flyte_nb.bundle.units import Unit
from flyte_nb.bundle.unpicklable import explain
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.declared import TemplateTask
from flyte_nb.sdk.entity import Definition, entity_name
from flyte_nb.sdk.task import Task
from flyte_nb.sdk.workflow import Workflow
from flyte_nb.types.registry import Registry

LIMIT_BYTES = 1 << 30
"""The most bytes that may travel with one task. Larger data belongs into a store."""


class Buffer(NamedTuple):
    """A large buffer (an array's data, long bytes) that is stored beside the payload."""

    data: memoryview
    sha256: str


class Captured(NamedTuple):
    """Something that travels with a task."""

    name: str
    size_bytes: int
    kind: str
    """`function`, `helper`, `task`, `class`, `global`, `captured`, `default` or `module`."""
    secret_like: bool
    """Whether its name looks like the name of a secret."""
    key: str = ""
    """Its key among the fingerprint's parts."""
    user: str = ""
    """The function or class that refers to it first; empty for the task itself."""
    place: "Location | None" = None
    """Where `user` refers to it; for a function, where it is defined."""


class PackedTask(NamedTuple):
    """A task, ready to be staged."""

    name: str
    """Its registered name, `<notebook>.<function>`."""
    fingerprint: str
    """Equal for equal code, in every kernel; 64 hex digits."""
    payload: bytes
    payload_sha256: str
    buffers: "tuple[Buffer, ...]"
    modules: "tuple[Unit, ...]"
    """Local modules, each as one zip or, when it is large, as several."""
    captured: "tuple[Captured, ...]"
    """What travels, largest first."""
    warnings: "tuple[str, ...]"
    parts: "dict[str, str]"
    """Digests of the fingerprint's parts by their keys, e.g. `helper features()`, `global labels`."""
    python: str
    """`major.minor` of this interpreter. Another minor version cannot run the payload's bytecode."""
    requirements: "tuple[Requirement, ...]" = ()
    """Installed packages that its code imports, pinned to the versions installed here."""
    inner: "tuple[PackedTask, ...]" = ()
    """For a dynamic task, the tasks that its body can call, each packed as it would be alone."""
    lock: bytes = b""
    """Its requirements, pinned by version and hash; empty when the task has no lock."""
    launch_plans: "tuple[Identifier, ...]" = ()
    """For a dynamic task, the launch plans that its body can start. Registering fills them in, because
    their project, domain and version are not known here."""

    @property
    def size_bytes(self) -> int:
        """Return how many bytes travel, without the ring."""
        members = [unit.size_bytes for unit in self.modules]
        members += [buffer.data.nbytes for buffer in self.buffers]
        return len(self.payload) + sum(members)


def pack(
    task: Task,
    *,
    scope: Scope,
    registry: "Registry | None" = None,
    local_roots: "Sequence[str | Path]" = (),
) -> PackedTask:
    """Pack `task` as it is now, without anything remembered from an earlier call.

    Args:
        task: the task.
        scope: the name that stands for `__main__` in the task's registered name.
        registry: the types, which know what they import where the task runs; also needed to trace the
            workflows that a dynamic task calls.
        local_roots: folders whose modules are the author's own and travel as files, usually the
            notebook's folder.

    Raises:
        BundleError: when something cannot travel (the message names the variable, the path inside it and
            the cell), when too much would travel, or when a module or the lock cannot be read.
    """
    return Packer(scope=scope, registry=registry, local_roots=local_roots).pack(task)


class Packer:
    """Packs the tasks of one registration, and reads and digests what they share once.

    Use a new packer for each registration: a packer does not notice changes of what it has seen.

    Args:
        scope: as for `pack`.
        registry: as for `pack`.
        local_roots: as for `pack`.
        limit_bytes: the most bytes that may travel with one task.
    """

    def __init__(
        self,
        *,
        scope: Scope,
        registry: "Registry | None" = None,
        local_roots: "Sequence[str | Path]" = (),
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._scope = scope
        self._registry = registry
        self._units = Units(local_roots)
        self._roots = tuple(local_roots)
        self._known = PackingCache()
        self._digests = _BufferDigests()
        self._state = ModuleState()
        self._packed_tasks: dict[int, tuple[Task, PackedTask]] = {}

    def pack(self, task: Task) -> PackedTask:
        """Pack one task, and for a dynamic task also the tasks that its body can call.

        Raises:
            BundleError: when something cannot travel, when too much would travel, or when a module or the
                lock cannot be read.
        """
        # The body of a plain task cannot make nodes: what it calls runs in it, and is packed with it as a
        # helper.
        if not task.is_dynamic:
            return self._pack(task, ())
        called = reach(task, self._traced)
        tasks = [
            item for item in called if isinstance(item, Task) and not isinstance(item, TemplateTask)
        ]
        # What an inner task itself calls counts for its version, as when it is packed alone.
        inner = [self._pack(item, called_inside(item, self._traced)) for item in tasks]
        return self._pack(task, called)._replace(inner=tuple(inner))

    def _traced(self, workflow: Workflow) -> "Sequence[Definition]":
        if self._registry is None:
            return ()
        return workflow.trace(self._registry, self._scope).entities

    def _pack(self, task: Task, called: "Sequence[Definition]") -> PackedTask:
        """Pack the task alone, once: maps over it and dynamic tasks that call it need it as well."""
        # By identity, because two tasks of one name may be different. The entry keeps the task alive, so that
        # no other gets its id.
        known = self._packed_tasks.get(id(task))
        if known is None:
            known = self._packed_tasks[id(task)] = (task, self._pack_anew(task, called))
        return known[1]

    def _pack_anew(self, task: Task, called: "Sequence[Definition]") -> PackedTask:
        references = References(self._units, self._known)
        fingerprinter = Fingerprinter(references, self._digests)
        lock = b""
        try:
            # The fingerprint first: its walk finds the modules and classes that the pickle then only names.
            fingerprinter.task(task)
            if task.options.requirements:
                lock = read_lock(task.options.requirements, f"{task.short_name}()", self._roots)
                fingerprinter.note("requirements", task.options.requirements, lock)
            # A task that is called in the body becomes a node while the body runs. The options of that
            # node come from this payload, so they count for this task's version.
            for item in called:
                if isinstance(item, Callee):
                    fingerprinter.note(
                        "options of", f"{item.short_name}()", list(item.options.counted())
                    )
            pickled = dump(task, references, fingerprinter, with_options=task.is_dynamic)
        # These say already what is wrong and where. Anything else is an exception of a class that refuses to
        # be pickled.
        except BundleError:
            raise
        except Exception as error:
            raise explain(task, error, self._failure) from error
        packed = self._result(task, references, fingerprinter, pickled)._replace(lock=lock)
        if packed.size_bytes > self._limit_bytes:
            raise _too_large(packed, task, self._limit_bytes)
        return packed

    def _result(
        self,
        task: Task,
        references: References,
        fingerprinter: Fingerprinter,
        pickled: Pickled,
    ) -> PackedTask:
        parts = sorted(fingerprinter.parts.values(), key=lambda part: part.key)
        units = references.local.noted()
        # A local module is in the bundle, but what it imports may be installed packages, which have to be
        # installed there.
        imported = {name for unit in units for name in unit.imports}
        imported -= {unit.name for unit in units}
        needed = requirements(references.modules | imported | self._imported_by_types(task))
        return PackedTask(
            name=entity_name(task, self._scope),
            fingerprint=fingerprinter.fingerprint(),
            payload=pickled.payload,
            payload_sha256=hashlib.sha256(pickled.payload).hexdigest(),
            buffers=tuple(Buffer(raw, self._digests(raw)) for raw in pickled.buffers),
            modules=units,
            captured=_captured(fingerprinter, parts),
            warnings=remarks(
                f"{task.short_name}()",
                fingerprinter,
                pickled.payload,
                self._units,
                units,
                needed,
                self._state,
            ),
            parts={part.key: part.digest for part in parts},
            python=f"{sys.version_info[0]}.{sys.version_info[1]}",
            requirements=needed,
        )

    def _imported_by_types(self, task: Task) -> "set[str]":
        """Return the modules that reading its inputs and writing its outputs imports.

        The task's code need not name them: a task with a `pandas.DataFrame` input needs pyarrow.
        """
        if self._registry is None:
            return set()
        signature = task.read(self._registry).signature
        codecs = (*signature.input_codecs.values(), *signature.output_codecs.values())
        return {name for codec in codecs for name in codec.imports}

    def _failure(self, value: object) -> "Exception | None":
        """Return the exception that pickling `value` alone raises, or `None`."""
        references = References(self._units, self._known)
        try:
            dump(value, references, Fingerprinter(references, lambda raw: ""))
        except Exception as error:  # noqa: BLE001 - a class may raise anything when it is pickled
            return error
        return None


class _BufferDigests:
    """Digests buffers, each once, because the fingerprint and the payload meet the same ones."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[object, str]] = {}

    def __call__(self, raw: memoryview) -> str:
        # A slice cannot be cached by its owner's id: another slice may have the same length.
        if memoryview(raw.obj).nbytes != raw.nbytes:
            return hashlib.sha256(raw).hexdigest()
        key = (id(raw.obj), raw.nbytes)
        known = self._known.get(key)
        if known is None:
            # Keep the owner alive, so that its id is not given to another object.
            known = self._known[key] = (raw.obj, hashlib.sha256(raw).hexdigest())
        return known[1]


def _captured(fingerprinter: Fingerprinter, parts: "list[Part]") -> "tuple[Captured, ...]":
    found = []
    for part in parts:
        user = fingerprinter.parts.get(part.user)
        found.append(
            Captured(
                name=part.name,
                size_bytes=part.size_bytes,
                kind=part.kind,
                secret_like=part.kind in DATA_KINDS and named_like_a_secret(part.name),
                key=part.key,
                user=user.name if user is not None else "",
                place=place_of(part, fingerprinter),
            )
        )
    # The largest first: a person who asks why a bundle is large reads the first line.
    return tuple(sorted(found, key=lambda item: (-item.size_bytes, item.name)))


def _too_large(packed: PackedTask, task: Task, limit: int) -> BundleError:
    largest = packed.captured[0]
    where = f" ({spoken_place(*largest.place)})" if largest.place is not None else ""
    return BundleError(
        f"{packed.size_bytes / 1e6:,.1f} MB would travel with {task.short_name}(), which is more than the"
        f" limit of {limit / 1e6:,.1f} MB. The largest part is the {largest.kind}"
        f" {largest.name!r}{where} with {largest.size_bytes / 1e6:,.1f} MB.",
        code="USER:BundleTooLarge",
        hint="Pass it as an input (a file, a directory, a frame), or load it inside of the task.",
    )


__all__ = ["Buffer", "Captured", "PackedTask", "Packer", "pack"]
