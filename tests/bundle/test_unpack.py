"""Modules are unpacked into one folder, and no zip can write anywhere else."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from flyte_nb.api.errors import BundleError
from flyte_nb.bundle.fetch import Fetched
from flyte_nb.bundle.unpack import unpacked
from flyte_nb.bundle.zips import deterministic_zip


@pytest.fixture
def unpack(tmp_path):
    """Return a function that unpacks zips and returns the folders."""

    def run(*zips):
        paths = []
        for number, data in enumerate(zips):
            path = tmp_path / f"module-{number}.zip"
            path.write_bytes(data)
            paths.append(str(path))
        fetched = Fetched("ring", "payload", (), tuple(paths), "3.11")
        return [Path(path) for path in unpacked(fetched, str(tmp_path)).modules]

    return run


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_modules_come_into_one_folder_that_is_read_only(unpack, tmp_path):
    files = {"a.py": b"A", "data/b.txt": b"", "pkg/": b"", "pkg/sub/c.py": b"C"}
    one, other = dict(list(files.items())[:2]), dict(list(files.items())[2:])
    [folder] = unpack(deterministic_zip(one), deterministic_zip(other))
    assert files_in(folder) == {n: data for n, data in files.items() if not n.endswith("/")}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "pkg" / "sub")}
    assert modes == {0o555}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.py")} == {0o444}
    assert list(tmp_path.glob("*.zip")) == []


def test_equal_files_of_two_modules_are_one_and_other_ones_get_a_folder_of_their_own(unpack):
    zips = [
        deterministic_zip({"a.py": b"A", "words.txt": b"same"}),
        deterministic_zip({"b.py": b"B", "words.txt": b"same"}),
        deterministic_zip({"c.py": b"C", "words.txt": b"other"}),
    ]
    first, second = map(files_in, unpack(*zips))
    assert first == {"a.py": b"A", "b.py": b"B", "words.txt": b"same"}
    assert second == {"c.py": b"C", "words.txt": b"other"}


def test_a_task_without_modules_has_no_folder(tmp_path):
    fetched = Fetched("ring", "payload", (), (), "3.11")
    assert unpacked(fetched, str(tmp_path)) is fetched
    assert os.listdir(tmp_path) == []


ELSEWHERE = ["../x.py", "/x.py", "a/../../x.py", "a//x.py", "./x.py", "a\0b.py", "..", "/", ""]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_that_leads_elsewhere_is_refused(unpack, tmp_path, name):
    with pytest.raises(BundleError, match="has a file with the name"):
        unpack(deterministic_zip({"ok.py": b"", name: b"x"}))
    assert not (tmp_path.parent / "x.py").exists()


def _compressed():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.py", b"\0" * 100_000)
    return target.getvalue()


WHOLE = deterministic_zip({"a.py": b"K = 1", "b.py": b"K = 2"})
DAMAGED = {
    "nothing": b"",
    "no zip": b"x" * 100,
    "cut": WHOLE[:-1],
    "cut at its begin": WHOLE[5:],
    "more at its end": WHOLE + b"x",
    "compressed": _compressed(),
    "deep": deterministic_zip({"a/" * 1500 + "x.py": b""}),
    "a file and a folder of one name": deterministic_zip({"a": b"", "a/b": b""}),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_file_that_is_no_zip_of_modules_gives_an_error_of_ours(unpack, kind):
    with pytest.raises(BundleError):
        unpack(DAMAGED[kind])


def test_every_changed_byte_is_an_error_of_ours_or_a_file_below_the_folder(tmp_path):
    for at in range(len(WHOLE)):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "m.zip"
        path.write_bytes(WHOLE[:at] + bytes([WHOLE[at] ^ 0x41]) + WHOLE[at + 1 :])
        try:
            unpacked(Fetched("", "", (), (str(path),), ""), str(folder))
        except BundleError:
            continue
        assert {path.name for path in folder.iterdir()} == {"modules"}
