"""`ContainerTask`: a command in an image. Its inputs and outputs are files."""

from collections.abc import Sequence
from enum import Enum

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import Container, DataLoading
from flyte_nb.sdk.declared import NotHere, TemplateTask, Types, with_task_metadata
from flyte_nb.sdk.options import TaskMetadata


class _Command(NotHere):
    noun = "container task"


class ContainerTask(TemplateTask):
    """A task that runs a command in an image, in any language.

    Its inputs are files in `input_data_dir`, and it writes each output to a file of that name in
    `output_data_dir`. `{{.inputs.x}}` in the command stands for the value of an input.

    ```python
    area = ContainerTask(
        name="area",
        image="alpine:3.20",
        command=["sh", "-c", "echo {{.inputs.side}} > /var/outputs/area"],
        inputs=kwtypes(side=float),
        outputs=kwtypes(area=float),
        input_data_dir="/var/inputs",
        output_data_dir="/var/outputs",
    )
    ```
    """

    noun = "container task"
    task_type = "raw-container"

    class MetadataFormat(Enum):
        """How the file with all inputs is written."""

        JSON = "json"
        YAML = "yaml"
        PROTO = "proto"

    class IOStrategy(Enum):
        """When inputs are fetched, or when outputs are stored. What is not given stays as usual."""

        DOWNLOAD_EAGER = "download_eager"
        DOWNLOAD_STREAM = "download_stream"
        DO_NOT_DOWNLOAD = "do_not_download"
        UPLOAD_EAGER = "upload_eager"
        UPLOAD_ON_EXIT = "upload_on_exit"
        DO_NOT_UPLOAD = "do_not_upload"

    def __init__(
        self,
        name: str,
        image: str,
        command: "Sequence[str]",
        inputs: "Types | None" = None,
        metadata: "TaskMetadata | None" = None,
        arguments: "Sequence[str] | None" = None,
        outputs: "Types | None" = None,
        *,
        input_data_dir: "str | None" = None,
        output_data_dir: "str | None" = None,
        metadata_format: MetadataFormat = MetadataFormat.JSON,
        io_strategy: "IOStrategy | None" = None,
        local_logs: bool = False,
        **options: object,
    ) -> None:
        """Record the task. Nothing runs.

        Args:
            name: the name that it is registered with.
            image: the image.
            command: takes the place of the image's entry point.
            inputs: the types of the inputs, e.g. `kwtypes(x=int)`.
            metadata: `retries`, `cache` and the like, in place of options.
            arguments: what follows the command.
            outputs: the types of the outputs.
            input_data_dir: the folder in which the command finds its inputs.
            output_data_dir: the folder to which it writes its outputs.
            metadata_format: how the file with all inputs is written.
            io_strategy: when files are fetched or stored; for a cluster.
            local_logs: whether a local run prints what the command prints.
            **options: those of `@task`, e.g. `requests`, `environment`, `secret_requests`.

        Raises:
            UsageError: something has a value that it cannot have.
        """
        if not isinstance(image, str) or not image:
            raise UsageError(f"{name}: image={image!r}: write the name of an image.")
        recorded = with_task_metadata("ContainerTask", metadata, options)
        super().__init__(_Command(name, inputs, outputs), recorded)
        self.image = image
        self.command = _words("command", command)
        self.arguments = _words("arguments", arguments)
        self.local_logs = local_logs
        self._data = DataLoading(
            input_path=_folder("input_data_dir", input_data_dir),
            output_path=_folder("output_data_dir", output_data_dir),
            format=_member("metadata_format", metadata_format, self.MetadataFormat),
            io_strategy=""
            if io_strategy is None
            else _member("io_strategy", io_strategy, self.IOStrategy),
        )

    def __getstate__(self) -> "dict[str, object]":
        kept = ("image", "command", "arguments", "local_logs", "_data")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in kept}}

    def __setstate__(self, state: "dict[str, object]") -> None:
        super().__setstate__(state)
        vars(self).update({k: v for k, v in state.items() if k not in ("function", "options")})

    def container(self) -> Container:
        """Return the container that runs it."""
        options = self.options
        return Container(
            image=self.image,
            args=self.arguments,
            command=self.command,
            env=options.environment,
            requests=options.requests,
            limits=options.limits,
            data=self._data,
        )


def _words(option: str, given: "Sequence[str] | None") -> "tuple[str, ...]":
    if given is None:
        return ()
    if isinstance(given, str) or not all(isinstance(word, str) for word in given):
        raise UsageError(f"{option}={given!r}: write a list of texts, e.g. ['sh', '-c', 'ls'].")
    return tuple(given)


def _folder(option: str, given: "str | None") -> str:
    if given is not None and not isinstance(given, str):
        raise UsageError(f"{option}={given!r}: write the path of a folder in the container.")
    return given or ""


def _member(option: str, given: object, kind: "type[Enum]") -> str:
    if not isinstance(given, kind):
        known = ", ".join(f"ContainerTask.{kind.__name__}.{each.name}" for each in kind)
        raise UsageError(f"{option}={given!r}: write one of {known}.")
    return str(given.value)
