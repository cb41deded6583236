"""Run a task's image by podman or docker: find the engine, get the image, run it, see that it ends.

The command line is the same for both. A container is not a child of the engine's client, so killing
the client does not end it. A small process waits for the supervisor's end, however that comes, and
removes the container.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

from flyte_nb.compiler.quantities import amount
from flyte_nb.propeller.foreign.job import AUTO, Job
from flyte_nb.runtime.variables import is_of_a_run

_NAMES = ("podman", "docker")
_ASK_S = 20.0
"""How long an engine may take to say that it is there. A daemon that hangs counts as none."""
_REMOVE = 'read _ <&0; exec "$1" rm --force "$2" >/dev/null 2>&1'
NOT_RUN = 125
"""The exit code with which an engine says that it could not run the container at all."""
_GPU = "nvidia.com/gpu"


class Engine(NamedTuple):
    """A container engine that answers."""

    path: str

    @property
    def is_podman(self) -> bool:
        """Return whether it is podman, whose options for users differ."""
        return os.path.basename(self.path).startswith("podman")

    def has(self, image: str) -> bool:
        """Return whether the image is on this machine, after getting it where that is possible.

        What the engine says while it gets the image goes to the attempt's log.
        """
        known = [self.path, "image", "inspect", image]
        if _quiet(known) == 0:
            return True
        say(f"The image {image} is not on this machine; pulling it.")
        return subprocess.run([self.path, "pull", image], check=False).returncode == 0

    def words(self, job: Job, volumes: "Mapping[str, str]") -> "list[str]":
        """Return the command that runs the job's image in the foreground.

        Args:
            job: The attempt.
            volumes: Folders of this machine by the paths at which the container has them.
        """
        # The host's network: a client in the task reaches the backend on loopback.
        words = [self.path, "run", "--name", job.name, "--network", "host"]
        if self.is_podman:
            words += ["--userns", "keep-id", "--security-opt", "label=disable"]
        # What the container writes into mounted folders has to belong to this person.
        words += ["--user", f"{os.getuid()}:{os.getgid()}"]
        for target, source in volumes.items():
            words += ["--volume", f"{source}:{target}"]
        for mount in job.mounts:
            words += ["--volume", f"{mount}:{mount}"]
        for variable in job.variables:
            # By name: a value in the command line could be read by every user of this machine.
            words += ["--env", variable]
        if job.folder:
            words += ["--workdir", job.folder]
        words += _limits(job.limits)
        if job.entrypoint:
            words += ["--entrypoint", job.entrypoint[0]]
        return [*words, job.image, *job.entrypoint[1:], *job.args]

    def removed_at_end(self, name: str) -> int:
        """Start the process that removes the container once this one has ended; return a descriptor.

        The removal begins when the descriptor is closed, at the latest by the end of this process. The
        other process keeps the attempt's lock until then: while the container lives, the attempt does.
        """
        reading, writing = os.pipe()
        subprocess.Popen(
            ["/bin/sh", "-c", _REMOVE, "sh", self.path, name],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # it must outlive the signals that end the attempt's group
            close_fds=False,
            # Without the variable that marks the attempt's processes, by which they are found and killed.
            env={name: text for name, text in os.environ.items() if not is_of_a_run(name)},
        )
        os.close(reading)
        return writing

    def remove(self, name: str) -> None:
        """Remove the container of that name, if there is one."""
        _quiet([self.path, "rm", "--force", name])

    def ran_out_of_memory(self, name: str) -> bool:
        """Return whether the container was killed because it went over its memory limit."""
        words = [self.path, "inspect", "--format", "{{.State.OOMKilled}}", name]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        return done.stdout.strip() == "true"


def say(text: str) -> None:
    """Write a line to the attempt's log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def find_engine(setting: str, environ: "Mapping[str, str]") -> "Engine | str":
    """Return the engine to use; a sentence that says why there is none.

    Args:
        setting: `auto`, or the engine's name or path.
        environ: The variables that tell where commands are.
    """
    names = _NAMES if setting == AUTO else (setting,)
    silent = []
    for name in names:
        path = shutil.which(name, path=environ.get("PATH"))
        if path is None:
            continue
        if _quiet([path, "version"]) == 0:
            return Engine(path)
        silent.append(name)
    if silent:
        return f"{' and '.join(silent)} does not answer: start it, and images are used."
    if setting == AUTO:
        return "No container engine (podman, docker) was found, so images are not used."
    return f"The container engine {setting} was not found."


def has_engine(setting: str, environ: "Mapping[str, str]") -> bool:
    """Return whether there may be an engine, without asking it."""
    names = _NAMES if setting == AUTO else (setting,)
    return any(shutil.which(name, path=environ.get("PATH")) for name in names)


def _quiet(words: "list[str]") -> int:
    try:
        done = subprocess.run(
            words,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_ASK_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 1
    return done.returncode


def _limits(limits: "Mapping[str, str]") -> "list[str]":
    """Return the options for what the task may use; what an engine cannot limit is left out."""
    words = []
    cpu, memory = amount(limits.get("cpu", "")), amount(limits.get("memory", ""))
    if cpu:
        words += ["--cpus", f"{cpu.normalize():f}"]
    if memory:
        # In bytes: an engine takes Kubernetes' Gi for G, and G for Gi.
        words += ["--memory", str(int(memory))]
    if limits.get(_GPU, "0") != "0":
        words += ["--gpus", limits[_GPU]]
    return words
