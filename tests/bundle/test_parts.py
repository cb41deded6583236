"""A large package travels in parts: a change sends few of them, and each is verified."""

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.api.errors import BundleError, ChecksumMismatch
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle import package_parts
from flyte_nb.bundle.fetch import fetch, read_index
from flyte_nb.bundle.inventory import collect, inventory, plan_cleanup, verify
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.package_parts import WHOLE_BYTES, zipped
from flyte_nb.bundle.stage import stage
from flyte_nb.bundle.zips import deterministic_zip
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells
from flyte_nb.worker.package_parts import united

ROOT = "memory://bundles"
LINES = "".join(f"def f{n}(a, b):\n    return a * {n} + b\n" for n in range(60))


def large(count=200):
    """Return the files of a package of 400 kB."""
    files = {f"pkg/sub{n % 7}/m{n}.py": f"K = {n}\n{LINES}".encode() for n in range(count)}
    return {"pkg/__init__.py": b"", **files}


def digests(files):
    return {part.sha256 for part in zipped(files).parts}


def names(part):
    return set(zipfile.ZipFile(io.BytesIO(part.data)).namelist())


def one_zip(zips, folder):
    """Return the path that a worker imports from."""
    paths = []
    for number, part in enumerate(zips):
        paths.append(folder / f"module-{number}.zip")
        paths[-1].write_bytes(part.data)
    [path] = united([str(path) for path in paths])
    return path


def test_a_package_that_is_not_large_is_the_one_zip_that_it_always_was():
    files = {"pkg/__init__.py": b"K = 1\n", "pkg/data.bin": bytes(WHOLE_BYTES - 500)}
    [part] = zipped(files).parts
    assert part.data == deterministic_zip(files)
    assert len(part.data) <= WHOLE_BYTES
    assert zipped(files).sha256 == part.sha256 == hashlib.sha256(part.data).hexdigest()
    # As 0.1.0 wrote it: the fingerprints of its users' tasks are made of this.
    assert zipped({"pkg/__init__.py": b"K = 1\n"}).sha256 == (
        "c7681632a8d6d4934c8b8dc57ece9376548d8b0d5aa68ff93b324dadb6fbe15f"
    )


def test_what_says_whether_a_large_package_changed_is_the_digest_of_the_whole():
    assert zipped(large()).sha256 == hashlib.sha256(deterministic_zip(large())).hexdigest()


def test_equal_files_give_equal_parts_in_whatever_order_they_are_found():
    files = large()
    assert zipped(dict(reversed(files.items()))) == zipped(files)


def test_a_changed_a_new_and_a_deleted_file_touch_one_part_each():
    files = large()
    before = digests(files)
    assert len(before) > 4
    edited = {**files, "pkg/sub3/m3.py": files["pkg/sub3/m3.py"] + b"# more\n"}
    fewer = {name: data for name, data in files.items() if name != "pkg/sub3/m3.py"}
    for changed in (edited, fewer, {**files, "pkg/sub3/new.py": b"K = 1\n"}):
        assert len(digests(changed) - before) == 1


def test_a_package_that_outgrows_its_parts_halves_them():
    small, grown = zipped(large(200)).parts, zipped(large(600)).parts
    assert len(grown) == 2 * len(small)
    for part in grown:
        old = {name for name in names(part) if name in large(200)}
        assert any(old <= names(one) for one in small)


def test_code_does_not_send_the_data_beside_it_again():
    data = {f"pkg/data{n}.bin": os.urandom(300_000) for n in range(3)}
    files = {**large(), **data}
    changed = {**files, "pkg/sub3/m3.py": b"K = 2\n"}
    [new] = [part for part in zipped(changed).parts if part.sha256 not in digests(files)]
    assert names(new).isdisjoint(data)


def test_parts_are_few_however_large_a_package_is(monkeypatch):
    monkeypatch.setattr(package_parts, "_CODE", package_parts._CODE._replace(aimed_bytes=100))
    monkeypatch.setattr(package_parts, "_DATA", package_parts._DATA._replace(aimed_bytes=100))
    files = {**large(), **{f"pkg/{n}.json": b"[]" * 900 for n in range(200)}}
    assert len(zipped(files).parts) == 20


NAMES = st.text(st.sampled_from("abé/."), min_size=1, max_size=12)


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=30))
def test_the_worker_makes_of_the_parts_what_the_whole_zip_would_be(tmp_path_factory, files):
    files = {f"pkg/{name}": data for name, data in files.items()} | {"pkg/__init__.py": b""}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package_parts, "WHOLE_BYTES", 0)
        patch.setattr(package_parts, "_CODE", package_parts._Split(50, 8))
        patch.setattr(package_parts, "_DATA", package_parts._Split(50, 4))
        zips = zipped(files).parts
    archive = zipfile.ZipFile(one_zip(zips, tmp_path_factory.mktemp("parts")))
    assert archive.testzip() is None
    assert archive.namelist() == sorted(files)
    assert {name: archive.read(name) for name in files} == files


def test_modules_that_are_whole_stay_where_they_lie(tmp_path):
    paths = []
    for name in ("pkg/__init__.py", "pkg.py", "other/__init__.py", "other.py"):
        paths.append(str(tmp_path / f"module-{len(paths)}.zip"))
        Path(paths[-1]).write_bytes(deterministic_zip({name: b""}))
    assert united(paths) == paths


def test_parts_come_to_stand_where_the_first_of_them_stood(tmp_path):
    paths = []
    for name in ("a.py", "pkg/__init__.py", "b.py", "pkg/c.py"):
        paths.append(str(tmp_path / f"module-{len(paths)}.zip"))
        Path(paths[-1]).write_bytes(deterministic_zip({name: b""}))
    assert united(paths) == [paths[0], str(tmp_path / "pkg.zip"), paths[2]]


def test_a_package_that_cannot_be_written_is_no_traceback(tmp_path):
    (tmp_path / "pkg.zip").mkdir()
    with pytest.raises(BundleError, match="'pkg' cannot be written") as caught:
        one_zip(zipped(large()).parts, tmp_path)
    assert caught.value.code == "SYSTEM:BundleNotWritten"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_a_full_disk_has_its_own_code_and_says_what_to_do(tmp_path):
    (tmp_path / "pkg.zip").symlink_to("/dev/full")
    with pytest.raises(BundleError, match="ephemeral storage") as caught:
        one_zip(zipped(large()).parts, tmp_path)
    assert caught.value.code == "SYSTEM:DiskFull"


ASK = """
import importlib.resources, pickle, pkgutil, sys, traceback
place = sys.argv[1]
sys.path.insert(0, place)
import pkg, pkg.space.deep.one, pkg.sub1.m1
print(sorted(name for _, name, _ in pkgutil.walk_packages(pkg.__path__, "pkg."))[:20])
print([item.name for item in pkgutil.iter_modules(pkg.__path__)])
print([path.replace(place, "") for path in (pkg.__file__, *pkg.__path__)])
print(pkg.space.deep.one.K, pkg.sub1.m1.K, pkg.__spec__.loader.archive == place)
words = importlib.resources.files("pkg") / "words"
print([(item.name, item.read_text()) for item in words.iterdir()], pkgutil.get_data("pkg", "words/b.txt"))
print(pickle.loads(pickle.dumps(pkg.Point(3))).x, importlib.import_module("pkg.sub2.m2").K)
try:
    pkg.fail()
except ValueError:
    print(traceback.format_exc().replace(place, ""))
"""


def test_everything_that_a_package_may_do_works_as_from_the_whole_zip(tmp_path):
    point = b"class Point:\n    def __init__(self, x): self.x = x\n"
    files = {
        **large(),
        "pkg/__init__.py": point + b"def fail():\n    raise ValueError('here')\n",
        "pkg/space/deep/one.py": b"from ..two import K\n",
        "pkg/space/two.py": b"K = 7\n",
        "pkg/words/a.txt": b"a",
        "pkg/words/b.txt": b"b",
    }
    for number in range(7):
        files[f"pkg/sub{number}/__init__.py"] = b""
    for folder in ("pkg/space/", "pkg/space/deep/", "pkg/words/"):
        files[folder] = b""  # namespace packages have entries for their folders
    (tmp_path / "whole.zip").write_bytes(deterministic_zip(files))
    said = []
    for place in (tmp_path / "whole.zip", one_zip(zipped(files).parts, tmp_path)):
        done = subprocess.run(
            [sys.executable, "-I", "-c", ASK, str(place)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]
    assert "raise ValueError('here')" in said[0]


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Make a notebook's folder with a large package and a task that needs it."""
    folder = tmp_path / "book"
    for name, data in large().items():
        path = folder / name.replace("pkg", "unit_large", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    monkeypatch.syspath_prepend(str(folder))
    cells = Cells()
    cells.run(
        "import unit_large\nfrom flyte_nb import task\n"
        "@task\ndef f() -> str:\n    return unit_large.__name__\n"
    )
    yield lambda: pack(cells["f"], scope=Scope(main_module="nb"), local_roots=[folder])
    del sys.modules["unit_large"]


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def staged(book, store):
    [done] = stage([book()], DirectoryStaging(ROOT, store))
    return done


def test_a_changed_line_sends_one_part_and_the_index(book, store, staged, tmp_path):
    packed = book()
    [unit] = packed.modules
    (tmp_path / "book" / "unit_large" / "sub3" / "m3.py").write_text("K = 2\n")
    changed = book()
    assert changed.fingerprint != packed.fingerprint
    [again] = stage([changed], DirectoryStaging(ROOT, store))
    index = store.size(again.index_uri)
    largest = max(len(part.data) for part in unit.parts)
    assert 0 < again.sent_bytes - index <= largest < unit.size_bytes / 4
    assert index < 8_000


def part_uris(staged, store):
    index = read_index(staged.index_uri, store)
    return [entry.uri for entry in index.entries if entry.kind == "module"]


def spoil_flipped(store, uri, other):
    data = store.read(uri)
    store.write(uri, data[:9] + bytes([data[9] ^ 1]) + data[10:])


def spoil_cut(store, uri, other):
    store.write(uri, store.read(uri)[:-1])


def spoil_doubled(store, uri, other):
    store.write(uri, store.read(uri) * 2)


def spoil_swapped(store, uri, other):
    one, two = store.read(uri), store.read(other)
    store.write(uri, two)
    store.write(other, one)


@pytest.mark.parametrize("spoil", [spoil_flipped, spoil_cut, spoil_doubled, spoil_swapped])
def test_a_damaged_part_is_refused_by_name_and_staged_anew(book, store, staged, tmp_path, spoil):
    for uri, other in zip(part_uris(staged, store), part_uris(staged, store)[1:], strict=False):
        spoil(store, uri, other)
        with pytest.raises(ChecksumMismatch) as caught:
            fetch(staged.index_uri, "nb.f", store, str(tmp_path), sleep=pytest.fail)
        assert caught.value.member.startswith("module-unit_large-")
        damages, _ = verify(store, inventory(store, ROOT).indexes)
        assert uri in [damage.uri for damage in damages]
        assert all(damage.tasks == ("nb.f",) for damage in damages)
        stage([book()], DirectoryStaging(ROOT, store))
        fetch(staged.index_uri, "nb.f", store, str(tmp_path))


def test_a_missing_part_has_the_code_of_missing_members(store, staged, tmp_path):
    store.delete(part_uris(staged, store)[2])
    with pytest.raises(BundleError, match="Register again") as caught:
        fetch(staged.index_uri, "nb.f", store, str(tmp_path))
    assert caught.value.code == "SYSTEM:BundleMemberMissing"
    [damage], _ = verify(store, inventory(store, ROOT).indexes)
    assert damage.what == "it is missing"


def test_a_part_that_another_bundle_needs_stays(book, store, staged, tmp_path):
    (tmp_path / "book" / "unit_large" / "sub3" / "m3.py").write_text("K = 2\n")
    [again] = stage([book()], DirectoryStaging(ROOT, store))
    held = inventory(store, ROOT)
    needed = [item.digest for item in held.indexes if item.uri == again.index_uri]
    removed = collect(store, plan_cleanup(held, needed, now_s=4e9), ROOT, needed, clock=lambda: 4e9)
    assert sorted(item.what for item in removed) == ["index", "member"]
    assert verify(store, inventory(store, ROOT).indexes)[0] == []
