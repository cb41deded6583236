"""`Callee`: what tasks and workflows have in common: a function, a name, a signature, and being called."""

import sys
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType, MethodType
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import Location
from flyte_nb.sdk import context
from flyte_nb.sdk.entity import Definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

    from flyte_nb.sdk.signature import SignatureReading
    from flyte_nb.types.registry import Registry


_COROUTINE = 0x80  # co_flags, as the Python reference has them


class Callee(Definition):
    """A function that is an entity. Calling it in a traced workflow makes a node, elsewhere it runs."""

    def __init__(self, function: "Callable[..., Any]", options: Any) -> None:
        if isinstance(function, Callee):
            raise UsageError(
                f"{function.short_name} is a {function.noun} already; remove @{self.noun} before it."
            )
        is_method = isinstance(function, MethodType)
        # `functools.lru_cache` gives an object without `__code__`, whose `__wrapped__` is the function.
        is_wrapper = hasattr(function, "__wrapped__") and callable(function)
        if is_method or not (hasattr(function, "__code__") or is_wrapper):
            what = f"the method {function.__qualname__}" if is_method else repr(function)
            raise UsageError(
                f"@{self.noun} stands before a function, not before {what}."
                " Write a def that calls it."
            )
        self.function = function
        self.options = options
        self.module = function.__module__
        self.short_name = function.__qualname__.replace("<locals>.", "")
        # What help(), tab completion and functools.wraps look for.
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        self._reading: tuple[Registry, SignatureReading] | None = None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make a node in a workflow that is traced; elsewhere run it and return its value.

        Async code that calls an `async def` task gets something to await instead of the value.

        Raises:
            UsageError: arguments are unknown, missing, or too many, outside of a workflow.
        """
        __tracebackhide__ = True  # an author's own error is read without our frames
        entity, frame = context.stand_in(self), context.frame.get()
        if frame is not None:
            return frame.call(entity, args, kwargs, sys._getframe(1))
        inputs = self.complete(args, kwargs)
        if self.is_async and _expects_awaitable(sys._getframe(1)):
            return context.run_async(entity, inputs)
        return context.run(entity, inputs)

    def call_function(self, inputs: "dict[str, object]") -> object:
        """Return what the author's function returns, as it is."""
        return self.function(**inputs)

    @property
    def is_async(self) -> bool:
        """Whether the author wrote `async def`."""
        return bool(self.code.co_flags & _COROUTINE)

    def graph(
        self,
        *,
        engine: str = "layered",
        open: "Collection[str] | str" = (),
        depth: "int | None" = 0,
        types: bool = False,
        theme: str = "auto",
        phases: "Mapping[str, str] | None" = None,
        execution: Any = None,
        diff: Any = False,
    ) -> Any:
        """Return the graph, which notebooks show, also of an entity that has problems.

        It has `.svg`, `.dot`, `.mermaid`, `.png()` and `.save(path)`.

        Args:
            engine: `layered`, which needs nothing, or `dot`, where Graphviz is installed.
            open: what is drawn open: names of sub-workflows and maps, or their ids (`n1/n0`); `all`.
            depth: levels that are open as well; `None` for all.
            types: whether arrows are labelled with types.
            theme: `light`, `dark`, or `auto`, which follows the system.
            phases: phases of nodes by id, e.g. `{"n0": "SUCCEEDED", "n1/n0": "RUNNING"}`.
            execution: a run whose present phases are drawn.
            diff: `True` marks what differs from the latest registered version; a version, or what
                `fetch_workflow` returned, marks what differs from that.

        Raises:
            UsageError: an option that does not exist, or nothing that opens under a name.
            RemoteError: with `diff`, FlyteAdmin cannot be reached.
        """
        return context.graph(
            self,
            engine=engine,
            open=open,
            depth=depth,
            types=types,
            theme=theme,
            phases=phases,
            execution=execution,
            diff=diff,
        )

    def __repr__(self) -> str:
        return f"<{self.noun} {self.module}.{self.short_name}>"

    def __getstate__(self) -> "dict[str, Any]":
        # A kept signature holds the session's registry, which must not travel with the task.
        return {"function": self.function, "options": self.options}

    def __setstate__(self, state: "dict[str, Any]") -> None:
        Callee.__init__(self, state["function"], state["options"])

    @property
    def output_names(self) -> "tuple[str, ...]":
        """Names of the outputs, where the signature does not name them."""
        return ()

    @property
    def code(self) -> "CodeType":
        """The code of what the author wrote, through decorators that used `functools.wraps`."""
        code: CodeType = self._undecorated.__code__
        return code

    @property
    def location(self) -> Location:
        """Where the author defined it."""
        return Location(self.code.co_filename, self.code.co_firstlineno)

    def read(self, registry: "Registry") -> "SignatureReading":
        """Return the signature as far as it can be read, and its problems.

        The answer is kept until a name in a textual annotation refers to another object.
        """
        # A launch, a trace and a picture all read the signature, and most signatures never change. Only
        # an annotation written as text can change its meaning: when its names are defined anew.
        known = self._reading
        if known is not None and known[0] is registry:
            watched = known[1].watched
            if not watched:
                return known[1]
            names = self._globals()
            if all(names.get(name) is value for name, value in watched):
                return known[1]
        # Loads the types, which declaring a task must not wait for.
        from flyte_nb.sdk.signature import SignatureReader

        reader = SignatureReader(
            self.function,
            registry,
            noun=self.noun,
            output_names=self.output_names,
        )
        reading = reader.read()
        self._reading = (registry, reading)
        return reading

    def _globals(self) -> "dict[str, Any]":
        known: dict[str, Any] = self._undecorated.__globals__
        return known

    @property
    def _undecorated(self) -> Any:
        """What the author wrote, through decorators that used `functools.wraps`."""
        from flyte_nb.sdk.hints import undecorated  # declaring reads no signature, and needs it not

        return undecorated(self.function)

    def complete(
        self,
        args: "tuple[Any, ...]",
        kwargs: "dict[str, Any]",
        *,
        name: str = "",
        defaults: "Mapping[str, Any]" = MappingProxyType({}),
        fixed: "Mapping[str, Any]" = MappingProxyType({}),
    ) -> "dict[str, Any]":
        """Return all inputs by name: what was given, and the defaults of the rest.

        Args:
            args: given by position.
            kwargs: given by name.
            name: what messages call it; empty means by its own name.
            defaults: in place of the function's own.
            fixed: inputs that cannot be given.

        Raises:
            UsageError: arguments are unknown, missing, or too many; it names every one.
        """
        # Only a call needs them; declaring a task must not wait for them.
        from flyte_nb.api.problems import as_text
        from flyte_nb.sdk.binding import bind_arguments
        from flyte_nb.sdk.hints import parameters_of

        parameters = parameters_of(self.function)
        known = {**parameters.defaults, **defaults} if defaults else parameters.defaults
        names, positional = parameters.names, parameters.names[: parameters.positional]
        if fixed:
            names = tuple(each for each in names if each not in fixed)
            positional = tuple(each for each in positional if each not in fixed)
        given, problems = bind_arguments(
            name or self.short_name,
            names,
            positional,
            known,
            args,
            kwargs,
        )
        if problems:
            raise UsageError(f"{name or self.short_name} was called wrongly.\n{as_text(problems)}")
        # What is fixed comes last, so that no default of the function can replace it.
        every = {**known, **given, **fixed}
        # In the order of the signature, so that equal calls have equal inputs however they were written.
        return {each: every[each] for each in parameters.names}


def _expects_awaitable(caller: "FrameType") -> bool:
    """Return whether a call of an async task gives something to await, as calling an async function does.

    At the top of a notebook a loop always runs, so there the calling code decides. In a task a loop
    runs only for async code, whose plain helper functions pass on what the code awaits.
    """
    # Only a call outside of a trace needs them; declaring a task must not wait for them.
    from flyte_nb.sdk.execution_context import DirectRunner
    from flyte_nb.sdk.loops import can_await, is_running

    inside = isinstance(context.runner.get(), DirectRunner)
    return can_await(caller) or (inside and is_running())
