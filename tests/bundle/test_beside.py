"""Files beside a module travel when its source names them, and change the module's digest."""

import io
import time
import zipfile

import pytest

from flyte_nb.bundle import beside
from flyte_nb.bundle.units import read_unit

FILES = ["words.txt", "unit.json", "more.cfg", "sql/a.sql", "sql/b.sql", "sql/old/c.sql", "x.csv"]
FILES += [".env", "draft.ipynb", "script.py", "helper_of_script.py"]
NAMES = {
    "Path(__file__).parent / 'words.txt'": ["words.txt"],
    "os.path.join(os.path.dirname(__file__), 'sql', 'a.sql')": ["sql/a.sql", "sql/b.sql", "sql/old/c.sql"],
    "Path(__file__).with_suffix('.json')": ["unit.json"],
    "Path(__file__).parent.glob('*.c*')": ["more.cfg", "x.csv"],
    "Path(__file__).parent.rglob('sql/**/c.sql')": ["sql/old/c.sql"],
    "open(Path(__file__).parent / f'{name}.csv')": ["x.csv"],
    "Path(__file__).parent / 'script.py'": ["script.py"],
    "Path(__file__).parent / '.env'": [],
    "Path(__file__).parent / 'draft.ipynb'": [],
    "Path(__file__).parent.glob('*')": [],
    "Path(__file__).parent / '../words.txt'": [],
    "Path('words.txt')": [],
    "Path(__file__).parent / '/etc/passwd'": [],
}  # fmt: skip


@pytest.fixture
def book(tmp_path):
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import helper_of_script" if name == "script.py" else name)
    return tmp_path


def names_in(unit):
    return sorted(
        name
        for part in unit.parts
        for name in zipfile.ZipFile(io.BytesIO(part.data)).namelist()
        if not name.endswith("/")
    )


@pytest.mark.parametrize("expression", NAMES)
def test_what_the_source_names_travels(book, expression):
    (book / "unit.py").write_text(
        f"from pathlib import Path\nimport os\nX = lambda: {expression}\n"
    )
    assert names_in(read_unit("unit", book / "unit.py")) == sorted(["unit.py", *NAMES[expression]])


def test_a_script_that_travels_brings_what_it_imports(book):
    (book / "unit.py").write_text("S = __file__ + 'script.py'\n'script.py'\n")
    assert "helper_of_script" in read_unit("unit", book / "unit.py").imports


def test_a_package_names_files_beside_it(book):
    (book / "pkg").mkdir()
    (book / "pkg" / "__init__.py").write_text("")
    module = book / "pkg" / "m.py"
    module.write_text("from pathlib import Path\nX = Path(__file__).parent / 'words.txt'\n")
    assert names_in(read_unit("pkg", book / "pkg")) == ["pkg/__init__.py", "pkg/m.py"]
    module.write_text("from pathlib import Path\nX = Path(__file__).parent.parent / 'words.txt'\n")
    assert "words.txt" in names_in(read_unit("pkg", book / "pkg"))


def later():
    """Return the time at which a file that is written now counts as settled."""
    return time.time_ns() + 3_000_000_000


def test_a_change_of_a_file_beside_it_changes_the_module(book):
    (book / "unit.py").write_text("X = [__file__, 'words.txt', 'new.txt']\n")
    first = read_unit("unit", book / "unit.py", clock=later)
    assert read_unit("unit", book / "unit.py", clock=later) is first
    (book / "words.txt").write_text("other words")
    second = read_unit("unit", book / "unit.py", clock=later)
    (book / "new.txt").write_text("")
    third = read_unit("unit", book / "unit.py", clock=later)
    assert len({first.sha256, second.sha256, third.sha256}) == 3


def test_a_module_that_does_not_ask_for_its_place_is_the_zip_that_it_was(book):
    (book / "unit.py").write_text("X = 'words.txt'\n")
    assert names_in(read_unit("unit", book / "unit.py")) == ["unit.py"]


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_FILES"])
def test_a_large_folder_counts_as_data_and_is_reported_as_left_out(book, monkeypatch, limit):
    monkeypatch.setattr(beside, limit, 2)
    (book / "unit.py").write_text("X = [__file__, 'sql']\n")
    unit = read_unit("unit", book / "unit.py")
    assert (names_in(unit), unit.left_out) == (["unit.py"], ("sql/",))
