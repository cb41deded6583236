"""Secrets that a task asked for: where they are looked up, in a task and where it is launched."""

import os
from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_VARIABLE = "FLYTE_NB_SECRETS"
"""Names a person's file of lines `GROUP_KEY=value`, where tasks run or are launched."""
FOLDER_VARIABLE = "FLYTE_SECRETS_DEFAULT_DIR"
FILE_PREFIX_VARIABLE = "FLYTE_SECRETS_FILE_PREFIX"
PREFIX_VARIABLE = "FLYTE_SECRETS_ENV_PREFIX"
PREFIX = "_FSEC_"

_FOLDER = "/etc/secrets"


class Secrets:
    """The secrets that the task asked for, looked up as flytekit does.

    First the variable `_FSEC_<GROUP>_<VERSION>_<KEY>`, then the file `<folder>/<group>/<version>/<key>`;
    `FLYTE_SECRETS_ENV_PREFIX`, `…_DEFAULT_DIR` and `…_FILE_PREFIX` change where that is. On a person's
    own machine (`is_local`) the variable is also looked for without its prefix, and after the variables the
    file that `FLYTE_NB_SECRETS` names.
    """

    def __init__(self, env: "Mapping[str, str]", *, is_local: bool = False) -> None:
        self._env = env
        self._is_local = is_local

    def __getattr__(self, group: str) -> "SecretGroup":
        """Return a group, so that `secrets.group.key` is `secrets.get("group", "key")`, as in flytekit."""
        if group.startswith("_"):
            raise AttributeError(group)
        return SecretGroup(self, group)

    def get(self, group: str = "", key: str = "", group_version: str = "") -> str:
        """Return the secret's value.

        Raises:
            UsageError: it is nowhere, or the file of secrets cannot be read.
        """
        found = self.find(group, key, group_version)
        if found is not None:
            return found
        asked = f"@task(secret_requests=[Secret(group={group!r}, key={key!r})])"
        name = name_of(group, key, group_version)
        looked = [f"the variable {each}" for each in self._names(group, key, group_version)]
        if self._is_local and self._env.get(FILE_VARIABLE):
            looked.append(f"the file {self._env[FILE_VARIABLE]} (which {FILE_VARIABLE} names)")
        looked.append(f"the file {self.file(group, key, group_version)}")
        raise UsageError(
            f"There is no secret {group or '(no group)'}/{key}. Looked for {', '.join(looked)}."
            f" The task has to ask for it: {asked}. On the local backend the launching side gives it:"
            f" set {PREFIX}{name} there, or write {name}=… into a file that {FILE_VARIABLE} names,"
            " and launch again. On a cluster its administrator does."
        )

    def find(self, group: str = "", key: str = "", group_version: str = "") -> "str | None":
        """Return the secret's value, or `None` when it is nowhere.

        Raises:
            UsageError: no key is given, or the file of secrets cannot be read.
        """
        names = self._names(group, key, group_version)
        for name in names:
            if name in self._env:
                return self._env[name].strip()
        named = self._env.get(FILE_VARIABLE, "")
        if self._is_local and named:
            lines = read_file(named)
            for name in names:
                if name in lines:
                    return lines[name]
        try:
            with open(self.file(group, key, group_version), encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            return None

    def file(self, group: str = "", key: str = "", group_version: str = "") -> str:
        """Return the path at which the secret is mounted, if it is mounted as a file.

        Raises:
            UsageError: neither a group nor a key is given.
        """
        folder = self._env.get(FOLDER_VARIABLE, _FOLDER)
        return os.path.join(folder, *file_parts(group, key, group_version, self._env))

    def _names(self, group: str, key: str, group_version: str) -> "list[str]":
        prefix = self._env.get(PREFIX_VARIABLE, PREFIX)
        name = name_of(group, key, group_version)
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


def name_of(group: str, key: str, group_version: str) -> str:
    """Return the secret's name in variables, without a prefix: `GROUP_VERSION_KEY`."""
    return "_".join(part.upper() for part in (group, group_version, key) if part)


def file_parts(
    group: str, key: str, group_version: str, env: "Mapping[str, str]"
) -> "tuple[str, ...]":
    """Return the secret's place below the folder of secrets.

    Raises:
        UsageError: neither a group nor a key is given.
    """
    parts = [part.lower() for part in (group, group_version, key) if part]
    if not parts:
        raise UsageError("Say which secret: write secrets.get(group, key).")
    parts[-1] = env.get(FILE_PREFIX_VARIABLE, "") + parts[-1]
    return tuple(parts)


def read_file(path: str) -> "dict[str, str]":
    r"""Return the values in a file of lines `NAME=value`, by name in upper case.

    Empty lines and lines that begin with `#` are skipped; a line may begin with `export `. A value in
    quotes is the text between them, where `\n` in double quotes ends a line. Without quotes, a value ends
    before ` #`.

    Raises:
        UsageError: it cannot be read, or a line is of another form.
    """
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"The file of secrets {path} cannot be read: {error}.") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.removeprefix("export ").partition("=")
        if not equals or not name.strip():
            # Not the line itself: it may hold the secret.
            raise UsageError(f"{path}, line {number}: write NAME=value.")
        found[name.strip().upper()] = _value(value.strip())
    return found


def _value(text: str) -> str:
    quote = text[:1]
    if quote in ("'", '"'):
        end = text.rfind(quote)
        if end > 0:
            inner = text[1:end]
            return inner.replace("\\n", "\n").replace('\\"', '"') if quote == '"' else inner
    return text.partition(" #")[0].strip()
