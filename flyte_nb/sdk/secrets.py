"""The secrets of a task, as its code reads them: `current_context().secrets.get(group, key)`."""

import os
from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECRETS_FOLDER = "/etc/secrets"


class Secrets:
    """The secrets that the task asked for, looked up as flytekit does.

    First the variable `_FSEC_<GROUP>_<VERSION>_<KEY>`, then the file `<folder>/<group>/<version>/<key>`;
    `FLYTE_SECRETS_ENV_PREFIX`, `…_DEFAULT_DIR` and `…_FILE_PREFIX` change where that is. On a person's
    own machine (`is_local`) the variable counts without its prefix too.
    """

    def __init__(self, env: "Mapping[str, str]", *, is_local: bool = False) -> None:
        self._env = env
        self._is_local = is_local

    def __getattr__(self, group: str) -> "SecretGroup":
        """`secrets.group.key` is `secrets.get("group", "key")`, as flytekit spells it."""
        if group.startswith("_"):
            raise AttributeError(group)
        return SecretGroup(self, group)

    def get(self, group: str = "", key: str = "", group_version: str = "") -> str:
        """The secret's value.

        Raises:
            UsageError: when it is neither in the environment nor in a file.
        """
        names = self._names(group, key, group_version)
        for name in names:
            if name in self._env:
                return self._env[name].strip()
        path = self.file(group, key, group_version)
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            looked = " or ".join(f"the variable {name}" for name in names)
            raise UsageError(
                f"There is no secret {group or '(no group)'}/{key}: looked for {looked}, and for the"
                f" file {path}. Ask for it with"
                f" @task(secret_requests=[Secret(group={group!r}, key={key!r})])."
            ) from None

    def file(self, group: str = "", key: str = "", group_version: str = "") -> str:
        """The path where the secret is mounted, if it is mounted as a file."""
        folder = self._env.get("FLYTE_SECRETS_DEFAULT_DIR", _SECRETS_FOLDER)
        parts = [part.lower() for part in (group, group_version, key) if part]
        if not parts:
            raise UsageError("Say which secret: write secrets.get(group, key).")
        parts[-1] = self._env.get("FLYTE_SECRETS_FILE_PREFIX", "") + parts[-1]
        return os.path.join(folder, *parts)

    def _names(self, group: str, key: str, group_version: str) -> "list[str]":
        prefix = self._env.get("FLYTE_SECRETS_ENV_PREFIX", "_FSEC_")
        name = "_".join(part.upper() for part in (group, group_version, key) if part)
        if self._is_local:
            return [prefix + name, name]
        return [prefix + name]


class SecretGroup:
    """The secrets of one group by their keys."""

    def __init__(self, secrets: Secrets, group: str) -> None:
        self._secrets = secrets
        self._group = group

    def __getattr__(self, key: str) -> str:
        if key.startswith("_"):
            raise AttributeError(key)
        return self._secrets.get(self._group, key)
