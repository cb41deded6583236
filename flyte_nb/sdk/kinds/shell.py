"""`ShellTask`: a shell script, with inputs filled in, whose outputs are files and folders."""

import datetime
import os
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flyte_nb.api.errors import RecoverableError, UsageError
from flyte_nb.sdk.declared import Declared, DeclaredTask, Types, with_task_metadata
from flyte_nb.sdk.execution_context import current_context
from flyte_nb.types.files import FlyteDirectory, FlyteFile

if TYPE_CHECKING:
    from flyte_nb.sdk.options import TaskMetadata

_RULE = "\n==============================================\n"


class _Value:
    """A value that is compared and shown by its attributes."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({shown})"


class ProcessResult(_Value):
    """How a command ended, and what it printed."""

    def __init__(self, returncode: int, output: str, error: str) -> None:
        """Note them."""
        self.returncode = returncode
        self.output = output
        self.error = error


class OutputLocation(_Value):
    """Where a script leaves an output: a file or folder."""

    def __init__(self, var: str, var_type: type, location: "str | os.PathLike[str]") -> None:
        """Note the place.

        Args:
            var: the name of the output.
            var_type: `FlyteFile` or `FlyteDirectory`, also one of a format.
            location: its path; `{inputs.x}` in it stands for an input.
        """
        self.var = var
        self.var_type = var_type
        self.location = location


class Script(Declared):
    """Runs a script: fills in its inputs, starts the shell, and returns what it left."""

    noun = "shell task"

    def __init__(
        self,
        name: str,
        inputs: "Types | None",
        locations: "Sequence[OutputLocation]",
        script: str,
        shell: str,
        debug: bool,
    ) -> None:
        """Note what is run."""
        super().__init__(name, inputs, {each.var: each.var_type for each in locations})
        self.locations = tuple(locations)
        self.script = script
        self.shell = shell
        self.debug = debug

    def run(self, inputs: "dict[str, object]") -> object:
        """Return the files and folders that the script left.

        Raises:
            RecoverableError: it ended with another exit code than 0.
            ValueError: the script names something that is not there.
        """
        outputs = {each.var: filled_in(os.fspath(each.location), inputs) for each in self.locations}
        script = filled_in(self.script, self._shown(inputs), outputs)
        if self.debug:
            sys.stdout.write(f"{_RULE}\n{script}\n{_RULE}\n")
        self._start(script)
        made = [each.var_type(outputs[each.var]) for each in self.locations]
        return tuple(made) if len(made) > 1 else made[0] if made else None

    def _shown(self, inputs: "dict[str, object]") -> "dict[str, object]":
        """Return what `{inputs.x}` stands for."""
        return inputs

    def _start(self, script: str) -> None:
        done = _printed(script, self.shell)
        _RESULTS[self.name] = done
        if done.returncode == 0:
            return
        files = "\n-".join(sorted(os.listdir(".")))
        raise RecoverableError(
            f"The script of {self.name} ended with exit code {done.returncode}."
            f"\nIt printed:\n{done.output}\nand as errors:\n{done.error}"
            f"\nThe folder that it ran in has:\n-{files}"
        )


class RawScript(Script):
    """A script that sets variables, given as the input `env`, and then runs a script given as an input."""

    def _shown(self, inputs: "dict[str, object]") -> "dict[str, object]":
        variables = inputs.get("env")
        if not isinstance(variables, Mapping):
            return inputs
        lines = [f"export {name}={value}" for name, value in variables.items()]
        return {**inputs, "export_env": "\n".join(lines)}

    def _start(self, script: str) -> None:
        subprocess.run(script, shell=True, check=True)


_RESULTS: dict[str, ProcessResult] = {}
"""How the last run of each script in this process ended, by the task's name."""


class ShellTask(DeclaredTask):
    """A task that runs a shell script.

    ```python
    count = ShellTask(
        name="count",
        script="wc -l {inputs.text} > {outputs.lines}",
        inputs=kwtypes(text=FlyteFile),
        output_locs=[OutputLocation("lines", FlyteFile, "lines.txt")],
    )
    ```

    In the script `{inputs.x}` stands for an input (of a file for its local path), `{outputs.y}` for the path
    of an output, and `{ctx.…}` for what `current_context()` has. A brace of the shell is written twice.
    """

    noun = "shell task"
    function: Script
    _script_class: "type[Script]" = Script

    def __init__(
        self,
        name: str,
        debug: bool = False,
        script: "str | None" = None,
        script_file: "str | os.PathLike[str] | None" = None,
        task_config: None = None,
        shell: str = "/bin/sh",
        inputs: "Types | None" = None,
        output_locs: "Sequence[OutputLocation] | None" = None,
        metadata: "TaskMetadata | None" = None,
        **options: object,
    ) -> None:
        """Record the task.

        Args:
            name: the name that it is registered with.
            debug: whether it prints the script that it runs.
            script: the script.
            script_file: the path of a file with the script, which is read now and travels with the task.
            task_config: none; flytekit takes the configuration of a pod here.
            shell: what runs the script.
            inputs: the types of the inputs.
            output_locs: the outputs, and where the script leaves them.
            metadata: `retries`, `cache` and the like, in place of options.
            **options: those of `@task`.

        Raises:
            UsageError: something has a value that it cannot have.
        """
        if task_config is not None:
            raise UsageError(
                f"{name}: task_config={task_config!r}: a shell task has none."
                " Write requests=, limits= or pod_template_name=."
            )
        recorded = with_task_metadata(type(self).__name__, metadata, options)
        text = _read(name, script, script_file)
        locations = _locations(name, output_locs)
        super().__init__(self._script_class(name, inputs, locations, text, shell, debug), recorded)
        self._script_file = None if script_file is None else os.path.abspath(script_file)

    def __setstate__(self, state: "dict[str, object]") -> None:
        super().__setstate__(state)
        self._script_file = None

    @property
    def script(self) -> str:
        """The script, before anything is filled in."""
        return self.function.script

    @property
    def script_file(self) -> "str | None":
        """The path of the file that the script was read from, if there is one."""
        return self._script_file

    @property
    def result(self) -> "ProcessResult | None":
        """How the last run of it in this process ended; `None` before the first."""
        return _RESULTS.get(self.name)


class RawShellTask(ShellTask):
    """A shell task whose input `env`, a dict, is there as `{inputs.export_env}`: lines that set variables."""

    _script_class = RawScript

    def make_export_string_from_env_dict(self, d: "Mapping[str, str]") -> str:
        """Return the lines that set these variables."""
        return "\n".join(f"export {name}={value}" for name, value in d.items())


def get_raw_shell_task(name: str) -> RawShellTask:
    """Return a task that runs a script which is an input, with variables and arguments that are inputs.

    Its inputs are `env` (a dict), `script_args` and `script_file`; its output `out` is the attempt's folder.

    Raises:
        UsageError: the name is no text.
    """
    return RawShellTask(
        name=name,
        debug=True,
        inputs={"env": dict[str, str], "script_args": str, "script_file": str},
        output_locs=[OutputLocation("out", FlyteDirectory, "{ctx.working_directory}")],
        script=_RAW_SCRIPT,
    )


_RAW_SCRIPT = """
#!/bin/bash

set -uex

cd {ctx.working_directory}

{inputs.export_env}

bash {inputs.script_file} {inputs.script_args}
"""


class _Names:
    """Values by attribute, for `{inputs.x}`."""

    def __init__(self, what: str, values: "Mapping[str, object]") -> None:
        self._what = what
        self._values = values

    def __getattr__(self, name: str) -> object:
        values: Mapping[str, object] = vars(self)["_values"]
        try:
            return values[name]
        except KeyError:
            known = ", ".join(values) or "none"
            raise ValueError(
                f"The script names {{{self._what}.{name}}}; its {self._what} are: {known}."
            ) from None

    def __getitem__(self, name: str) -> object:
        return getattr(self, name)


class _Formatter(string.Formatter):
    def format_field(self, value: object, format_spec: str) -> str:
        if isinstance(value, datetime.datetime):
            return value.isoformat()
        if isinstance(value, (FlyteFile, FlyteDirectory)):
            # It may be in a store: the script gets the path of a copy on this machine.
            return os.fspath(value.download())
        return str(super().format_field(value, format_spec))


def filled_in(
    template: str, inputs: "Mapping[str, object]", outputs: "Mapping[str, object] | None" = None
) -> str:
    """Return the text with `{inputs.x}`, `{outputs.y}` and `{ctx.…}` replaced.

    Raises:
        ValueError: it names something that is not there, or its braces do not match.
    """
    names: dict[str, object] = {
        "inputs": _Names("inputs", inputs),
        "outputs": _Names("outputs", outputs or {}),
        "ctx": current_context(),
    }
    try:
        return _Formatter().vformat(template, (), names)
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(
            f"The script names {error}, which is neither inputs, outputs nor ctx. A brace that is the"
            " shell's own is written twice: ${{HOME}}."
        ) from None


def subproc_execute(command: "Sequence[str] | str", **options: object) -> ProcessResult:
    """Run a command in the code of a task; return what it printed.

    Args:
        command: its words.
        **options: those of `subprocess.run`.

    Raises:
        RuntimeError: it cannot be found, or ends with another exit code than 0.
    """
    usual: dict[str, object] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "check": True,
    }
    run: object = subprocess.run
    assert callable(run)
    try:
        done = run(command, **{**usual, **options})
    except subprocess.CalledProcessError as error:
        raise RuntimeError(
            f"The command {error.cmd} ended with exit code {error.returncode}:\n{error.stderr}"
        ) from error
    except FileNotFoundError as error:
        raise RuntimeError(
            f"The command {command!r} is not on this machine: {error}. Where the task runs in an image,"
            " write container_image= with one that has it."
        ) from error
    return ProcessResult(done.returncode, done.stdout, done.stderr)


def _printed(script: str, shell: str) -> ProcessResult:
    """Run the script to its end, and print what it printed."""
    child = subprocess.Popen(
        script,
        shell=True,
        executable=shell,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, error = child.communicate()
    lines = output.splitlines()
    for line in lines:
        sys.stdout.write(f"{line}\n")
    return ProcessResult(child.returncode, "".join(lines), error)


def _read(name: str, script: "str | None", file: "str | os.PathLike[str] | None") -> str:
    if script and file:
        raise UsageError(f"{name} has a script and a script_file. Give one of them.")
    if script:
        return script
    if not file:
        raise UsageError(f"{name} has no script. Write script= or script_file=.")
    try:
        with open(file, encoding="utf-8") as source:
            return source.read()
    except OSError as error:
        raise UsageError(f"{name}: the file {os.fspath(file)} cannot be read: {error}.") from error


def _locations(name: str, given: "Sequence[OutputLocation] | None") -> "tuple[OutputLocation, ...]":
    for each in given or ():
        if not isinstance(each, OutputLocation):
            raise UsageError(
                f"{name}: output_locs has {each!r}: write OutputLocation(var=, var_type=, location=)."
            )
        if not isinstance(each.location, (str, os.PathLike)):
            raise UsageError(f"{name}: the output {each.var} has no location. Write a path.")
        kinds = (FlyteFile, FlyteDirectory)
        if not isinstance(each.var_type, type) or not issubclass(each.var_type, kinds):
            raise UsageError(
                f"{name}: the output {each.var} is of {each.var_type!r}, and a script leaves files."
                " Write FlyteFile or FlyteDirectory."
            )
    return tuple(given or ())
