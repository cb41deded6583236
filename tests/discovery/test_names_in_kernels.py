"""The same notebook file has the same name under each runner, in real kernels."""

import shutil
import subprocess
import sys

import pytest

from flyte_nb.unattended import headless

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat")

CELLS = [
    "import os, sys\nfrom pathlib import Path\nfrom flyte_nb.discovery.names import notebook_name",
    "notebook_name(os.environ, vars(sys.modules['__main__']), cwd=Path.cwd()).name",
]


@pytest.fixture
def notebook(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    answer = nbformat.v4.new_output("execute_result", {"text/plain": "'my_train'"})
    answer.execution_count = 2
    cells[1].outputs = [answer]
    for number, cell in enumerate(cells, start=1):
        cell.execution_count = number
    path = tmp_path / "my train.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), str(path))
    other = [nbformat.v4.new_code_cell(CELLS[0])]  # shares a cell, and comes first by name
    nbformat.write(nbformat.v4.new_notebook(cells=other), str(tmp_path / "a.ipynb"))
    return path


def named(executed):
    return headless.texts(executed.cells[1])


def test_under_nbclient(notebook):
    nbclient = pytest.importorskip("nbclient", reason="notebooks are executed by nbclient")
    made = headless.read(notebook)
    made.cells[1].outputs = []
    resources = {"metadata": {"path": str(notebook.parent)}}
    nbclient.NotebookClient(made, kernel_name="python3", resources=resources).execute()
    assert named(made) == ["'my_train'"]


def test_under_nbval(notebook):
    pytest.importorskip("nbval", reason="notebooks are compared by nbval")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q"]
    done = subprocess.run(
        # Cells have an order, which no plugin of the person's may change.
        [*command, "-p", "no:cacheprovider", "-p", "no:randomly", notebook.name],
        cwd=notebook.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("nbconvert", ["nbconvert", "--to", "notebook", "--execute", "--output", "out"]),
        ("nbclient", ["jupyter", "execute", "--output=out"]),
        ("papermill", ["papermill", "-k", "python3"]),
    ],
)
def test_under_a_runner_with_copies_beside_it(notebook, module, command):
    pytest.importorskip(module, reason="it is the runner")
    shutil.copy(notebook, notebook.with_name("a copy.ipynb"))
    written = ["out.ipynb"] if module == "papermill" else []
    subprocess.run(
        [sys.executable, "-m", *command, notebook.name, *written],
        cwd=notebook.parent,
        capture_output=True,
        check=True,
    )
    assert named(headless.read(notebook.with_name("out.ipynb"))) == ["'my_train'"]


def test_under_papermill_in_a_notebook_the_child_has_its_own_name(notebook, tmp_path):
    pytest.importorskip("papermill", reason="it is the runner")
    source = (
        "import papermill\n"
        f"papermill.execute_notebook({notebook.name!r}, 'sub/out.ipynb', kernel_name='python3',"
        " progress_bar=False)"
    )
    (tmp_path / "sub").mkdir()
    shutil.copy(notebook, notebook.with_name("a copy.ipynb"))
    parent = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    outcome = headless.execute(parent, folder=tmp_path, name="parent")
    assert outcome.error == ""
    assert named(headless.read(tmp_path / "sub" / "out.ipynb")) == ["'my_train'"]


def test_under_our_own_commands(notebook):
    outcome = headless.execute(headless.read(notebook), folder=notebook.parent, name="my_train")
    assert named(outcome.notebook) == ["'my_train'"]
