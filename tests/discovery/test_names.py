import json

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.discovery.ancestors import Ancestor
from flyte_nb.discovery.cell_files import executed_cells
from flyte_nb.discovery.here import Here
from flyte_nb.discovery.names import VARIABLE, NotebookName, notebook_name, renamed, tidy

KERNEL = ("python", "-m", "ipykernel_launcher", "-f", "kernel-1.json")


def saved(path, *sources, papermill=None):
    cells = [
        {"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources
    ]
    metadata = {"papermill": papermill} if papermill else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4}))
    return path


def ran(*sources):
    """The variables of a kernel in which these cells ran."""
    return {f"_i{number}": source for number, source in enumerate(sources, start=1)}


def name_of(*sources, folder, processes=(), env=()):
    return notebook_name(dict(env), ran(*sources), cwd=folder, above=lambda: processes)


class Marked:
    """An entity of the notebook."""

    module = "__main__"


@pytest.mark.parametrize(
    ("env", "user_ns", "source"),
    [
        ({"JPY_SESSION_NAME": "/home/me/work/train.ipynb"}, {}, "JupyterLab"),
        ({}, {"__vsc_ipynb_file__": "/home/me/work/train.ipynb"}, "VS Code"),
        ({}, {"PAPERMILL_INPUT_PATH": "work/train.ipynb"}, "papermill"),
        ({VARIABLE: "train"}, {}, "our command"),
    ],
)
def test_the_same_notebook_has_the_same_name_in_every_runner(tmp_path, env, user_ns, source):
    found = notebook_name(env, user_ns, cwd=tmp_path)
    assert (found.name, found.source) == ("train", source)


def test_under_nbclient_and_nbval_the_cells_tell_which_file_it_is(tmp_path):
    saved(tmp_path / "other.ipynb", "import os", "x = 1")
    saved(tmp_path / "train.ipynb", "import os", "x = 2\ny = 3")
    found = notebook_name({}, {"_i1": "import os", "_i2": "x = 2\ny = 3"}, cwd=tmp_path)
    assert (found.name, found.source) == ("train", "the cells")


def test_of_equal_copies_none_is_taken_and_registering_refuses_with_their_names(tmp_path):
    saved(tmp_path / "b.ipynb", "x = 1")
    saved(tmp_path / "a.ipynb", "x = 1")
    namespace = {"In": ["", "x = 1"], **ran("x = 1")}
    here = Here(None, namespace=namespace, env={}, cwd=lambda: tmp_path)
    assert (here.notebook.name, here.notebook.source) == ("notebook", "default")
    with pytest.raises(UsageError, match=r"a\.ipynb, b\.ipynb .*%flyte connect --name a"):
        here.settle([Marked()])
    here.settle([])  # nothing is named after the notebook


def test_a_notebook_that_only_begins_with_the_same_cells_gives_no_name(tmp_path):
    saved(tmp_path / "somebodys.ipynb", "import os", "x = 1")
    assert name_of("import os", "y = 2", folder=tmp_path).source == "default"


def test_while_two_notebooks_have_all_that_ran_neither_is_taken(tmp_path):
    saved(tmp_path / "short.ipynb", "import os")
    saved(tmp_path / "long.ipynb", "import os", "x = 2")
    both = name_of("import os", folder=tmp_path)
    assert [path.rpartition("/")[2] for path in both.candidates] == ["long.ipynb", "short.ipynb"]
    assert name_of("import os", "x = 2", folder=tmp_path).name == "long"


def test_what_nbconvert_or_papermill_wrote_beside_it_is_no_other_notebook(tmp_path):
    saved(tmp_path / "train.ipynb", "x = 1")
    saved(tmp_path / "train.nbconvert.ipynb", "x = 1")
    ended = {"input_path": "train.ipynb", "start_time": "2026-01-01", "end_time": "2026-01-02"}
    saved(tmp_path / "out.ipynb", "x = 1", papermill=ended)
    assert name_of("x = 1", folder=tmp_path).name == "train"


def test_a_damaged_file_beside_the_notebook_is_passed_over(tmp_path):
    (tmp_path / "a.ipynb").write_text("{")
    (tmp_path / "b.ipynb").write_text("[1]")
    (tmp_path / "d.ipynb").write_text("[" * 100_000)
    saved(tmp_path / "c.ipynb", "x = 1")
    assert name_of("x = 1", folder=tmp_path).name == "c"


@pytest.mark.parametrize(
    ("arguments", "name", "source"),
    [
        ("python /bin/jupyter-nbconvert --to notebook --execute train.ipynb", "train", "nbconvert"),
        (
            "jupyter-nbconvert --execute train --to notebook --output copy.ipynb",
            "train",
            "nbconvert",
        ),
        ("python -m nbconvert --execute --output=copy train.ipynb", "train", "nbconvert"),
        ("python -m jupyter nbconvert --inplace --execute tr*n.ipynb", "train", "nbconvert"),
        ("python /bin/jupyter-execute train --output copy", "train", "jupyter execute"),
        ("jupyter execute --allow-errors train.ipynb", "train", "jupyter execute"),
        ("papermill train.ipynb copy.ipynb -p n 3", "train", "papermill"),
        ("papermill -p src copy.ipynb --cwd . train.ipynb out/x.ipynb", "train", "papermill"),
        ("python -m papermill s3://bucket/nb/train.ipynb copy.ipynb", "train", "papermill"),
        ("python -W ignore /bin/papermill -k python3 train.ipynb", "train", "papermill"),
        ("python run.py train.ipynb", "train", "the arguments of run"),
        ("pytest --nbval train.ipynb", "train", "the arguments of pytest"),
    ],
)
def test_the_input_of_a_runner_names_the_notebook_whatever_files_are_beside_it(
    tmp_path, arguments, name, source
):
    saved(tmp_path / "train.ipynb", "x = 1")
    saved(tmp_path / "copy.ipynb", "x = 1")
    above = (Ancestor(tuple(arguments.split()), tmp_path), Ancestor(("bash",), tmp_path))
    found = name_of("x = 1", folder=tmp_path, processes=above)
    assert (found.name, found.source) == (name, source)
    assert f"Entities are named {name}.…: train.ipynb is " in found.said


def test_of_several_inputs_of_a_runner_the_cells_tell_which_it_is(tmp_path):
    saved(tmp_path / "a.ipynb", "x = 1", "y = 1")
    saved(tmp_path / "b.ipynb", "x = 1", "y = 2")
    above = (Ancestor(("jupyter-nbconvert", "--execute", "a.ipynb", "b.ipynb"), tmp_path),)
    assert name_of("x = 1", folder=tmp_path, processes=above).doubt
    assert name_of("x = 1", "y = 2", folder=tmp_path, processes=above).name == "b"


def test_arguments_of_an_unknown_program_count_only_when_the_cells_fit(tmp_path):
    saved(tmp_path / "template.ipynb", "x = 1")
    above = (Ancestor(("python", "run.py", "template.ipynb"), tmp_path),)
    assert name_of("y = 1", folder=tmp_path, processes=above).source == "default"


def test_what_papermill_notes_in_its_output_names_the_input(tmp_path):
    running = {"input_path": "nb/train.ipynb", "start_time": "2026-01-01", "end_time": None}
    saved(tmp_path / "out" / "result.ipynb", "# Parameters\nn = 3", "x = 1", papermill=running)
    found = name_of("# Parameters\nn = 3", "x = 1", folder=tmp_path)
    assert (found.name, found.source) == ("train", "papermill")
    assert found.path == str(tmp_path / "nb" / "train.ipynb")


def test_parameters_that_papermill_adds_hide_no_notebook(tmp_path):
    saved(tmp_path / "train.ipynb", "n = 1", "x = n")
    assert name_of("n = 1", "# Parameters\nn = 3", "x = n", folder=tmp_path).name == "train"


@pytest.mark.parametrize("variable", [VARIABLE, "JPY_SESSION_NAME"])
def test_a_variable_that_a_kernel_above_handed_on_names_the_other_notebook(tmp_path, variable):
    env = {variable: "/work/parent.ipynb"}
    saved(tmp_path / "child.ipynb", "x = 1")
    above = (
        Ancestor(KERNEL, tmp_path, lambda: env),
        Ancestor(("papermill", "parent.ipynb"), tmp_path),
    )
    assert name_of("x = 1", folder=tmp_path, processes=above, env=env).name == "child"
    server = (Ancestor(("jupyter-lab",), tmp_path, dict),)
    assert name_of("x = 1", folder=tmp_path, processes=server, env=env).name == "parent"


def test_a_script_that_a_notebook_starts_is_called_like_its_file(tmp_path):
    env = {"JPY_SESSION_NAME": "/work/parent.ipynb"}
    above = (Ancestor(KERNEL, tmp_path, lambda: env),)
    found = notebook_name(env, {"__file__": "/w/daily.py"}, cwd=tmp_path, above=lambda: above)
    assert (found.name, found.source) == ("daily", "the script")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (NotebookName("a", "JupyterLab", "a.ipynb"), ""),
        (NotebookName("a", "VS Code", "a.ipynb"), ""),
        (NotebookName("", "given"), ""),
        (NotebookName("a", "given"), "Entities are named a.…: as %flyte connect"),
        (NotebookName("notebook", "default"), "Entities are named notebook.…: nothing here says"),
        (
            NotebookName("a", "the cells", "/w/a.ipynb"),
            "Entities are named a.…: a.ipynb is the only",
        ),
    ],
)
def test_the_source_of_a_name_is_explained_unless_the_front_end_shows_the_name(name, said):
    assert name.said.startswith(said)
    assert bool(name.said) == bool(said)


def test_what_the_person_says_wins(tmp_path):
    env = {"JPY_SESSION_NAME": "train.ipynb"}
    assert notebook_name(env, {}, cwd=tmp_path, given="mine").name == "mine"


def test_a_console_is_no_notebook(tmp_path):
    env = {"JPY_SESSION_NAME": "/home/me/console-1-uuid"}
    assert notebook_name(env, {}, cwd=tmp_path) == NotebookName("notebook", "default")


def test_a_script_is_called_like_its_file(tmp_path):
    assert notebook_name({}, {"__file__": "/work/daily.py"}, cwd=tmp_path).name == "daily"


@pytest.mark.parametrize(
    ("name", "tidied"),
    [("my notebook", "my_notebook"), ("v1.2", "v1_2"), ("größe-3", "größe-3"), ("...", "notebook")],
)
def test_a_name_is_made_fit_to_stand_before_a_function(name, tidied):
    assert tidy(name) == tidied


def test_a_rename_while_the_kernel_runs_is_seen(tmp_path):
    old = saved(tmp_path / "old.ipynb", "x = 1")
    known = notebook_name({"JPY_SESSION_NAME": str(old)}, {}, cwd=tmp_path)
    cells = {"_i1": "x = 1"}
    assert renamed(known, cells, cwd=tmp_path) is None
    old.rename(tmp_path / "new.ipynb")
    assert renamed(known, cells, cwd=tmp_path) == "new"


def test_cells_are_known_also_where_only_the_input_list_is(tmp_path):
    assert executed_cells({"In": ["", "x = 1", "y = 2"]}) == ["x = 1", "y = 2"]


def test_a_name_that_only_the_cells_tell_follows_them_until_something_is_registered(tmp_path):
    saved(tmp_path / "a.ipynb", "import os")
    namespace = {"In": ["", "import os"], "_i1": "import os"}
    here = Here(None, namespace=namespace, env={}, cwd=lambda: tmp_path)
    assert here.notebook.name == "a"
    saved(tmp_path / "b.ipynb", "import os", "x = 2")
    namespace["In"].append("x = 2")
    namespace["_i2"] = "x = 2"
    assert here.notebook.name == "b"
    here.settle([Marked()])
    saved(tmp_path / "0.ipynb", "import os", "x = 2")
    namespace["In"].append("y = 3")
    assert here.notebook.name == "b"


def test_cells_that_ran_without_a_history_are_found_where_tracebacks_come_from():
    lines = {
        "/tmp/ipykernel_7/123.py": (5, None, ["x = 1\n", "y = 2\n"], ""),
        "/usr/lib/python3/os.py": (5, None, ["import abc\n"], ""),
        "<ipython-input-3-abc>": (5, None, ["z = 3\n"], ""),
    }
    assert executed_cells({"In": [""]}, lines) == ["x = 1\ny = 2", "z = 3"]
