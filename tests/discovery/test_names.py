import json

import pytest

from flyte_nb.discovery.here import Here
from flyte_nb.discovery.names import (
    VARIABLE,
    NotebookName,
    by_cells,
    executed_cells,
    notebook_name,
    renamed,
    tidy,
)


def saved(path, *sources):
    cells = [
        {"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources
    ]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    return path


@pytest.mark.parametrize(
    ("env", "user_ns", "source"),
    [
        ({"JPY_SESSION_NAME": "/home/me/work/train.ipynb"}, {}, "JupyterLab"),
        ({}, {"__vsc_ipynb_file__": "/home/me/work/train.ipynb"}, "VS Code"),
        ({}, {"PAPERMILL_INPUT_PATH": "work/train.ipynb"}, "papermill"),
        ({VARIABLE: "train"}, {}, "our command"),
    ],
)
def test_the_same_notebook_has_the_same_name_whoever_runs_it(tmp_path, env, user_ns, source):
    found = notebook_name(env, user_ns, cwd=tmp_path)
    assert (found.name, found.source) == ("train", source)


def test_under_nbclient_and_nbval_the_cells_tell_which_file_it_is(tmp_path):
    saved(tmp_path / "other.ipynb", "import os", "x = 1")
    saved(tmp_path / "train.ipynb", "import os", "x = 2\ny = 3")
    found = notebook_name({}, {"_i1": "import os", "_i2": "x = 2\ny = 3"}, cwd=tmp_path)
    assert (found.name, found.source) == ("train", "the cells")


def test_of_equal_copies_the_first_by_name_counts(tmp_path):
    saved(tmp_path / "b.ipynb", "x = 1")
    saved(tmp_path / "a.ipynb", "x = 1")
    assert by_cells(["x = 1"], tmp_path).name == "a.ipynb"


def test_a_damaged_file_beside_the_notebook_is_passed_over(tmp_path):
    (tmp_path / "a.ipynb").write_text("{")
    (tmp_path / "b.ipynb").write_text("[1]")
    saved(tmp_path / "c.ipynb", "x = 1")
    assert by_cells(["x = 1"], tmp_path).name == "c.ipynb"


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
    saved(tmp_path / "b.ipynb", "import os", "x = 2")
    namespace = {"In": ["", "import os"], "_i1": "import os"}
    here = Here(None, namespace=namespace, env={}, cwd=lambda: tmp_path)
    assert here.notebook.name == "a"
    namespace["In"].append("x = 2")
    namespace["_i2"] = "x = 2"
    assert here.notebook.name == "b"
    here.settle()
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
