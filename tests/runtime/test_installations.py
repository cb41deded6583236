"""Whose Python it is: what a process says of its own, whether it is still there, and base variables."""

import json
import os
import subprocess
import sys

import pytest

from flyte_nb.runtime.installations import (
    VENV,
    Installation,
    dumps,
    loads,
    of_document,
    this_installation,
)
from flyte_nb.runtime.spawn import FOLDERS_VARIABLE, PYTHON_VARIABLE
from flyte_nb.runtime.variables import base_of, lent_by, settings_of

SAY = "from flyte_nb.runtime.installations import *; print(dumps(this_installation()))"


def said(*words, **variables):
    done = subprocess.run(
        [sys.executable, *words], env={**os.environ, **variables}, capture_output=True, check=True
    )
    return loads(done.stdout.decode())


def test_a_process_says_its_interpreter_its_version_and_its_base_variables():
    found = this_installation({"HOME": "/home/me", "MPLBACKEND": "inline", "LC_ALL": "C"})
    assert found.python == sys.executable
    assert found.version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert found.variables == (("HOME", "/home/me"), ("LC_ALL", "C"))
    assert loads(dumps(found)) == found
    assert of_document(json.loads(dumps(found))) == found


def test_folders_of_packages_are_named_only_where_there_are_more_than_the_interpreters_own(
    tmp_path,
):
    assert said("-c", SAY, PYTHONNOUSERSITE="1").folders == ()
    (tmp_path / "libs" / "thing-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "plain").mkdir()
    paths = os.pathsep.join(str(tmp_path / name) for name in ("libs", "plain", "gone"))
    found = said("-c", SAY, PYTHONNOUSERSITE="1", PYTHONPATH=paths)
    assert found.folders[0] == str(tmp_path / "libs")  # before the interpreter's own, as here
    assert str(tmp_path / "plain") not in found.folders
    assert found.of_worker()[FOLDERS_VARIABLE].split(os.pathsep) == list(found.folders)


def test_the_folder_of_the_program_itself_is_none_of_packages(tmp_path):
    (tmp_path / "mine-1.0.dist-info").mkdir()
    (tmp_path / "program.py").write_text(SAY)
    assert said(str(tmp_path / "program.py"), PYTHONNOUSERSITE="1").folders == ()


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"python": 1},
        {"python": ""},
        {"python": "/a\0b"},
        {"python": "/a", "folders": "x"},
        {"python": "/a", "folders": [1]},
        {"python": "/a", "variables": [["A"]]},
        {"python": "/a", "variables": {"A": "1"}},
        {"python": "/a" * 40_000},
    ],
)
def test_what_is_no_installation_is_refused(document):
    with pytest.raises(ValueError, match="installation"):
        of_document(document)


def test_a_python_that_is_gone_is_named_with_the_remedy(tmp_path):
    gone = Installation(str(tmp_path / "bin" / "python"), "3.11", str(tmp_path), VENV)
    problem = gone.problem("nb.fit")
    assert problem.code == "USER:PythonGone"
    assert not problem.recoverable
    assert f"nb.fit was registered from the Python {tmp_path}/bin/python, and that is gone" in (
        problem.message
    )
    assert "Register it again" in problem.message


@pytest.mark.parametrize("line", ["version = 3.99.1", "version_info = 3.99.1.final.0"])
def test_an_environment_that_was_made_anew_with_another_python_is_named(tmp_path, line):
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\n{line}\n")
    rebuilt = Installation(sys.executable, "3.11", str(tmp_path), VENV)
    problem = rebuilt.problem("nb.fit")
    assert problem.code == "USER:PythonChanged"
    assert "by Python 3.11 of the environment" in problem.message
    assert "made anew with Python 3.99" in problem.message
    assert rebuilt._replace(version="3.99").problem("nb.fit") is None
    (tmp_path / "pyvenv.cfg").write_bytes(b"\xff\xfe no text")
    assert rebuilt.problem("nb.fit") is None


def test_a_folder_for_temporary_files_that_is_gone_is_not_passed_on(tmp_path):
    there = Installation("/p", "3.11", "", variables=(("TMPDIR", str(tmp_path)),))
    assert there.base() == {"TMPDIR": str(tmp_path)}
    gone = there._replace(variables=(("TMPDIR", str(tmp_path / "job-17")), ("HOME", "/h")))
    assert gone.base() == {"HOME": "/h"}


def test_tools_find_their_environment_and_the_worker_its_python():
    venv = Installation("/v/bin/python", "3.11", "/v", VENV)
    assert venv.base() == {"VIRTUAL_ENV": "/v"}
    assert venv.of_worker() == {PYTHON_VARIABLE: "/v/bin/python"}
    assert venv.commands == "/v/bin"
    assert venv._replace(kind="conda").base() == {"CONDA_PREFIX": "/v"}


def test_the_base_is_the_same_small_set_of_any_environment():
    everything = {
        **dict.fromkeys(["HOME", "PATH", "TZ", "LC_TIME", "https_proxy", "SSL_CERT_FILE"], "kept"),
        **dict.fromkeys(["MPLBACKEND", "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "VIRTUAL_ENV"], "no"),
        **dict.fromkeys(["_FSEC_A_B", "API_TOKEN", "JPY_SESSION_NAME", "PYTHONSTARTUP"], "no"),
        **dict.fromkeys(["AWS_SECRET_ACCESS_KEY", "FLYTE_INTERNAL_IMAGE"], "elsewhere"),
    }
    assert set(base_of(everything).values()) == {"kept"}
    assert len(base_of(everything)) == 6


def test_settings_of_the_backend_are_passed_on_and_what_tells_of_a_run_is_not():
    environ = {
        "FLYTE_INTERNAL_IMAGE": "kept",
        "FLYTE_INTERNAL_MODULE_DIR": "kept",
        "FLYTE_NB_WARM": "kept",
        **dict.fromkeys(["FLYTE_INTERNAL_EXECUTION_ID", "FLYTE_INTERNAL_TASK_NAME"], "no"),
        **dict.fromkeys(["FLYTE_INTERNAL_PROJECT", "FLYTE_ATTEMPT_NUMBER", "_F_WN"], "no"),
        **dict.fromkeys(["FLYTE_NB_SECRETS", "FLYTE_NB_ATTEMPT", "HOME"], "no"),
    }
    assert set(settings_of(environ).values()) == {"kept"}
    assert len(settings_of(environ)) == 3


def test_ways_to_stores_and_indexes_are_lent_and_nothing_else():
    environ = {"AWS_PROFILE": "a", "UV_INDEX_URL": "b", "PIP_INDEX_URL": "c", "HOME": "d"}
    assert lent_by(environ) == {"AWS_PROFILE": "a", "UV_INDEX_URL": "b", "PIP_INDEX_URL": "c"}
