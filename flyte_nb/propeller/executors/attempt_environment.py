"""The environment of an attempt's process: base variables, whose Python, what was asked for, secrets.

From the first to the last, the later over the earlier:

1. the base of the installation that registered the task, else of this process (`runtime.variables`);
2. how stores and indexes are reached: of who launched, else of this process;
3. this process's settings for attempts;
4. the task's own variables; the launch's, where the task has none of that name;
5. the secrets that the task asks for.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.core.security_pb2 import Secret

from flyte_nb.api.errors import TaskFailed
from flyte_nb.propeller.executors.attempt_folder import TAG, AttemptFolder
from flyte_nb.propeller.ports import Attempt, Surroundings
from flyte_nb.runtime.installations import Installation
from flyte_nb.runtime.spawn import FOLDERS_VARIABLE, PYTHON_VARIABLE
from flyte_nb.runtime.variables import base_of, lent_by, settings_of
from flyte_nb.sdk.secrets import (
    FOLDER_VARIABLE,
    PREFIX,
    PREFIX_VARIABLE,
    file_parts,
    name_of,
)


class Environ(NamedTuple):
    """The variables of one attempt."""

    common: dict[str, str]
    """What all attempts at the task have that were registered and launched from the same places."""
    own: dict[str, str]
    """What this one has beside and over them."""


class AttemptEnvironment:
    """Makes the variables of attempts out of this process's own, which are read once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._base = base_of(environ)
        self._lent = lent_by(environ)
        self._settings = settings_of(environ)

    def of_host(self) -> dict[str, str]:
        """Return the variables of a process that serves attempts of everybody."""
        return {"PATH": os.defpath, **self._base, **self._lent, **self._settings}

    def of(
        self, attempt: Attempt, surroundings: Surroundings, folder: AttemptFolder, runs_worker: bool
    ) -> Environ:
        """Return the variables of `attempt`; writes the secrets that it reads as files.

        Raises:
            OSError: when a secret cannot be written.
        """
        installation = surroundings.installation
        fixed = {pair.key: pair.value for pair in attempt.task.container.env}
        common = {
            "PYTHONUNBUFFERED": "1",  # so that the log can be followed
            "PATH": os.defpath,
            **(self._base if installation is None else installation.base()),
            **(self._lent if surroundings.variables is None else surroundings.variables),
            **self._settings,
        }
        if installation is not None and runs_worker:
            common.update(installation.of_worker())
        common.update(fixed)
        if PYTHON_VARIABLE in fixed and FOLDERS_VARIABLE not in fixed:
            common.pop(FOLDERS_VARIABLE, None)  # of another interpreter
        own = {name: value for name, value in attempt.envs.items() if name not in fixed}
        for environ in (common, own):
            if "PATH" in environ:
                environ["PATH"] = _with_commands(environ["PATH"], installation)
        secrets = _secrets(attempt, surroundings.secrets, folder, {**common, **own})
        return Environ(common, {**own, **secrets, TAG: folder.tag})


def check_installation(installation: "Installation | None", attempt: Attempt) -> None:
    """Raise `TaskFailed` when the Python that registered the attempt's task is not there any more."""
    named = {pair.key for pair in attempt.task.container.env} | set(attempt.envs)
    if installation is None or PYTHON_VARIABLE in named:
        return
    problem = installation.problem(attempt.task_id.name)
    if problem is not None:
        raise TaskFailed(problem)


def remove_secrets(folder: AttemptFolder) -> None:
    """Remove the files of an attempt's secrets, after it has ended."""
    shutil.rmtree(folder.secrets, ignore_errors=True)


def _with_commands(path: str, installation: "Installation | None") -> str:
    """Commands that came with the interpreter and its packages (pyflyte-execute, …) are found first."""
    first = os.path.dirname(sys.executable) if installation is None else installation.commands
    rest = [folder for folder in path.split(os.pathsep) if folder != first]
    return os.pathsep.join([first, *rest])


def _secrets(
    attempt: Attempt,
    values: Mapping[str, str],
    folder: AttemptFolder,
    environ: Mapping[str, str],
) -> dict[str, str]:
    """The variables for the secrets that the task asks for, and for the folder of their files."""
    found = {}
    for secret in attempt.task.security_context.secrets:
        name = name_of(secret.group, secret.key, secret.group_version)
        if name not in values:
            continue  # the task's own `secrets.get` says what to do
        if secret.mount_requirement != Secret.FILE:
            found[environ.get(PREFIX_VARIABLE, PREFIX) + name] = values[name]
        if secret.mount_requirement != Secret.ENV_VAR:
            parts = file_parts(secret.group, secret.key, secret.group_version, environ)
            _write(folder, parts, values[name])
            found[FOLDER_VARIABLE] = str(folder.secrets)
    return found


def _write(folder: AttemptFolder, parts: tuple[str, ...], value: str) -> None:
    path = folder.secrets.joinpath(*parts)
    if not path.resolve().is_relative_to(folder.secrets.resolve()):
        return  # a group or key like `../..`, which no place for secrets has
    folder.secrets.mkdir(mode=0o700, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
