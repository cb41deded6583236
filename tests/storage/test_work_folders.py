"""Working folders are private, and those of killed processes are removed."""

import os
import subprocess
import sys
import time

import pytest

from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.storage import open_stores, work_folders
from flyte_nb.storage.work_folders import WorkFolder, remove, sweep


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def _age(path):
    then = time.time() - 3600
    os.utime(path, (then, then))


def test_a_folder_is_this_users_alone_and_is_removed_with_what_is_in_it(root):
    folder = WorkFolder()
    folder.hold()
    assert os.stat(folder.path).st_mode & 0o777 == 0o700
    os.makedirs(f"{folder.path}/a/b")
    folder.remove()
    assert os.listdir(root) == []


def test_what_a_killed_process_left_is_swept(root):
    code = (
        "import os\nfrom flyte_nb.storage.work_folders import WorkFolder\n"
        "made = WorkFolder(); made.hold(); os.mkdir(made.path + '/x')\n"
        "print(made.path, flush=True); input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        path = process.stdout.readline().strip()
        _age(path)
        sweep()
        assert os.path.isdir(path)  # it lives
        process.kill()
        process.wait()
        sweep()
    assert os.listdir(root) == []


def test_locked_and_new_folders_and_all_other_files_stay(root):
    own = WorkFolder()
    own.hold()
    _age(own.path)
    young = WorkFolder()  # as between being made and being locked
    other = root / "flyte-nb-else"
    other.mkdir()
    target = root / "target"
    target.mkdir()
    link = root / f"{work_folders._PREFIX}link"
    link.symlink_to(target)
    for path in (other, target):
        _age(path)
    sweep()
    assert {own.path, young.path, str(other), str(target), str(link)} == {
        str(path) for path in root.iterdir()
    }
    own.remove()


def test_another_users_folder_is_left_alone(root, monkeypatch):
    path = WorkFolder().path
    _age(path)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    sweep()
    assert os.path.isdir(path)


def test_one_file_that_cannot_be_removed_keeps_none_of_the_others(root, monkeypatch):
    for name in ("a", "b", "c"):
        (root / "tree" / name).mkdir(parents=True)
        (root / "tree" / name / "file").touch()
    unlink = os.unlink

    def refusing(path):
        if str(path).endswith("b/file"):
            raise PermissionError(13, "Permission denied")
        unlink(path)

    monkeypatch.setattr(os, "unlink", refusing)
    remove(str(root / "tree"))
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    assert left == ["tree", "tree/b", "tree/b/file"]


def test_a_root_that_is_not_there_is_swept_in_silence(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/no/such/folder")
    sweep()


def test_the_scratch_of_a_killed_kernel_goes_when_the_next_one_needs_some(root):
    code = (
        "from flyte_nb.client.data import SCRATCH, KernelData\n"
        "from flyte_nb.storage import open_stores\n"
        "data = KernelData(open_stores(), folder_uri=SCRATCH)\n"
        "open(data.scratch('.txt'), 'w').close()\nprint(flush=True); input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        process.stdout.readline()
        [left] = root.iterdir()
        _age(left)
        process.kill()
    data = KernelData(open_stores(), folder_uri=SCRATCH)
    path = data.scratch(".txt")
    assert not left.exists()
    assert [str(folder) for folder in root.iterdir()] == [os.path.dirname(path)]
    data.close()
    assert list(root.iterdir()) == []


def test_read_only_folders_are_removed_too(root):
    (root / "tree" / "modules" / "pkg").mkdir(parents=True)
    (root / "tree" / "modules" / "pkg" / "m.py").touch(0o444)
    for path in ("tree/modules/pkg", "tree/modules"):
        (root / path).chmod(0o555)
    remove(str(root / "tree"))
    assert list(root.iterdir()) == []
