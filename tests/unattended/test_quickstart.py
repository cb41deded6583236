import sys

import pytest

from flyte_nb.__main__ import main
from flyte_nb.admin import daemon
from flyte_nb.api.errors import UsageError
from flyte_nb.unattended import headless, quickstart

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat")


def notebook(*sources):
    cells = [
        nbformat.v4.new_markdown_cell(source[3:])
        if source.startswith("md:")
        else nbformat.v4.new_code_cell(source)
        for source in sources
    ]
    return nbformat.v4.new_notebook(cells=cells)


def test_the_shipped_notebook_is_found_in_a_checkout_and_is_one():
    path = quickstart.shipped()
    assert headless.read(path).cells


def test_the_persons_own_copy_is_left_as_it_is(tmp_path):
    path = quickstart.copied(tmp_path / "mine")
    assert path.read_bytes() == quickstart.shipped().read_bytes()
    path.write_text("edited")
    assert quickstart.copied(tmp_path / "mine").read_text() == "edited"


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--folder"):
        quickstart.copied(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="--folder"):
        quickstart.execute_headless(tmp_path / "file" / "below", say=print)


def test_steps_are_told_with_their_heading_and_what_they_show(tmp_path):
    steps = []
    outcome = headless.execute(
        notebook(
            "md:# Title\n\n## Load\ntext", "x = 3\nx", "@print\ndef f():\n    pass", "print(x)"
        ),
        folder=tmp_path,
        name="steps",
        on_step=steps.append,
    )
    assert outcome.error == ""
    assert (steps[0].title, steps[0].text) == ("Load", "3")
    assert [step.title for step in steps][1:] == ["def f():", "print(x)"]
    assert [(step.number, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]


def test_what_was_printed_in_parts_is_one_text():
    def printed(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    cell = nbformat.v4.new_code_cell()
    value = nbformat.v4.new_output("execute_result", {"text/plain": "3"})
    cell.outputs = [printed("a"), printed(" b\n"), printed("no", "stderr"), value, value]
    assert headless.texts(cell) == ["a b", "3", "3"]


def test_the_kernel_is_told_the_notebooks_name(tmp_path):
    made = notebook(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from flyte_nb.discovery.names import notebook_name\n"
        "notebook_name(os.environ, vars(sys.modules['__main__']), cwd=Path.cwd()).name"
    )
    outcome = headless.execute(made, folder=tmp_path, name="given")
    assert headless.texts(outcome.notebook.cells[0]) == ["'given'"]


def test_a_cell_that_fails_ends_the_run_with_its_traceback(tmp_path):
    outcome = headless.execute(notebook("1 / 0", "print('never')"), folder=tmp_path, name="failing")
    assert "ZeroDivisionError" in outcome.error
    assert headless.texts(outcome.notebook.cells[1]) == []


def test_a_kernel_that_dies_is_told(tmp_path):
    outcome = headless.execute(notebook("import os; os._exit(3)"), folder=tmp_path, name="dying")
    assert "died" in outcome.error


def test_jupyterlab_that_is_missing_is_named_with_the_command_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'flyte-nb\[quickstart\]'"):
        quickstart.open_in_lab(tmp_path)


@pytest.mark.slow
def test_the_quickstart_runs_headless_and_prints_its_results(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="the quickstart's data come with scikit-learn")
    home = tmp_path / "home"
    monkeypatch.setenv("FLYTE_NB_HOME", str(home))
    try:
        code = main(["quickstart", "--headless", "--folder", str(tmp_path / "run")])
        said = capsys.readouterr().out
        assert code == 0, said
        assert "accuracy" in said.partition("Results:")[2]
        assert (tmp_path / "run" / "quickstart-executed.ipynb").is_file()
    finally:
        daemon.stop(home)
