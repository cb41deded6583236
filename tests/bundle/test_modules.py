"""Which local modules belong together, and that what is on disk is what travels."""

import io
import os
import zipfile

import pytest

from flyte_nb.api.errors import BundleError
from flyte_nb.bundle.modules import LocalModules, Units, read_unit

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
    assert units[0].data == units[1].data


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
    names = zipfile.ZipFile(io.BytesIO(read_unit("pkg", package).data)).namelist()
    assert names == ["pkg/__init__.py", "pkg/sub/a.py"]


def test_a_file_that_was_rewritten_within_the_clocks_tick_is_read_again(tmp_path):
    path = tmp_path / "unit.py"
    path.write_text("K = 1")
    stamp = path.stat()
    first = read_unit("unit", path)
    path.write_text("K = 2")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert read_unit("unit", path).data != first.data


def test_a_settled_file_is_not_read_twice(tmp_path):
    path = tmp_path / "unit.py"
    path.write_text("K = 1")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert read_unit("unit", path) is read_unit("unit", path)


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
