"""Compute a task's fingerprint, which is equal for equal code and names the parts that changed.

The fingerprint does not depend on file names, line numbers, comments, the order of sets, object identity,
the process or the hash seed. It is a digest over parts: one part for each function, class, module and
value that the task depends on. A view can therefore name what changed.

A part contains other parts by name only. A function that calls a changed helper keeps its own digest, and
the fingerprint changes because the helper's part did. This also ends recursion: functions that call each
other contain each other's names.

The work is a queue (`_waiting`). Digesting one part meets others, which get a key at once and are digested
later. So the depth of a call graph never becomes the depth of Python's stack.
"""

import hashlib
import pickle
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from flyte_nb.bundle import code as code_of
from flyte_nb.bundle import generics
from flyte_nb.bundle.by_reference import CACHED, References
from flyte_nb.bundle.calls import imported_by_name, unpickles
from flyte_nb.bundle.canonical import (
    NAMED,
    Measured,
    Named,
    canonical_pickler,
    class_content,
    digested,
    function_content,
    object_content,
)
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.kinds.map_task import MapTask

_ALL = ("global", "captured", "default")
_SHORT = 16  # hex digits of a part's fingerprint


class Part(NamedTuple):
    """One thing that the fingerprint depends on."""

    key: str
    """Kind and name, with a number when two parts would have the same: `helper scale() (2)`."""
    kind: str
    """`function`, `helper`, `task`, `class`, `global`, `captured`, `default`, `module`, …"""
    name: str
    digest: str
    """The first 16 hex digits of its digest."""
    size_bytes: int
    user: str = ""
    """Key of the part that refers to it; of the first one, when several do."""


class Fingerprinter:
    """Collects the parts of one task.

    Args:
        references: decides what travels by reference.
        buffer_digest: returns the digest of an out-of-band buffer; a cache that pickling uses too.
    """

    def __init__(
        self, references: References, buffer_digest: "Callable[[memoryview], str]"
    ) -> None:
        self.parts: dict[str, Part] = {}
        self._references = references
        self._buffer_digest = buffer_digest
        self._keys: dict[int, str] = {}
        """Keys of the parts, by the `id` of what they are parts for."""
        self._sizes: dict[int, Measured] = {}
        """Measured data, by `id`."""
        self._alive: list[object] = []  # an id may be reused after its object's end
        self._noted: set[str] = set()
        self._referred = 0
        """How many values were met that are more than plain data."""
        self._inlined: set[int] | None = None
        """While a class is digested, ids of the methods that are already part of its content."""
        self._waiting: list[Callable[[], None]] = []
        self._user = ""
        """Key of the part that is digested at present."""
        self._unpickles = False
        """Whether something reads pickles, whose classes may be of any module that the notebook has."""
        self.functions: dict[str, FunctionType] = {}
        """The functions among the parts, by key."""
        self.values: dict[str, object] = {}
        """The data among the parts, by key."""
        self.tops: set[str] = set()
        """Top-level names of modules that function bodies import, or that are referred to."""
        self.missing: set[str] = set()
        """Top-level names that function bodies import and that cannot be found here."""

    def task(self, task: Callee) -> None:
        """Add everything that `task` depends on.

        Raises:
            Exception: anything that pickling a value raises which cannot be pickled.
            BundleError: when a local module cannot be read.
        """
        function = code_of.innermost_function(task)
        self._part(
            function,
            "function",
            f"{function.__qualname__}()",
            lambda: function_content(function, *_ALL),
            lambda: self._depend(function),
        )
        self._entity(task)
        # A decorator may have put an object of a class of its own around the function.
        if not isinstance(task.function, FunctionType):
            shown = f"{type(task.function).__qualname__} around {function.__qualname__}()"
            self._part(task.function, "helper", shown, lambda: [task.function])
        self._work()
        # A pickle that the task reads may need classes that its code does not name. The notebook's own
        # modules are the likely home of them, so they travel too.
        if self._unpickles or any(unit.unpickles for unit in self._references.local.noted()):
            self._user = next(iter(self.parts))
            for module in sorted(code_of.modules_named_in(function.__globals__)):
                if self._references.local.note(module.partition(".")[0]):
                    self._module(module)

    def note(self, kind: str, name: str, value: object) -> None:
        """Add a plain value that the fingerprint has to depend on, e.g. a lock of requirements."""
        key = self._fresh(f"{kind} {name}")
        measured = self.measure(value)
        self.parts[key] = Part(key, kind, name, measured.digest[:_SHORT], measured.size_bytes)

    def fingerprint(self) -> str:
        """Return the digest over all parts, 64 hex digits."""
        lines = sorted(f"{part.key}\0{part.digest}" for part in self.parts.values())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def measure(self, value: object) -> Measured:
        """Return the canonical digest and the size of any value that can be pickled.

        Raises:
            Exception: anything that pickling a value raises which cannot be pickled.
        """
        # `fast` switches off pickle's memo. With it, two names for one object would give other bytes than
        # two equal objects. Without it, a cycle never ends, so pickle raises.
        try:
            return digested(value, self.refer, self._buffer_digest, fast=True)
        except (ValueError, RecursionError, pickle.PicklingError):
            # Most likely a cycle: use the memo after all. What cannot be pickled fails again.
            return digested(value, self.refer, self._buffer_digest, fast=False)

    def write(self, value: object, sink: object) -> None:
        """Write the bytes that `measure` would digest for `value` into `sink`.

        Raises:
            Exception: anything that pickling a value raises which cannot be pickled.
        """
        canonical_pickler()(sink, self.refer, lambda buffer: False).dump(value)

    def class_digest(self, cls: type) -> str:
        """Return a digest of the class and its methods that is equal for equal classes, in every kernel."""
        alone = Fingerprinter(self._references, self._buffer_digest)
        named = alone._class(cls)
        alone._work()
        # With the class's name, because classes that refer to each other have the same parts.
        return hashlib.sha256(f"{named!r}\n{alone.fingerprint()}".encode()).hexdigest()

    def refer(self, value: Any) -> object:
        """Return what is digested in place of `value`, or `None` when its plain pickle is.

        The pickler asks for every value that is not plain data. Functions, classes, entities and modules
        become parts on the way. The order of the cases matters: an exact type before a base class.
        """
        self._referred += 1
        if type(value) is Named:
            return self._refer_by_name(value.value)
        if isinstance(value, (set, frozenset)):
            # A set iterates in the order of hashes, which for texts differs from process to process.
            members = sorted(self.measure(v).digest for v in value)
            if type(value) in (set, frozenset):
                return ["set", type(value).__name__, members]
            return ["set", type(value), members, getattr(value, "__dict__", {})]
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, Callee):
            return self._entity(value)
        if isinstance(value, ModuleType):
            self._module(value.__name__)
            return ["module", value.__name__]
        # Not `isinstance(value, type)`: Python 3.10 says that list[int] is an instance of type.
        if issubclass(type(value), type):
            return self._class(value)
        if isinstance(value, CACHED):
            path = self._references.cached_path(value)
            if path is not None:
                return self._named(*path)
            return ["cached", value.__wrapped__, dict(value.cache_parameters())]
        if isinstance(value, generics.KINDS):
            return self._generic(value)
        ingredients = object_content(value)
        if ingredients is None:
            self._note_module_of(value)
        return ingredients

    def _refer_by_name(self, value: object) -> object:
        """Do as `refer` for what a name in a function means.

        A method is inlined into its class. A function that the method only names is not: it becomes a part.
        """
        inlined, self._inlined = self._inlined, None
        try:
            return self.refer(value)
        finally:
            self._inlined = inlined

    def _generic(self, value: object) -> object:
        path = self._references.generic_path(value)
        return self._named(*path) if path is not None else ["generic", *generics.content(value)]

    def _work(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()

    def _entity(self, entity: Callee) -> object:
        path = self._references.entity_path(entity)
        if path is not None:
            self._module(path[0])
            return ["entity", *path]
        if isinstance(
            entity, MapTask
        ):  # its concurrency and bound inputs count, not only its function
            mapping = entity.__reduce__()[1]
            return ["map", self._part(entity, "task", f"{entity.shown_name}()", lambda: mapping)]
        return self._function(code_of.innermost_function(entity), noun=entity.resource_type)

    def _function(self, function: FunctionType, noun: str = "") -> object:
        if self._references.by_reference(function):
            return self._named(str(function.__module__), function.__qualname__)
        if self._inlined is not None:
            return self._inline(function, self._inlined)
        key = self._part(
            function,
            noun or "helper",
            f"{function.__qualname__}()",
            lambda: function_content(function, *_ALL),
            lambda: self._depend(function),
        )
        return ["function", key]

    def _named(self, module: str, name: str) -> object:
        self._module(module)
        return ["function", module, name]

    def _inline(self, function: FunctionType, inlined: "set[int]") -> object:
        """Return a method's whole content, for its class; globals that it uses become parts."""
        if id(function) in inlined:
            return ["again", function.__qualname__]
        inlined.add(id(function))
        self._later(lambda: self._depend(function, globals_only=True))
        captured = {
            name: value
            for name, value in code_of.captured(function).items()
            if value is not code_of.EMPTY
        }
        content = function_content(function, "global")
        return ["method", content, captured, code_of.defaults(function)]

    def _class(self, cls: type) -> object:
        if self._references.by_reference(cls) or code_of.is_builtin(cls):
            self._module(str(cls.__module__))
            return ["class", cls.__module__, cls.__qualname__]
        if cls.__module__ in ("types", "builtins"):
            return ["class", cls.__module__, cls.__qualname__]
        name = cls.__qualname__
        return [
            "class",
            self._part(cls, "class", name, lambda: class_content(cls), inline=True),
        ]

    def _part(
        self,
        value: object,
        kind: str,
        name: str,
        content: "Callable[[], object]",
        then: "Callable[[], None] | None" = None,
        *,
        inline: bool = False,
    ) -> str:
        known = self._keys.get(id(value))
        if known is not None:
            return known
        # The key exists before the content is read, so that a part can refer to itself.
        key = self._keys[id(value)] = self._fresh(f"{kind} {name}")
        self._alive.append(value)
        if isinstance(value, FunctionType):
            self.functions[key] = value
        user = self._user
        self.parts[key] = Part(key, kind, name, "", 0)

        def fill() -> None:
            self._user = key
            self._inlined = set() if inline else None
            measured = self.measure(content())
            self._inlined = None
            digest = measured.digest[:_SHORT]
            self.parts[key] = Part(key, kind, name, digest, measured.size_bytes, user)
            if then is not None:
                then()

        self._waiting.append(fill)
        return key

    def _later(self, act: "Callable[[], None]") -> None:
        """Put `act` at the end of the queue, on behalf of the part that is digested now."""
        user = self._user

        def done() -> None:
            self._user = user
            act()

        self._waiting.append(done)

    def _depend(self, function: FunctionType, *, globals_only: bool = False) -> None:
        by_name, perhaps = imported_by_name(function)
        # A constant that is only perhaps a module's name counts when the author has such a module.
        for top in sorted(perhaps):
            if self._references.local.note(top):
                self._module(top)
        self._unpickles = self._unpickles or unpickles(function)
        for top in sorted(code_of.imported_names(function.__code__) | by_name):
            if self._references.importable(top):
                self._module(top)
            else:
                self.missing.add(top)
        if not self.parts:
            return
        root = next(iter(self.parts.values())).name
        shown = f"{function.__qualname__}()"
        for kind, name, value in code_of.dependencies(function):
            if globals_only and kind != "global":
                continue
            if isinstance(value, NAMED):
                self.refer(value)
                continue
            place = f"{kind} {name}"
            # A global has one value for all functions of a notebook; a default or captured variable
            # belongs to one function, which its key names.
            if kind != "global" and shown != root:
                place += f" of {shown}"
            measured = self._measured_once(value)
            same = self.parts.get(place)
            if same is None or same.digest != measured.digest[:_SHORT]:
                key = self._fresh(place)
                digest = measured.digest[:_SHORT]
                self.parts[key] = Part(key, kind, name, digest, measured.size_bytes, self._user)
                self.values[key] = value

    def _measured_once(self, value: object) -> Measured:
        shared = self._references.measured
        known: Measured | None = self._sizes.get(id(value))
        if known is None and id(value) in shared:
            known = shared[id(value)][1]
        if known is None:
            before = self._referred
            known = self._sizes[id(value)] = self.measure(value)
            self._alive.append(value)
            # Only plain data may be shared with other tasks of the packing. What refers to functions or
            # modules has to be walked for each task, because the walk adds parts to that task.
            if self._referred == before:
                shared[id(value)] = value, known
        return known

    def _module(self, name: str) -> None:
        top = name.partition(".")[0]
        if self._references.is_plain(top):
            return
        self.tops.add(top)
        # A module counts together with the author's own modules that it imports, at any depth.
        for unit in self._references.local.reached(top) if self._references.importable(top) else ():
            key = f"module {unit.name}"
            if key not in self.parts:
                digest, size = unit.sha256[:_SHORT], unit.size_bytes
                self.parts[key] = Part(key, "module", unit.name, digest, size, self._user)

    def _note_module_of(self, value: object) -> None:
        module = getattr(type(value), "__module__", None)
        if isinstance(module, str) and module not in self._noted:
            self._noted.add(module)
            self._module(module)

    def _fresh(self, key: str) -> str:
        if key not in self.parts:
            return key
        number = 2
        while f"{key} ({number})" in self.parts:
            number += 1
        return f"{key} ({number})"
