"""Read a task's locked requirements in their canonical form: sorted, and without comments.

The format is that of `uv pip compile --generate-hashes` (and pip-tools'): a requirements.txt in which
every package has one version and the hashes of its files. Comments say how and where the lock was made.
They do not travel, so that equal locks have equal bytes.
"""

from collections.abc import Sequence
from pathlib import Path

from flyte_nb.api.errors import BundleError
from flyte_nb.api.folders import working_folder

_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "-i", "-f")
_ADVICE = "uv pip compile --generate-hashes requirements.in -o {name}"


def read_lock(name: str, task_name: str, roots: "Sequence[str | Path]") -> bytes:
    """Return the lock that a task names, in its canonical form.

    Args:
        name: the lock's path, relative to one of `roots` or to the working folder.
        task_name: the task, as messages spell it.
        roots: the folders of the author's own files, usually the notebook's folder.

    Raises:
        BundleError: when there is no such file, or it does not pin every package by version and hash.
    """
    places = [Path(root, name) for root in (*roots, working_folder())]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        looked_for = " and ".join(dict.fromkeys(str(place) for place in places))
        raise _refused(name, task_name, f"does not exist (looked for {looked_for})")
    lines = _lines(path.read_text("utf-8"))
    for line in lines:
        if line.startswith("-"):
            if line.partition("=")[0].split()[0] not in _OPTIONS:
                option = line.split()[0]
                raise _refused(
                    name, task_name, f"has the option {option!r}, which a lock cannot have"
                )
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
