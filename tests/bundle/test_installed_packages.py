"""Installed packages that a task imports, pinned as they are installed here."""

import json
import sys

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.installed_packages import requirements
from flyte_nb.bundle.pack import pack
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VCS = {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a function that installs packages into a new folder: `install(name, version, files, **info)`."""
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def install(name, version, files, direct=None, record=True):
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        for file in files:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("K = 1\n")
        if record:
            (info / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))
        else:
            (info / "top_level.txt").write_text(files[0].partition("/")[0])
        if direct is not None:
            (info / "direct_url.json").write_text(json.dumps(direct))

    yield install
    for name in set(sys.modules) - before:
        del sys.modules[name]


def texts(*modules):
    return [requirement.text for requirement in requirements(modules)]


def test_a_package_is_found_by_its_own_name_or_by_its_list_of_files(site):
    site("unit_same", "1.2", ["unit_same/__init__.py"])
    site("Other_Name", "3.0rc1", ["unit_other/__init__.py", "unit_single.py"])
    site("old", "2.0", ["unit_old/__init__.py"], record=False)
    assert texts("unit_same.deep", "unit_other", "unit_single", "unit_old") == [
        "old==2.0",
        "other-name==3.0rc1",
        "unit-same==1.2",
    ]
    [_, other, _] = requirements(["unit_same", "unit_other", "unit_single", "unit_old"])
    assert other.modules == ("unit_other", "unit_single")


def test_a_package_that_only_has_the_modules_name_did_not_bring_it(site):
    site("unit_taken", "9", ["unit_elsewhere/__init__.py"])
    site("real", "1", ["unit_taken/__init__.py"])
    assert texts("unit_taken") == ["real==1"]


def test_the_second_name_decides_which_package_brought_a_namespace_package(site):
    site("unit_one", "1", ["unit_space/one/__init__.py"])
    site("unit_two", "2", ["unit_space/two/__init__.py"])
    assert texts("unit_space.two.deep") == ["unit-two==2"]
    assert texts("unit_space") == ["unit-one==1", "unit-two==2"]


@pytest.mark.parametrize(
    ("direct", "text", "is_noted"),
    [
        (VCS, f"unit-direct @ git+https://example.org/x.git@{COMMIT}", False),
        (
            {**VCS, "subdirectory": "py"},
            f"unit-direct @ git+https://example.org/x.git@{COMMIT}#subdirectory=py",
            False,
        ),
        (
            {"url": "https://example.org/x.whl", "archive_info": {}},
            "unit-direct @ https://example.org/x.whl",
            False,
        ),
        ({"url": "file:///home/me/x", "dir_info": {}}, "unit-direct==1", True),
    ],
)
def test_what_came_from_an_address_is_pinned_to_it(site, direct, text, is_noted):
    site("unit_direct", "1", ["unit_direct/__init__.py"], direct)
    [found] = requirements(["unit_direct"])
    assert (found.text, bool(found.note)) == (text, is_noted)


def test_modules_of_python_and_of_no_package_need_nothing(site):
    assert texts("json", "os.path", "builtins", "flyte_nb.api", "unit_nowhere") == []


def test_a_task_needs_what_it_and_its_helpers_and_modules_import(site, tmp_path, monkeypatch):
    for name in ("unit_glob", "unit_body", "unit_value", "unit_below"):
        site(name, "1", [f"{name}/__init__.py"])
    book = tmp_path / "book"
    book.mkdir()
    (book / "unit_mine.py").write_text("import unit_below, json\nK = 1\n")
    monkeypatch.syspath_prepend(str(book))
    cells = Cells()
    cells.run(
        "import unit_glob, unit_mine\nfrom flyte_nb import task\n"
        "def helper(): return unit_glob.K\n"
        "@task\ndef f() -> int:\n    import unit_body, unit_absent\n"
        "    return helper() + unit_mine.K\n"
    )
    packed = pack(cells["f"], scope=Scope(), local_roots=[book])
    assert [found.text for found in packed.requirements] == [
        "unit-below==1",
        "unit-body==1",
        "unit-glob==1",
    ]
    [warning] = packed.warnings
    assert "imports 'unit_absent', which is neither installed here" in warning


def test_the_package_of_a_value_is_needed():
    cells = Cells()
    cells.run(
        "import numpy\nrows = numpy.ones(3)\nfrom flyte_nb import task\n"
        "@task\ndef f() -> float:\n    return float(rows.sum())\n"
    )
    assert [found.modules for found in pack(cells["f"], scope=Scope()).requirements] == [("numpy",)]


@pytest.mark.parametrize(
    "annotation", ["pd.DataFrame", "list[pd.DataFrame]", "dict[str, pd.DataFrame | None]"]
)
def test_a_table_needs_what_reads_parquet(annotation):
    cells = Cells()
    cells.run(
        "import pandas as pd\nfrom flyte_nb import task\n"
        f"@task\ndef f(rows: {annotation}) -> int:\n    return 1\n"
    )
    packed = pack(cells["f"], scope=Scope(), registry=default_registry())
    assert {module for each in packed.requirements for module in each.modules} == {
        "pandas",
        "pyarrow",
    }


def test_requirements_are_no_part_of_the_fingerprint(site):
    site("unit_lib", "1", ["unit_lib/__init__.py"])
    cells = Cells()
    cells.run(
        "import unit_lib\nfrom flyte_nb import task\n"
        "@task\ndef f() -> int:\n    return unit_lib.K\n"
    )
    packed = pack(cells["f"], scope=Scope())
    assert [found.text for found in packed.requirements] == ["unit-lib==1"]
    assert list(packed.parts) == ["function f()"]
