"""What a supervisor is given: one attempt's command, files and image, as a JSON file in its folder."""

import json
from typing import NamedTuple

CONTAINERS_VARIABLE = "FLYTE_NB_CONTAINERS"
"""Whether images are used: `auto` (where a container engine is), `off`, or the engine's name or path."""

CONFIG_VARIABLE = "FLYTECTL_CONFIG"
"""Tells flytekit and flytectl where a configuration is. `@eager` tasks of flytekit launch by it."""

AUTO = "auto"
_OFF = frozenset({"off", "0", "false", "no", "never", "none"})


class Job(NamedTuple):
    """One attempt. Every field is text, or a list or map of texts."""

    task: str
    """The task's name, for texts."""
    name: str
    """A name for the container, which no other attempt on this machine has."""
    words: "list[str]"
    """The command as a process of this machine runs it: with this machine's paths."""
    entrypoint: "list[str]"
    """The command as the image runs it; empty for the image's own."""
    args: "list[str]"
    image: str = ""
    folder: str = ""
    """The working folder inside of the image; empty for the image's own."""
    limits: "dict[str, str]" = {}  # noqa: RUF012 - nobody changes it
    input_uri: str = ""
    output_prefix: str = ""
    raw_prefix: str = ""
    data: str = ""
    """The `DataLoadingConfig` in hexadecimal digits; empty when the command reads values itself."""
    interface: str = ""
    """The `TypedInterface`, likewise."""
    scratch: str = ""
    """The attempt's own folder, below which inputs and outputs are put as files."""
    mounts: "list[str]" = []  # noqa: RUF012 - likewise
    """Files and folders of this machine that the image has to see at their own paths."""
    variables: "list[str]" = []  # noqa: RUF012 - likewise
    """The names of the variables that the image gets."""
    env: "dict[str, str]" = {}  # noqa: RUF012 - likewise
    """Variables that a process of this machine gets in place of the image's, because they name paths."""
    path: "list[str]" = []  # noqa: RUF012 - likewise
    """Where the supervisor finds its own packages: it starts isolated from the task's variables."""


def is_off(setting: str) -> bool:
    """Return whether the value of `FLYTE_NB_CONTAINERS` forbids images."""
    return setting.strip().lower() in _OFF


def dumps(job: Job) -> str:
    """Return the job as JSON. Inverse of `loads`."""
    return json.dumps(job._asdict())


def loads(text: str) -> Job:
    """Return the job in `text`."""
    return Job(**json.loads(text))
