"""Whether code changed: a fingerprint that is equal for equal cells, and its parts by name.

It does not depend on file names, line numbers, comments, the order of sets, object identity, the
process or the hash seed. It is a digest over parts, one for everything that the task depends on, so
that what changed can be said by name. A function that another one refers to is a part of its own and
enters the other one's part by name only.
"""

import hashlib
import pickle
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from flyte_nb.bundle import code as code_of
from flyte_nb.bundle import generics
from flyte_nb.bundle.by_reference import CACHED, References
from flyte_nb.bundle.calls import imported_by_name, unpickles
from flyte_nb.bundle.canonical import (
    NAMED,
    Named,
    Sink,
    canonical_pickler,
    class_content,
    code_content,
    function_content,
)
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.kinds.map_task import MapTask

_ALL = ("global", "captured", "default")
_SHORT = 16  # hex digits of a part's fingerprint


class Measured(NamedTuple):
    """A value's digest, and how many bytes it is when pickled."""

    digest: str
    size_bytes: int


class Part(NamedTuple):
    """Something that the fingerprint depends on."""

    key: str
    kind: str
    name: str
    digest: str
    size_bytes: int
    user: str = ""
    """Key of the part that refers to it; the first one, where several do."""


class Fingerprinter:
    """Collects the parts of one task.

    Args:
        references: what travels by reference.
        buffer_digest: the digest of an out-of-band buffer; a cache shared with the pickling.
    """

    def __init__(
        self, references: References, buffer_digest: "Callable[[memoryview], str]"
    ) -> None:
        self.parts: dict[str, Part] = {}
        self._references = references
        self._buffer_digest = buffer_digest
        self._keys: dict[int, str] = {}
        self._sizes: dict[int, Measured] = {}
        self._alive: list[Any] = []  # ids are only good while the objects live
        self._noted: set[str] = set()
        self._referred = 0
        """How often something was met that is more than plain data."""
        self._inlined: set[int] | None = None
        """Inside of a class: functions that are already part of its content."""
        self._waiting: list[Callable[[], None]] = []
        self._user = ""
        """Key of the part that is looked at."""
        self._unpickles = False
        """Whether something reads pickles: their classes may be of any module that the notebook has."""
        self.functions: dict[str, FunctionType] = {}
        """The functions among the parts, by key."""
        self.values: dict[str, Any] = {}
        """The data among the parts, by key."""
        self.tops: set[str] = set()
        """Top-level names of modules that function bodies import, or that are referred to."""
        self.missing: set[str] = set()
        """Those that function bodies import, and that cannot be found here."""

    def task(self, task: Callee) -> None:
        """Add everything that `task` depends on."""
        function = _innermost(task)
        self._part(
            function,
            "function",
            f"{function.__qualname__}()",
            lambda: function_content(function, *_ALL),
            lambda: self._depend(function),
        )
        self._entity(task)
        if not isinstance(
            task.function, FunctionType
        ):  # an object that calls it, as a decorator made
            shown = f"{type(task.function).__qualname__} around {function.__qualname__}()"
            self._part(task.function, "helper", shown, lambda: [task.function])
        self._work()
        if self._unpickles or any(unit.unpickles for unit in self._references.local.noted()):
            self._user = next(iter(self.parts))
            for module in sorted(code_of.modules_named_in(function.__globals__)):
                if self._references.local.note(module.partition(".")[0]):
                    self._module(module)

    def note(self, kind: str, name: str, value: Any) -> None:
        """Add a plain value that counts."""
        key = self._fresh(f"{kind} {name}")
        measured = self.measure(value)
        self.parts[key] = Part(key, kind, name, measured.digest[:_SHORT], measured.size_bytes)

    def fingerprint(self) -> str:
        """The digest over all parts."""
        lines = sorted(f"{part.key}\0{part.digest}" for part in self.parts.values())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def measure(self, value: Any) -> Measured:
        """The canonical digest of any picklable value."""
        try:
            return self._measured(value, fast=True)
        except (ValueError, RecursionError, pickle.PicklingError):
            # A cycle, most likely: digest it with its identities. What cannot be pickled fails again.
            return self._measured(value, fast=False)

    def write(self, value: Any, sink: Any) -> None:
        """Write what stands for `value` in a digest; what it refers to is only named."""
        canonical_pickler()(sink, self.refer, lambda buffer: False).dump(value)

    def class_digest(self, cls: type) -> str:
        """The digest of a class and its methods: equal for equal classes, in every kernel."""
        alone = Fingerprinter(self._references, self._buffer_digest)
        named = alone._class(cls)
        alone._work()
        # With its name: of classes that refer to each other all have the same parts.
        return hashlib.sha256(f"{named!r}\n{alone.fingerprint()}".encode()).hexdigest()

    def refer(self, value: Any) -> Any:
        """What stands for `value` in a digest; `None` when its plain pickle does."""
        self._referred += 1
        if type(value) is Named:
            return self._refer_by_name(value.value)
        if isinstance(value, (set, frozenset)):
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
        if issubclass(
            type(value), type
        ):  # Python 3.10 also takes list[int] for an instance of type
            return self._class(value)
        if isinstance(value, CACHED):
            path = self._references.cached_path(value)
            if path is not None:
                return self._named(*path)
            return ["cached", value.__wrapped__, dict(value.cache_parameters())]
        if isinstance(value, CodeType):
            return ["code", *code_content(value)]
        if isinstance(value, generics.KINDS):
            return self._generic(value)
        derived = code_of.derived_descriptor(value)
        if derived is not None:
            return ["descriptor", type(value), *derived]
        made_by = code_of.context_manager(value)
        if made_by is not None:
            return ["context manager", type(value).__name__, *made_by]
        if type(value) in code_of.WITHOUT_LOCKS:
            return ["descriptor", type(value).__name__, *code_of.around_method(value)]
        if type(value).__name__ == "Decorator" and type(value).__module__.startswith("pydantic."):
            return ["pydantic", value.cls_var_name, value.info]  # the rest has the class's address
        self._note_module_of(value)
        return None

    def _refer_by_name(self, value: Any) -> Any:
        """As `refer`, for a name in a function: also in a class, what it means is a part of its own."""
        inlined, self._inlined = self._inlined, None
        try:
            return self.refer(value)
        finally:
            self._inlined = inlined

    def _generic(self, value: Any) -> Any:
        path = self._references.generic_path(value)
        return self._named(*path) if path is not None else ["generic", *generics.content(value)]

    def _work(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()

    def _measured(self, value: Any, *, fast: bool) -> Measured:
        sink = Sink()
        buffers: list[str] = []

        def out_of_band(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            sink.size += raw.nbytes
            buffers.append(self._buffer_digest(raw))
            return False

        pickler = canonical_pickler()(sink, self.refer, out_of_band)
        pickler.fast = fast
        pickler.dump(value)
        sink.hash.update("".join(buffers).encode())
        return Measured(sink.hash.hexdigest(), sink.size)

    def _entity(self, entity: Callee) -> Any:
        path = self._references.entity_path(entity)
        if path is not None:
            self._module(path[0])
            return ["entity", *path]
        if isinstance(entity, MapTask):  # how it maps counts too
            mapping = entity.__reduce__()[1]
            return ["map", self._part(entity, "task", f"{entity.shown_name}()", lambda: mapping)]
        return self._function(_innermost(entity), noun=entity.resource_type)

    def _function(self, function: FunctionType, noun: str = "") -> Any:
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

    def _named(self, module: str, name: str) -> Any:
        self._module(module)
        return ["function", module, name]

    def _inline(self, function: FunctionType, inlined: "set[int]") -> Any:
        """A method, whole, as content of its class; the globals it uses are parts of their own."""
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

    def _class(self, cls: type) -> Any:
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
        value: Any,
        kind: str,
        name: str,
        content: "Callable[[], Any]",
        then: "Callable[[], None] | None" = None,
        *,
        inline: bool = False,
    ) -> str:
        known = self._keys.get(id(value))
        if known is not None:
            return known
        key = self._keys[id(value)] = self._fresh(f"{kind} {name}")
        self._alive.append(value)
        if isinstance(value, FunctionType):
            self.functions[key] = value
        user = self._user
        self.parts[key] = Part(key, kind, name, "", 0)  # holds its place: it may refer to itself

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
        """Do it when what waits already is done, on behalf of the part that is looked at now."""
        user = self._user

        def done() -> None:
            self._user = user
            act()

        self._waiting.append(done)

    def _depend(self, function: FunctionType, *, globals_only: bool = False) -> None:
        by_name, perhaps = imported_by_name(function)
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
            if kind != "global" and shown != root:
                place += f" of {shown}"
            measured = self._measured_once(value)
            same = self.parts.get(place)
            if same is None or same.digest != measured.digest[:_SHORT]:
                key = self._fresh(place)
                digest = measured.digest[:_SHORT]
                self.parts[key] = Part(key, kind, name, digest, measured.size_bytes, self._user)
                self.values[key] = value

    def _measured_once(self, value: Any) -> Measured:
        shared = self._references.measured
        known: Measured | None = self._sizes.get(id(value))
        if known is None and id(value) in shared:
            known = shared[id(value)][1]
        if known is None:
            before = self._referred
            known = self._sizes[id(value)] = self.measure(value)
            self._alive.append(value)
            if self._referred == before:  # else this task has noted what it met there
                shared[id(value)] = value, known
        return known

    def _module(self, name: str) -> None:
        top = name.partition(".")[0]
        if self._references.is_plain(top):
            return
        self.tops.add(top)
        for unit in self._references.local.reached(top) if self._references.importable(top) else ():
            key = f"module {unit.name}"
            if key not in self.parts:
                digest, size = unit.sha256[:_SHORT], unit.size_bytes
                self.parts[key] = Part(key, "module", unit.name, digest, size, self._user)

    def _note_module_of(self, value: Any) -> None:
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


def _innermost(entity: Callee) -> FunctionType:
    function: Any = entity.function
    while not isinstance(function, FunctionType):
        function = function.__wrapped__
    return function
