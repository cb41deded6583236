"""The standard library reads the zips that we write."""

import io
import subprocess
import sys
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.bundle.zips import deterministic_zip

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=20)


@settings(deadline=None)  # a busy machine is no failure
@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=8))
def test_what_was_put_in_comes_out(members):
    archive = zipfile.ZipFile(io.BytesIO(deterministic_zip(members)))
    assert archive.testzip() is None
    assert archive.namelist() == sorted(members)
    assert {name: archive.read(name) for name in members} == members


def test_the_order_of_files_does_not_matter():
    assert deterministic_zip({"a": b"1", "b": b"2"}) == deterministic_zip({"b": b"2", "a": b"1"})


def test_python_imports_from_it(tmp_path):
    (tmp_path / "m.zip").write_bytes(
        deterministic_zip({"pkg/__init__.py": "from .é import K".encode(), "pkg/é.py": b"K = 42"})
    )
    code = "import sys; sys.path.insert(0, sys.argv[1]); import pkg; print(pkg.K)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, tmp_path / "m.zip"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "42\n"
