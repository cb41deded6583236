"""`Echo`: a task that returns its input, which Flyte runs without a pod."""

from flyte_nb.sdk.declared import Declared, TemplateTask, Types, type_of
from flyte_nb.sdk.task import recorded_options


class _Inputs(Declared):
    noun = "echo task"

    def run(self, inputs: "dict[str, object]") -> object:
        """Return the inputs: nothing, the one that there is, or a tuple of all."""
        values = tuple(inputs[name] for name in self.inputs)
        return values if len(values) > 1 else values[0] if values else None


class Echo(TemplateTask):
    """A task that returns its inputs. Launched, it has at most one, because Flyte's echo plugin does.

    ```python
    same = Echo(name="same", inputs=kwtypes(x=int))
    ```
    """

    noun = "echo task"
    task_type = "echo"

    def __init__(self, name: str, inputs: "Types | None" = None, **options: object) -> None:
        """Record the task.

        Args:
            name: the name that it is registered with.
            inputs: the types of its inputs; its outputs have these types, and the names o0, o1, ….
            **options: those of `@task`.

        Raises:
            UsageError: something has a value that it cannot have.
        """
        types = map(type_of, (inputs or {}).values())
        outputs = {f"o{index}": type_ for index, type_ in enumerate(types)}
        super().__init__(_Inputs(name, inputs, outputs), recorded_options("Echo", options))
