"""Read a task's locked requirements as they travel: pinned, with hashes, without what varies.

The format is that of `uv pip compile --generate-hashes` (and pip-tools'): a requirements.txt in which
every package has one version and the hashes of its files. Comments stay behind, so that equal locks
have equal bytes.
"""

from collections.abc import Sequence
from pathlib import Path

from flyte_nb.api.errors import BundleError
from flyte_nb.api.folders import working_folder

_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "-i", "-f")
_ADVICE = "uv pip compile --generate-hashes requirements.in -o {name}"


def read_lock(name: str, task_name: str, roots: "Sequence[str | Path]") -> bytes:
    """The lock that a task names, in its canonical form.

    Args:
        name: its path, from one of `roots` or from the working folder.
        task_name: the task, as messages spell it.
        roots: the folders of the author's own files, usually the notebook's.

    Raises:
        BundleError: when it is not there, or does not pin every package by version and hash.
    """
    places = [Path(root, name) for root in (*roots, working_folder())]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise _refused(name, task_name, f"is not there (looked for {places[0]})")
    lines = _lines(path.read_text("utf-8"))
    for line in lines:
        if line.startswith("-"):
            if line.partition("=")[0].split()[0] not in _OPTIONS:
                raise _refused(name, task_name, f"has {line.split()[0]!r}, which no lock has")
        elif "--hash=" not in line or ("==" not in line and " @ " not in line):
            raise _refused(name, task_name, f"does not pin {line.split()[0]!r} by version and hash")
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


def _lines(text: str) -> "list[str]":
    joined = text.replace("\\\n", " ").splitlines()
    plain = (" ".join(_without_comment(line).split()) for line in joined)
    return [line for line in plain if line]


def _without_comment(line: str) -> str:
    return "" if line.lstrip().startswith("#") else line.partition(" #")[0]


def _refused(name: str, task_name: str, why: str) -> BundleError:
    return BundleError(
        f"The lock {name!r} of {task_name} {why}.",
        hint=f"Make it with: {_ADVICE.format(name=name)}",
    )
