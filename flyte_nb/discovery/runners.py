"""Find out which notebooks a program was asked to execute, from its command line."""

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".ipynb"

_PYTHON = re.compile(r"python[\d.]*w?(\.exe)?$", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class Asked(NamedTuple):
    """What a program was asked to execute."""

    program: str
    """What a person calls it: `nbconvert`, `jupyter execute`, `papermill`, or the program's name."""
    notebooks: "tuple[str, ...]"
    """Paths (absolute where the folder is known) or URLs, without what the program writes."""
    is_known: bool
    """Whether the program's options are known here. Otherwise it may use the notebooks for anything."""


def asked(arguments: "Sequence[str]", folder: "Path | None") -> "Asked | None":
    """Return what the program with these arguments executes; `None` when they name no notebook.

    Args:
        arguments: The command line, the program first.
        folder: The program's working directory.
    """
    program, rest = _program(arguments)
    base = folder or Path()
    if program == "papermill":
        found = _papermill(rest, base)
    elif program == "nbconvert":
        found = _matching(_positionals(rest, _NBCONVERT_FLAGS), base)
    elif program == "jupyter execute":
        names = _positionals(rest, _EXECUTE_FLAGS)
        found = [str(base / Path(name).with_suffix(SUFFIX)) for name in names]
    else:
        found = [str(base / word) for word in rest if word.endswith(SUFFIX)]
        found = [path for path in found if os.path.isfile(path)]
        return Asked(program, tuple(dict.fromkeys(found)), False) if found else None
    return Asked(program, tuple(dict.fromkeys(found)), True) if found else None


def _program(arguments: "Sequence[str]") -> "tuple[str, Sequence[str]]":
    """Return what a person calls the program, and the arguments that are its own."""
    rest = list(arguments)
    name = _bare(rest.pop(0)) if rest else ""
    # `python -m papermill`, `python /bin/papermill` and `papermill` are one program to a person.
    if _PYTHON.match(name):
        while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
            option = rest.pop(0)
            if option in ("-X", "-W") and rest:
                rest.pop(0)
        if rest[:1] == ["-m"]:
            rest.pop(0)
        elif rest[:1] == ["-c"]:
            return name, rest[2:]
        name = _bare(rest.pop(0)).removesuffix(".py") if rest else name
        name = name.removesuffix(".__main__")
    if name == "jupyter" and rest and not rest[0].startswith("-"):
        name = f"jupyter-{rest.pop(0)}"
    return _CALLED.get(name, name), rest


_CALLED = {
    "jupyter-nbconvert": "nbconvert",
    "jupyter-execute": "jupyter execute",
    "nbclient": "jupyter execute",
    "nbclient.cli": "jupyter execute",
    "papermill.cli": "papermill",
}


def _bare(program: str) -> str:
    name = re.split(r"[/\\]", program)[-1]
    return re.sub(r"(-script\.pyw?|\.exe)$", "", name, flags=re.IGNORECASE)


def _positionals(words: "Sequence[str]", flags: "frozenset[str]") -> "list[str]":
    """Return the arguments of a traitlets application that are no option and no option's value."""
    found: list[str] = []
    takes_value = False
    for index, word in enumerate(words):
        if word == "--":
            return [*found, *words[index + 1 :]]
        # traitlets: `--option value` and `--option=value`; a flag takes no value, and must be known as one.
        if takes_value and not word.startswith("-"):
            takes_value = False
        elif word.startswith("-") and word != "-":
            takes_value = "=" not in word and word.lstrip("-") not in flags
        else:
            takes_value = False
            found.append(word)
    return found


_JUPYTER_FLAGS = ("debug", "generate-config", "y", "show-config", "show-config-json", "h", "help")
_EXECUTE_FLAGS = frozenset((*_JUPYTER_FLAGS, "allow-errors", "inplace"))
_NBCONVERT_FLAGS = frozenset(
    (
        *_JUPYTER_FLAGS,
        *("execute", "allow-errors", "stdin", "stdout", "inplace", "clear-output"),
        *("coalesce-streams", "no-prompt", "no-input", "show-input", "embed-images"),
        *("allow-chromium-download", "disable-chromium-sandbox", "sanitize-html", "sanitize_html"),
    )
)


def _matching(patterns: "Iterable[str]", base: Path) -> "list[str]":
    """Return the files that nbconvert takes for its arguments: patterns, also without `.ipynb`."""
    found: list[str] = []
    for pattern in patterns:
        whole = str(base / pattern)
        names = glob.glob(whole, recursive=True) + glob.glob(whole + SUFFIX, recursive=True)
        found += [name for name in names if name.endswith(SUFFIX) and os.path.isfile(name)]
    return found


def _papermill(words: "Sequence[str]", base: Path) -> "list[str]":
    """Return papermill's input: its first argument. The second is what it writes."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [located(rest[0], base)] if rest else []
        if word.startswith("-") and word != "-":
            name, has_value, _ = word.partition("=")
            short = not name.startswith("--") and len(name) > 2
            taken = 0 if has_value else _PAPERMILL_VALUES.get(name[:2] if short else name, 0)
            if short and taken:  # `-pname` holds the first value itself
                taken -= 1
            del rest[:taken]
        elif word == "-" or "{" in word:
            return []  # read from stdin, or a name that papermill fills in
        else:
            return [located(word, base)]
    return []


_PAPERMILL_VALUES: "Mapping[str, int]" = {
    **dict.fromkeys(("-p", "--parameters", "-r", "--parameters_raw"), 2),
    **dict.fromkeys(("-f", "--parameters_file", "-y", "--parameters_yaml"), 1),
    **dict.fromkeys(("-b", "--parameters_base64", "-k", "--kernel", "-l", "--language"), 1),
    **dict.fromkeys(("--engine", "--autosave-cell-every", "--cwd", "--log-level"), 1),
    **dict.fromkeys(("--stdout-file", "--stderr-file", "--execution-timeout"), 1),
    **dict.fromkeys(("--start-timeout", "--start_timeout"), 1),
}
"""How many values follow each of papermill's options; those that are not here are switches."""


def located(path: str, base: Path) -> str:
    """Return the path below `base`; a URL stays as it is."""
    return path if _URL.match(path) else str(base / path)
