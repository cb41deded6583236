"""Tasks that are declared by the types of their inputs and outputs in place of a `def`.

`Declared` stands where a task's function stands. It has a signature to read, and its call does the work.
"""

import keyword
import sys
from collections.abc import Mapping
from types import FrameType, FunctionType, GenericAlias
from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError
from flyte_nb.sdk.task import Task, TaskOptions, recorded_options, with_metadata

if TYPE_CHECKING:
    from flyte_nb.api.specs import Container
    from flyte_nb.sdk.options import TaskMetadata

Types = Mapping[str, object]
"""Python types by name; of an input also a pair, its type and its default."""

_OURS = __name__.partition(".")[0]


class Declared:
    """What a declared task runs. A kind of task derives from it and says in `run` what a call does."""

    noun = "task"

    def __init__(self, name: str, inputs: "Types | None", outputs: "Types | None") -> None:
        """Check the names, and note where the author declares it.

        Raises:
            UsageError: the name is no text, or an input or output has a name or type that it cannot have.
        """
        if not isinstance(name, str) or not name:
            raise UsageError(
                f"name={name!r}: write the name that the {self.noun} is registered with."
            )
        self.name = name
        self.inputs = _checked(name, "inputs", inputs)
        self.outputs = _checked(name, "outputs", outputs)
        author = _author()
        self.module: str = author.f_globals.get("__name__", "__main__")
        self._stand_for_a_function(author)

    def run(self, inputs: "dict[str, object]") -> object:
        """Return what the task returns for these inputs."""
        raise NotImplementedError

    def __call__(self, /, *args: object, **inputs: object) -> object:
        """Do the work, with the defaults of inputs that are not given."""
        named = {**dict(zip(self.inputs, args, strict=False)), **inputs}
        return self.run({**_defaults(self.inputs), **named})

    def __getstate__(self) -> "dict[str, object]":
        # Without where it was declared: equal declarations are equal code, wherever their lines are.
        return {name: value for name, value in vars(self).items() if not name.startswith("__")}

    def __setstate__(self, state: "dict[str, object]") -> None:
        vars(self).update(state)
        self._stand_for_a_function(None)

    def _stand_for_a_function(self, author: "FrameType | None") -> None:
        signature = declared_function(self.name, self.inputs, _returned(self.outputs), self.module)
        if author is not None:
            # Problems with the types are reported at the author's line.
            signature.__code__ = signature.__code__.replace(
                co_filename=author.f_code.co_filename, co_firstlineno=author.f_lineno
            )
        self.__wrapped__ = signature
        self.__name__ = self.__qualname__ = self.name
        self.__module__ = self.module
        self.__doc__ = None


class DeclaredTask(Task):
    """A task whose name, inputs and outputs its author gives by themselves. The name is used as it is."""

    function: Declared

    def __init__(self, function: Declared, options: TaskOptions) -> None:
        """Record the task."""
        super().__init__(function, options._replace(output_names=tuple(function.outputs)))
        self.fixed_name = function.name

    def __setstate__(self, state: "dict[str, object]") -> None:
        super().__setstate__(state)
        self.fixed_name = self.function.name

    @property
    def name(self) -> str:
        """The name that it is registered with."""
        return self.function.name


class TemplateTask(DeclaredTask):
    """A task that is its template: no code of the author travels, and what runs it is named there."""

    def __init__(self, function: Declared, options: TaskOptions) -> None:
        """Record the task.

        Raises:
            UsageError: an option is given that only a task with code can have.
        """
        for option in ("container_image", "requirements", "enable_deck"):
            if getattr(options, option):
                raise UsageError(
                    f"{function.name}: a {function.noun} has no option {option}, because no Python code"
                    " of this SDK runs in it. Leave it out."
                )
        super().__init__(function, options)

    def container(self) -> "Container | None":
        """Return the container that runs it; `None` when a plugin of Flyte does."""
        return None


class NotHere(Declared):
    """Stands for a task that something else than Python runs."""

    def run(self, inputs: "dict[str, object]") -> object:
        """Refuse: no Python code is there to be called.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self.name} is a {self.noun}, which cannot be called in the body of a task."
            " Call it in a workflow. In a test, replace it by a function."
        )


def with_task_metadata(
    spelled: str, metadata: "TaskMetadata | None", given: "dict[str, object]"
) -> TaskOptions:
    """Return the options of a task whose author gives them as options, or as `metadata`.

    Raises:
        UsageError: one is unknown or has a value that it cannot have.
    """
    options = recorded_options(spelled, given)
    if metadata is None:
        return options
    if not hasattr(metadata, "given"):
        raise UsageError(f"metadata={metadata!r}: write metadata=TaskMetadata(retries=2).")
    named = options.pod_template_name or metadata.pod_template_name
    return with_metadata(options, metadata)._replace(pod_template_name=named)


def declared_function(name: str, inputs: Types, returns: object, module: str) -> FunctionType:
    """Return a function that has this interface and does nothing.

    Args:
        name: what it is called; only its last part, when that can be a function's name.
        inputs: the types of its parameters, which can be names of parameters.
        returns: what stands behind the arrow.
        module: the module that it says it is of.
    """
    short = name.rpartition(".")[2]
    short = short if short.isidentifier() and not keyword.iskeyword(short) else "entity"
    namespace: dict[str, object] = {"__name__": module}
    defaults = _defaults(inputs)
    # After a parameter with a default all others are given by name, as their order is the author's.
    first = next((at for at, each in enumerate(inputs) if each in defaults), len(inputs))
    names = [*inputs]
    parameters = [*names[:first], *(["*"] if defaults else []), *names[first:]]
    # A function's parameters are in its code object, and only compiling makes one. The names are checked.
    exec(f"def {short}({', '.join(parameters)}): ...", namespace)
    function = namespace[short]
    assert isinstance(function, FunctionType)
    function.__kwdefaults__ = defaults or None
    types = {each: type_of(given) for each, given in inputs.items()}
    function.__annotations__ = {**types, "return": returns}
    return function


def check_names(names: "Mapping[str, object]") -> None:
    """Check that each name can be the name of an input or output.

    Raises:
        UsageError: one cannot.
    """
    for each in names:
        if not isinstance(each, str) or not each.isidentifier() or keyword.iskeyword(each):
            raise UsageError(f"{each!r} is no name that an input or output can have.")


def _checked(name: str, what: str, given: "Types | None") -> "dict[str, object]":
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(f"{name}: {what}={given!r}: write {what}=kwtypes(x=int).")
    check_names(given)
    return dict(given)


def _returned(outputs: Types) -> object:
    types = tuple(outputs.values())
    if len(types) > 1:
        return GenericAlias(tuple, types)
    return types[0] if types else None


def _defaults(inputs: Types) -> "dict[str, object]":
    pairs = {each: given for each, given in inputs.items() if isinstance(given, tuple)}
    return {each: given[1] for each, given in pairs.items() if len(given) == 2}


def type_of(given: object) -> object:
    """Return the type of an input, which may be given as a pair with its default."""
    return given[0] if isinstance(given, tuple) and len(given) == 2 else given


def _author() -> FrameType:
    """Return the frame of the author's code, behind the constructors of ours."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    return frame


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == _OURS
