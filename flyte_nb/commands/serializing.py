"""`flyte-nb serialize`: write what modules, notebooks or specs define to files, to be registered later.

What a notebook defines exists only in its kernel. So the notebook is executed with one more cell, which
serializes there and prints the files' names after a mark.
"""

import argparse
import gzip
import io
import json
import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.files import write_atomically
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import Entity
from flyte_nb.client.data import KernelData
from flyte_nb.commands.connections import scope_of
from flyte_nb.commands.files import file_name
from flyte_nb.commands.targets import load, sorted_out
from flyte_nb.commands.terminal import DONE, FAILED, out, show
from flyte_nb.discovery.here import Here
from flyte_nb.discovery.modules import import_roots
from flyte_nb.discovery.names import tidy
from flyte_nb.registering.serializing import serialize as serialized
from flyte_nb.registering.staging_places import STAGING, place_for
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.types.registry import default_registry
from flyte_nb.unattended import headless

_PACKED = (".tgz", ".tar.gz")
_MARK = "flyte-nb-serialized:"


def serialize(options: argparse.Namespace) -> int:
    """Write specs that flytectl and flyte-nb register, and stage their code; return the exit code.

    Raises:
        UsageError: there are more targets beside a notebook, nothing is defined, or a file cannot be written.
        CompileFailed: there are problems; nothing was written.
    """
    targets = sorted_out(options.targets)
    where = options.folder.absolute()
    wanted = {
        "folder": str(where),
        "staging": _staging(options, where),
        "version": options.version or "",
        "is_placed": bool(options.project or options.domain),
    }
    if targets.notebooks and not targets.problems:
        if len(targets.notebooks) > 1 or targets.modules or targets.specs:
            raise UsageError("Serialize a notebook alone: its files are numbered in one order.")
        return _notebook(targets.notebooks[0], scope_of(options), wanted, options)
    found = load(targets)
    if found.problems:
        raise CompileFailed("Nothing was serialized: these problems come first.", found.problems)
    written = _write(found.entities, scope_of(options), import_roots(found.entities), wanted)
    return _finished(written, wanted, options)


def in_notebook(wanted: "dict[str, Any]", project: str, domain: str) -> None:
    """Serialize what the notebook defines and print the files' names; called in the notebook's kernel."""
    here = Here(None, namespace=vars(sys.modules["__main__"]), env=os.environ)
    entities = here.load()
    scope = Scope(project, domain, here.notebook.name)
    written = _write(entities, scope, here.roots(entities), wanted)
    sys.stdout.write(f"{_MARK}{json.dumps(written)}\n")


def _staging(options: argparse.Namespace, where: Path) -> str:
    """Return the URI below which bundles are staged."""
    named: str = options.staging or os.environ.get(STAGING, "")
    # Beside the files, not among them: an index is JSON, too.
    return named or where.with_name(f"{where.name}.staged").as_uri()


def _write(
    entities: "Sequence[Entity]", scope: Scope, roots: "Sequence[Path]", wanted: "dict[str, Any]"
) -> "list[str]":
    env = {**os.environ, STAGING: wanted["staging"]}
    folder = f"{wanted['staging']}/uploads"
    data = KernelData(open_stores(), folder_uri=folder, roots=lambda: roots)
    place = place_for(scope, default_registry(), env, data, root="", roots=roots)
    files = serialized(
        place,
        entities,
        DirectoryStaging(f"{wanted['staging']}/bundles", open_stores()),
        version=wanted["version"],
        is_placed=wanted["is_placed"],
    )
    width = len(str(len(files)))
    named = {
        f"{index:0{width}}_{file_name(file.id.name)}_{file.number}.pb": file.data
        for index, file in enumerate(files)
    }
    _put(Path(wanted["folder"]), named)
    return list(named)


def _put(where: Path, files: "dict[str, bytes]") -> None:
    if where.name.endswith(_PACKED):
        write_atomically(where, _package(files))
        return
    if where.is_dir() and (old := sorted(path.name for path in where.glob("*.pb"))):
        left = [name for name in old if name not in files]
        if left:
            raise UsageError(
                f"{where} has other specs ({left[0]}, …). They would be registered with these."
                " Name another folder, or empty it."
            )
    for name, data in files.items():
        write_atomically(where / name, data)


def _package(files: "dict[str, bytes]") -> bytes:
    """Return a .tgz whose bytes depend on the files alone: it has no time stamps and no owners."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


def _notebook(
    path: Path, scope: Scope, wanted: "dict[str, Any]", options: argparse.Namespace
) -> int:
    source = (
        "from flyte_nb.commands.serializing import in_notebook as _serialize\n"
        f"_serialize({wanted!r}, {scope.project!r}, {scope.domain!r})\n"
    )
    outcome = headless.execute(
        headless.read(path), folder=path.resolve().parent, name=tidy(path.stem), extra=[source]
    )
    if outcome.error:
        out(f"{path} failed:\n{outcome.error}")
        return FAILED
    for text in headless.texts(outcome.notebook.cells[-1]):
        for line in text.splitlines():
            if line.startswith(_MARK):
                return _finished(json.loads(line[len(_MARK) :]), wanted, options)
    raise UsageError(f"{path} defines no task or workflow.")


def _finished(written: "list[str]", wanted: "dict[str, Any]", options: argparse.Namespace) -> int:
    document = {"files": written, "folder": wanted["folder"], "staging": wanted["staging"]}
    lines = [
        *written,
        f"{len(written)} specs in {options.folder}; code staged in {wanted['staging']}",
    ]
    show(options, document, "\n".join(lines))
    return DONE
