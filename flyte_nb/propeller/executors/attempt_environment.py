"""The environment of an attempt's process: base variables, the interpreter, what was asked for, and secrets.

A variable comes from the last of these that has it:

1. the base of the installation that registered the task, or of this process if none is known
(`runtime.variables`); 2. how stores and indexes are reached: from the launching side, or from this
process if it sent nothing; 3. this process's settings for attempts;
4. the launch's variables, and over them the task's own;
5. the secrets that the task asks for.

`docs/environments.md` says the same to users.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.core.security_pb2 import Secret

from flyte_nb.api.errors import TaskFailed
from flyte_nb.propeller.executors.attempt_folder import TAG, AttemptFolder
from flyte_nb.propeller.foreign.containers import variables_of
from flyte_nb.propeller.foreign.job import CONFIG_VARIABLE
from flyte_nb.propeller.ports import Attempt, Surroundings
from flyte_nb.runtime.installations import Installation
from flyte_nb.runtime.offloading import offloading_of_backend
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
    """Equal for all attempts whose task was registered, and whose execution was launched, from the same
    places.

    A zygote is kept for each such set: it already has these variables, so its forks need only their `own`.
    """
    own: dict[str, str]
    """What this attempt has beside `common`, and over it."""


class AttemptEnvironment:
    """Makes the variables of attempts. This process's own variables are read once, at the start."""

    def __init__(self, environ: Mapping[str, str], config: str = "") -> None:
        """Read this process's own variables.

        Args:
            environ: They.
            config: The configuration by which clients in tasks of other SDKs reach the backend.
        """
        self._config = config
        self._base = base_of(environ)
        self._lent = lent_by(environ)
        self._settings = settings_of(environ)
        limits = offloading_of_backend(environ)
        self._offloading = {} if limits is None else limits.variables()

    def of_host(self) -> dict[str, str]:
        """Return the variables of the warm host, which serves the attempts of everybody."""
        return {"PATH": os.defpath, **self._base, **self._lent, **self._settings}

    def of(
        self, attempt: Attempt, surroundings: Surroundings, folder: AttemptFolder, runs_worker: bool
    ) -> Environ:
        """Return the variables of `attempt`, and write the secrets that it reads as files.

        Args:
            attempt: The attempt.
            surroundings: What it gets from those who registered and launched it.
            folder: Where its secrets are written.
            runs_worker: Whether its command is `flyte-nb execute`, which starts a worker's interpreter.

        Raises:
            OSError: when a secret cannot be written.
        """
        installation = surroundings.installation
        fixed = variables_of(attempt.task)
        common = {
            "PYTHONUNBUFFERED": "1",  # so that the log can be followed
            "PATH": os.defpath,
            **(self._base if installation is None else installation.base()),
            **(self._lent if surroundings.variables is None else surroundings.variables),
            **self._settings,
            **self._offloading,
        }
        if not runs_worker and self._config:
            common[CONFIG_VARIABLE] = self._config
        if installation is not None and runs_worker:
            common.update(installation.of_worker())
        common.update(fixed)
        if PYTHON_VARIABLE in fixed and FOLDERS_VARIABLE not in fixed:
            # The task names its interpreter. The folders are another interpreter's, and its packages
            # may not even be importable here.
            common.pop(FOLDERS_VARIABLE, None)
        # What the task itself sets wins over what the launch sets.
        own = {name: value for name, value in attempt.envs.items() if name not in fixed}
        for environ in (common, own):
            if "PATH" in environ:
                environ["PATH"] = _with_commands(environ["PATH"], installation)
        secrets = _secrets(attempt, surroundings.secrets, folder, {**common, **own})
        return Environ(common, {**own, **secrets, TAG: folder.tag})


def check_installation(installation: "Installation | None", attempt: Attempt) -> None:
    """Check that the Python that registered the attempt's task still exists.

    Raises:
        TaskFailed: when it is gone or was replaced, and neither the task nor the launch names another.
    """
    named = {*variables_of(attempt.task), *attempt.envs}
    if installation is None or PYTHON_VARIABLE in named:
        return
    problem = installation.problem(attempt.task_id.name)
    if problem is not None:
        raise TaskFailed(problem)


def remove_secrets(folder: AttemptFolder) -> None:
    """Remove the files of an attempt's secrets, after it has ended."""
    shutil.rmtree(folder.secrets, ignore_errors=True)


def _with_commands(path: str, installation: "Installation | None") -> str:
    """Return the path with the commands of the interpreter and its packages (pyflyte-execute, …) first."""
    first = os.path.dirname(sys.executable) if installation is None else installation.commands
    rest = [folder for folder in path.split(os.pathsep) if folder != first]
    return os.pathsep.join([first, *rest])


def _secrets(
    attempt: Attempt,
    values: Mapping[str, str],
    folder: AttemptFolder,
    environ: Mapping[str, str],
) -> dict[str, str]:
    """Write the secrets that the task reads as files; return the variables of all that it asks for."""
    found = {}
    for secret in attempt.task.security_context.secrets:
        name = name_of(secret.group, secret.key, secret.group_version)
        if name not in values:
            continue  # the task may do without; if not, its `secrets.get` explains what is missing
        if secret.mount_requirement != Secret.FILE:
            found[environ.get(PREFIX_VARIABLE, PREFIX) + name] = values[name]
        if secret.mount_requirement != Secret.ENV_VAR:
            parts = file_parts(secret.group, secret.key, secret.group_version, environ)
            _write(folder, parts, values[name])
            found[FOLDER_VARIABLE] = str(folder.secrets)
    return found


def _write(folder: AttemptFolder, parts: tuple[str, ...], value: str) -> None:
    path = folder.secrets.joinpath(*parts)
    # A registered task is another person's text: a group like `../..` must not write outside of the folder.
    if not path.resolve().is_relative_to(folder.secrets.resolve()):
        return
    folder.secrets.mkdir(mode=0o700, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made anew with its mode, so that no moment passes in which others can read it.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
