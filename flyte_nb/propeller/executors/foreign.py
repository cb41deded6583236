"""Decide how a task of another SDK is run here: its command as it is, or a supervisor around it.

A supervisor is needed for an image, and for inputs and outputs as files. It costs a start of Python, so
a command that needs neither is started as it is.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from flyteidl.core.tasks_pb2 import DataLoadingConfig

from flyte_nb.propeller.executors.attempt_folder import AttemptFolder
from flyte_nb.propeller.foreign import __main__ as supervisor_script
from flyte_nb.propeller.foreign.containers import (
    Program,
    bad_specification,
    expanded,
    no_command,
)
from flyte_nb.propeller.foreign.engines import has_engine
from flyte_nb.propeller.foreign.job import AUTO, CONTAINERS_VARIABLE, Job, dumps, is_off
from flyte_nb.propeller.foreign.runnable import why_not_here
from flyte_nb.propeller.foreign.supervisor import seen_paths
from flyte_nb.propeller.foreign.templates import fill
from flyte_nb.propeller.ports import Attempt
from flyte_nb.runtime.variables import is_of_the_person

_JOB = "job.json"


class Access(NamedTuple):
    """What tasks of other SDKs need to reach the backend and its objects."""

    config: str = ""
    """The path of a configuration of flytekit's and flytectl's; empty for none."""
    mounts: "tuple[str, ...]" = ()
    """Files and folders of the backend that a container has to see."""


def foreign_words(
    program: Program,
    attempt: Attempt,
    folder: AttemptFolder,
    environ: "Mapping[str, str]",
    access: Access,
) -> "list[str]":
    """Return the command to start: the task's own, or that of a supervisor, whose job is written.

    Args:
        program: What the task runs.
        attempt: The attempt.
        folder: Its folder.
        environ: All of its variables.
        access: What a container has to see beside the attempt's own files.

    Raises:
        TaskFailed: when the command cannot be filled in, or there is none.
        OSError: when the job cannot be written.
    """
    why_not = why_not_here(attempt.task)
    if why_not:
        # A dynamic task made it, so nobody could refuse the launch.
        raise bad_specification(why_not)
    if program.left_out:
        with folder.log.open("a", encoding="utf-8") as log:
            log.write(f"This machine does not run or mount: {'; '.join(program.left_out)}.\n")
    own = {**attempt.envs, **dict(program.env)}
    setting = environ.get(CONTAINERS_VARIABLE, "").strip() or AUTO
    may_run_image = bool(program.image) and not is_off(setting)
    # A named engine that is not there is an error, which the supervisor reports.
    may_run_image = may_run_image and (setting != AUTO or has_engine(setting, environ))
    words = expanded(fill([*program.command, *program.args], attempt), own)
    if not may_run_image and not words:
        raise no_command(attempt.task_id.name)
    if program.data is None and not may_run_image:
        return words
    job = Job(
        task=attempt.task_id.name,
        name=_container_name(folder),
        words=words,
        entrypoint=words[: len(program.command)],
        args=words[len(program.command) :],
        image=program.image,
        folder=program.folder,
        limits=dict(program.limits),
        input_uri=attempt.input_uri,
        output_prefix=attempt.output_prefix,
        raw_prefix=attempt.raw_output_prefix,
        interface=attempt.task.interface.SerializeToString().hex(),
        scratch=str(folder.work),
        mounts=[*access.mounts, *([str(folder.secrets)] if folder.secrets.exists() else [])],
        variables=_variables_of_image(environ, own),
        path=[os.path.abspath(part) for part in sys.path],
    )
    if program.data is not None:
        job = _with_files(job, program, program.data, attempt)
    path = folder.path / _JOB
    path.write_text(dumps(job), encoding="utf-8")
    return [sys.executable, "-I", str(Path(supervisor_script.__file__)), str(path)]


def _with_files(job: Job, program: Program, config: DataLoadingConfig, attempt: Attempt) -> Job:
    """Return the job with what a process of this machine runs, with this machine's folders in it."""
    inputs, outputs = seen_paths(config)
    folders = {inputs.rstrip("/"): f"{job.scratch}/inputs"}
    folders[outputs.rstrip("/")] = f"{job.scratch}/outputs"
    # Before the templates are filled in: what an input contains is data, and stays as it is.
    words = [_moved(word, folders) for word in (*program.command, *program.args)]
    env = {name: _moved(value, folders) for name, value in program.env}
    return job._replace(
        words=expanded(fill(words, attempt), {**attempt.envs, **env}),
        env={name: value for name, value in env.items() if value != dict(program.env)[name]},
        data=config.SerializeToString().hex(),
    )


def _moved(word: str, folders: "Mapping[str, str]") -> str:
    """Return the word with each of the folders replaced where it stands as a whole path."""
    # The longer path first: one may be inside the other.
    for path in sorted(folders, key=len, reverse=True):
        if path:
            pattern = rf"(?<![\w./-]){re.escape(path)}(?![\w.-])"
            word = re.sub(pattern, folders[path].replace("\\", r"\\"), word)
    return word


def _container_name(folder: AttemptFolder) -> str:
    """Return a name that no other attempt of this machine has, and that engines accept."""
    return "flyte-nb" + re.sub(r"[^a-zA-Z0-9_.-]+", "-", folder.tag)[-180:]


def _variables_of_image(environ: "Mapping[str, str]", own: "Mapping[str, str]") -> "list[str]":
    """Return the names of the variables that an image gets: not this machine's paths and person."""
    return sorted(name for name in environ if name in own or not is_of_the_person(name))
