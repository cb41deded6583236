"""Local modules travel with those that they import, as they are on disk."""

import importlib
import io
import os
import time
import zipfile

import pytest

from flyte_nb.api.errors import BundleError
from flyte_nb.bundle import local_modules
from flyte_nb.bundle.local_modules import LocalModules, Units
from flyte_nb.bundle.units import read_unit
from flyte_nb.testing.waiting import wait_until

IMPORTS = [
    ("import a", {"a"}),
    ("import a.b.c as d, e", {"a", "e"}),
    ("from a import b", {"a"}),
    ("from a.b import (\n    c,\n)", {"a"}),
    ("from . import a", set()),
    ("from .a import b", set()),
    ("def f():\n    import a\n\ttry: from b import c\n", {"a", "b"}),
    ("x = 1; import a", {"a"}),
    ("import a, \\\n    b", {"a", "b"}),
    ("important = 1\nfrom_a = 2", set()),
    ("import a  # not b", {"a"}),
    ("", set()),
    ("import importlib\nx = importlib.import_module('a.b')", {"importlib", "a"}),
    ("from importlib import import_module\nx = import_module(\n    'a')", {"importlib", "a"}),
    ("x = __import__('a')", {"a"}),
    ("import runpy\nrunpy.run_module('a.b')", {"runpy", "a"}),
    ("import importlib\nx = importlib.import_module(name)", {"importlib"}),
]


@pytest.mark.parametrize(("source", "names"), IMPORTS)
def test_import_statements_are_found(tmp_path, source, names):
    path = tmp_path / "unit.py"
    path.write_text(source)
    assert set(read_unit("unit", path).imports) == names


def test_the_zip_has_equal_bytes_wherever_and_whenever_it_is_made(tmp_path):
    units = []
    for folder, when in (("one", 1_000_000_000), ("two", 1_500_000_000)):
        package = tmp_path / folder / "pkg"
        (package / "sub").mkdir(parents=True)
        for name in ("__init__.py", "sub/__init__.py", "sub/deep.py", "data.json"):
            (package / name).write_text(name)
            os.utime(package / name, (when, when))
        units.append(read_unit("pkg", package))
    assert units[0].parts == units[1].parts


def test_what_no_worker_needs_stays(tmp_path):
    package = tmp_path / "pkg"
    for name in ("__pycache__", ".git", "sub"):
        (package / name).mkdir(parents=True)
    for name in (
        "__init__.py",
        "__pycache__/x.pyc",
        ".git/config",
        ".hidden.py",
        "x.pyc",
        "sub/a.py",
    ):
        (package / name).write_text("x = 1")
    names = zipfile.ZipFile(io.BytesIO(read_unit("pkg", package).parts[0].data)).namelist()
    assert names == ["pkg/__init__.py", "pkg/sub/", "pkg/sub/a.py"]


def test_a_file_that_was_rewritten_within_the_clocks_tick_is_read_again(tmp_path):
    path = tmp_path / "unit.py"
    path.write_text("K = 1")
    stamp = path.stat()
    first = read_unit("unit", path)
    path.write_text("K = 2")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert read_unit("unit", path).parts != first.parts


def later():
    """Return the time at which a file that is written now counts as settled."""
    return time.time_ns() + 3_000_000_000


@pytest.fixture(params=["a module", "a package"])
def settled(request, tmp_path):
    """Return a file of a module or package, and a function that reads it long after it was written."""
    if request.param == "a module":
        path = place = tmp_path / "unit.py"
    else:
        place = tmp_path / "unit"
        path = place / "deep" / "m.py"
        path.parent.mkdir(parents=True)
        (place / "__init__.py").write_text("")
    path.write_text("K = 1")
    return path, lambda: read_unit("unit", place, clock=later)


def test_what_is_settled_is_not_read_twice(settled):
    _, read = settled
    assert read() is read()


def test_what_was_written_lately_is_read_again(tmp_path):
    path = tmp_path / "unit.py"
    path.write_text("K = 1")
    written = path.stat().st_ctime_ns
    assert read_unit("unit", path, clock=lambda: written) is not read_unit(
        "unit", path, clock=lambda: written
    )


def wait_for_the_next_tick(path, beside):
    """Wait until what is written gets a later time than the file: many file systems' clocks are coarse."""
    probe = beside / "probe"

    def is_later():
        probe.write_text("")
        return probe.stat().st_ctime_ns > path.stat().st_ctime_ns

    wait_until(is_later, "the file system's next tick")


def test_an_edit_that_keeps_size_and_time_is_noticed(settled, tmp_path):
    path, read = settled
    before, stamp = read(), path.stat()
    wait_for_the_next_tick(path, tmp_path)
    path.write_text("K = 2")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert read().sha256 != before.sha256


def test_a_file_that_is_replaced_by_an_older_one_is_noticed(settled, tmp_path):
    path, read = settled
    older = tmp_path / "older"
    older.write_text("K = 2")
    before, stamp = read(), path.stat()
    os.utime(older, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    older.replace(path)
    assert read().sha256 != before.sha256


def test_files_that_come_go_and_change_their_kind_are_noticed(tmp_path):
    package = tmp_path / "unit"
    package.mkdir()
    (package / "__init__.py").write_text("")

    def names():
        unit = read_unit("unit", package, clock=later)
        assert read_unit("unit", package, clock=later) is unit
        return zipfile.ZipFile(io.BytesIO(unit.parts[0].data)).namelist()

    assert names() == ["unit/__init__.py"]
    (package / "a").write_text("")
    assert names() == ["unit/__init__.py", "unit/a"]
    (package / "a").rename(package / "b")
    assert names() == ["unit/__init__.py", "unit/b"]
    (package / "b").unlink()
    (package / "b").mkdir()
    (package / "b" / "c.py").write_text("")
    assert names() == ["unit/__init__.py", "unit/b/", "unit/b/c.py"]
    (package / "b" / "c.py").unlink()
    (package / "b").rmdir()
    (package / "b").symlink_to(package)  # leads back, and is not followed
    assert names() == ["unit/__init__.py"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.py").write_text("")
    (package / "b").unlink()
    (package / "b").symlink_to(tmp_path / "elsewhere")
    assert names() == ["unit/__init__.py", "unit/b/", "unit/b/d.py"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").symlink_to(tmp_path / "nowhere.py")
    with pytest.raises(BundleError, match="local module 'pkg' cannot be read"):
        read_unit("pkg", tmp_path / "pkg")


def test_modules_that_import_each_other_end(tmp_path):
    (tmp_path / "unit_x.py").write_text("import unit_y")
    (tmp_path / "unit_y.py").write_text("import unit_x")
    local = LocalModules(Units([tmp_path]))
    assert local.note("unit_x")
    assert [unit.name for unit in local.noted()] == ["unit_x", "unit_y"]
    assert [unit.name for unit in local.reached("unit_y")] == ["unit_x", "unit_y"]


def test_the_standard_library_and_ours_are_never_local(tmp_path):
    for name in ("json", "flyte_nb", "sqlite3"):
        (tmp_path / f"{name}.py").write_text("")
    local = LocalModules(Units([tmp_path]))
    assert not any(local.note(name) for name in ("json", "flyte_nb", "sqlite3", "__main__"))


def _imported(unit, statement, tmp_path):
    """Return what `statement` prints in a Python that has the unit's zip and nothing else of it."""
    import subprocess
    import sys

    place = tmp_path / "there" / "unit.zip"
    place.parent.mkdir()
    place.write_bytes(unit.parts[0].data)
    code = f"import sys; sys.path.insert(0, {str(place)!r}); {statement}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=place.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_namespace_packages_and_relative_imports_work_from_the_zip(tmp_path):
    package = tmp_path / "space"
    (package / "inner" / "deep").mkdir(parents=True)
    (package / "inner" / "deep" / "one.py").write_text("from ..two import K\n")
    (package / "inner" / "two.py").write_text("K = 7\n")
    unit = read_unit("space", package)
    assert _imported(unit, "from space.inner.deep.one import K; print(K)", tmp_path) == "7"


def test_data_of_a_package_is_read_from_the_zip(tmp_path):
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "words.txt").write_text("hello")
    (package / "draft.ipynb").write_text("{}")
    unit = read_unit("pkg", package)
    ask = "import pkgutil, pkg; print(pkgutil.get_data('pkg', 'words.txt').decode())"
    assert _imported(unit, ask, tmp_path) == "hello"
    assert "pkg/draft.ipynb" not in zipfile.ZipFile(io.BytesIO(unit.parts[0].data)).namelist()


def test_a_module_that_is_a_link_travels_under_the_name_that_imports_it(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "common.py").write_text("K = 1\n")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "unit_link.py").symlink_to(tmp_path / "shared" / "common.py")
    unit = Units([tmp_path / "book"]).find("unit_link")
    assert zipfile.ZipFile(io.BytesIO(unit.parts[0].data)).namelist() == ["unit_link.py"]


def test_a_link_to_a_folder_above_ends(tmp_path):
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("K = 1\n")
    (package / "again").symlink_to(package, target_is_directory=True)
    names = zipfile.ZipFile(io.BytesIO(read_unit("pkg", package).parts[0].data)).namelist()
    assert names == ["pkg/__init__.py"]


def test_a_root_that_is_a_link_is_still_the_notebooks_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "unit_rooted.py").write_text("K = 1\n")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert Units([tmp_path / "link"]).find("unit_rooted") is not None


def test_a_module_of_an_editable_install_is_the_authors_own(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "src" / "unit_edit").mkdir(parents=True)
    (tmp_path / "src" / "unit_edit" / "__init__.py").write_text("K = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    units = Units([tmp_path / "book"])
    unit = units.find("unit_edit")
    assert unit is not None
    assert not units.is_below_a_root(unit)


def test_an_editable_install_with_compiled_parts_does_not_travel(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "src" / "unit_fast").mkdir(parents=True)
    (tmp_path / "src" / "unit_fast" / "__init__.py").write_text("K = 1\n")
    (tmp_path / "src" / "unit_fast" / "core.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7f")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    units = Units([tmp_path / "book"])
    assert units.find("unit_fast") is None
    assert list(units.left_behind) == ["unit_fast"]


def test_a_large_package_from_elsewhere_counts_as_the_platforms_and_is_reported(
    tmp_path, monkeypatch
):
    import sys

    from flyte_nb.api.identifiers import Scope
    from flyte_nb.bundle.pack import pack
    from flyte_nb.testing.cells import Cells

    (tmp_path / "book").mkdir()
    (tmp_path / "spark" / "unit_spark").mkdir(parents=True)
    (tmp_path / "spark" / "unit_spark" / "__init__.py").write_text("K = 1\n" * 1000)
    monkeypatch.syspath_prepend(str(tmp_path / "spark"))
    monkeypatch.setattr(local_modules, "_ELSEWHERE_BYTES", 1000)
    cells = Cells()
    cells.run(
        "import unit_spark\nfrom flyte_nb import task\n"
        "@task\ndef f() -> int:\n    return unit_spark.K\n"
    )
    packed = pack(cells["f"], scope=Scope(), local_roots=[tmp_path / "book"])
    del sys.modules["unit_spark"]
    assert packed.modules == ()
    assert any("'unit_spark' in" in warning and "MB" in warning for warning in packed.warnings)


def test_a_module_of_a_zip_is_not_looked_for_on_disk(tmp_path, monkeypatch):
    import sys

    (tmp_path / "book").mkdir()
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("unit_zipped.py", "K = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib.zip"))
    importlib.import_module("unit_zipped")
    assert Units([tmp_path / "book"]).find("unit_zipped") is None
    del sys.modules["unit_zipped"]


def test_a_module_beside_the_notebook_stands_before_an_installed_one(tmp_path, monkeypatch):
    for folder in ("book", "lib/site-packages"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "unit_shadow.py").write_text(f"K = {folder!r}\n")
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    assert Units([tmp_path / "book"]).find("unit_shadow").place == str(
        tmp_path / "book" / "unit_shadow.py"
    )
