"""Find spec files and read their bytes: files, folders, globs, and packages (tar archives of them)."""

import glob
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import Location

TEXT = frozenset({".yaml", ".yml", ".json"})
BINARY = frozenset({".pb", ".bin", ".binpb"})
PACKED = (".tgz", ".tar.gz", ".tar")
SUFFIXES = (*sorted(TEXT | BINARY), *PACKED)

_LARGEST = 32 << 20  # bytes of one file; FlyteAdmin itself takes messages of 4 MB
_LARGEST_PACKAGE = 256 << 20  # bytes of all files in one
_MOST_MEMBERS = 20_000


class SpecFile(NamedTuple):
    """One file's bytes."""

    name: str
    """The path as the person wrote it; for a package's member, `package.tgz/member`."""
    data: bytes


def is_spec_path(target: str) -> bool:
    """Return whether `target` names spec files: by its suffix, as a glob, or as a folder but no package."""
    if target.endswith(SUFFIXES) or glob.has_magic(target):
        return True
    path = Path(target)
    return path.is_dir() and not (path / "__init__.py").is_file()


def files(targets: "Sequence[str]", problems: "list[Problem]") -> "Iterator[SpecFile]":
    """Yield the spec files that `targets` name, each once; add to `problems` what cannot be read.

    Raises:
        UsageError: a target names nothing.
    """
    seen: set[Path] = set()
    for path in [path for target in targets for path in paths_of(target)]:
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        if path.name.endswith(PACKED):
            yield from _members(path, problems)
            continue
        try:
            size = path.stat().st_size
            if size > _LARGEST:
                problems.append(_too_large(str(path), size))
                continue
            yield SpecFile(str(path), path.read_bytes())
        except OSError as error:
            problems.append(unreadable(str(path), f"It cannot be read: {error.strerror or error}."))


def unreadable(name: str, message: str, line: int = 1, hint: str = "") -> Problem:
    """Return the problem that a file is not what it should be."""
    return Problem("UnreadableSpec", message, hint=hint, location=Location(name, max(1, line)))


def paths_of(target: str) -> "list[Path]":
    """Return the spec files that `target` names.

    Raises:
        UsageError: it names none.
    """
    path = Path(target)
    if path.is_dir():
        found = [
            each
            for each in sorted(path.rglob("*"))
            if each.name.endswith(SUFFIXES)
            and each.is_file()
            and not any(part.startswith(".") for part in each.relative_to(path).parts)
        ]
        if not found:
            modules = " Name its .py files, or the package." if any(path.glob("*.py")) else ""
            raise UsageError(
                f"The folder {target} has no spec files ({' '.join(SUFFIXES)}).{modules}"
            )
        return found
    if path.is_file():
        return [path]
    if glob.has_magic(target):
        found = [Path(each) for each in sorted(glob.glob(target, recursive=True))]
        if found:
            return [each for each in found if each.is_file()]
        raise UsageError(f"No file fits {target}.")
    raise UsageError(f"There is no file {target}.")


def _members(path: Path, problems: "list[Problem]") -> "Iterator[SpecFile]":
    """Yield the files of a package. Nothing is unpacked to disk, so no path in it can do harm."""
    total = given = 0
    try:
        with tarfile.open(path, "r:*") as package:
            for count, member in enumerate(package):
                total += member.size
                if count >= _MOST_MEMBERS or total > _LARGEST_PACKAGE:
                    problems.append(
                        unreadable(
                            str(path),
                            f"The package holds more than {_MOST_MEMBERS:,} files or"
                            f" {_LARGEST_PACKAGE >> 20} MB; the rest was left out.",
                        )
                    )
                    return
                name = f"{path}/{member.name}"
                if not member.isfile() or Path(member.name).suffix not in TEXT | BINARY:
                    continue  # fast registration packs code beside specs; flytectl skips it too
                if member.size > _LARGEST:
                    problems.append(_too_large(name, member.size))
                elif (content := package.extractfile(member)) is not None:
                    given += 1
                    yield SpecFile(name, content.read())
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        problems.append(unreadable(str(path), f"It is no package, or is damaged: {error}."))
        return
    if not given:
        problems.append(unreadable(str(path), "The package holds no spec files."))


def _too_large(name: str, size: int) -> Problem:
    return unreadable(
        name,
        f"It has {size / (1 << 20):.0f} MB; a spec file has at most {_LARGEST >> 20} MB.",
        hint="FlyteAdmin takes at most 4 MB for one entity.",
    )
