"""The user's interpreter and the host's do not meet: packages, environment, descriptors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = "from flyte_nb import task\n"


@pytest.fixture(scope="module")
def empty_python(tmp_path_factory):
    """An environment with nothing in it, and its folder of packages."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return str(folder / "bin" / "python"), folder / "lib" / version / "site-packages"


def test_the_users_environment_needs_nothing_of_ours(bench, empty_python):
    source = HEAD + (
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Model:\n    w: float\n"
        "@task\ndef f(n: int) -> list[str]:\n"
        "    found = []\n"
        "    for name in ('flyteidl', 'google.protobuf', 'grpc', 'cloudpickle', 'fsspec', 'msgpack'):\n"
        "        try:\n            __import__(name)\n            found.append(name)\n"
        "        except ImportError:\n            pass\n"
        "    return found + [str(Model(n).w)]\n"
    )
    python, _ = empty_python
    done = bench.run(source, {"n": 2}, env={"FLYTE_NB_WORKER_PYTHON": python})
    assert done.outputs["o0"].value[1] == ["2"]


def test_the_users_versions_are_what_the_task_sees(bench, empty_python):
    python, packages = empty_python
    conflicting = ("cloudpickle", "fsspec", "msgpack", "google", "flyteidl")
    for name in conflicting:
        (packages / name).mkdir(exist_ok=True)
        (packages / name / "__init__.py").write_text("__version__ = 'theirs'\nPickler = None\n")
    (packages / "flyte_nb").mkdir(exist_ok=True)
    (packages / "flyte_nb" / "__init__.py").write_text("raise ImportError('an old release')\n")
    source = HEAD + (
        "class Model: pass\n"
        "@task\ndef f() -> list[str]:\n"
        "    import cloudpickle, fsspec, msgpack, google, flyteidl\n"
        "    Model()\n"
        "    return [m.__version__ for m in (cloudpickle, fsspec, msgpack, google, flyteidl)]\n"
    )
    done = bench.run(source, env={"FLYTE_NB_WORKER_PYTHON": python})
    assert done.outputs["o0"].value[1] == ["theirs"] * 5


def test_the_hosts_path_variables_do_not_reach_the_task(bench, tmp_path):
    (tmp_path / "only_the_hosts.py").write_text("")
    source = HEAD + (
        "@task\ndef f() -> bool:\n"
        "    try:\n        import only_the_hosts\n        return True\n"
        "    except ImportError:\n        return False\n"
    )
    assert bench.run(source, env={"PYTHONPATH": str(tmp_path)}).outputs["o0"].value is False


def test_programs_that_the_task_starts_do_not_inherit_the_pipe(bench):
    source = HEAD + (
        "import subprocess, sys\n"
        "@task\ndef f() -> int:\n"
        "    code = 'import os; print(len([n for n in os.listdir(\"/proc/self/fd\")]))'\n"
        "    run = lambda **kw: int(subprocess.run([sys.executable, '-c', code], check=True,\n"
        "        capture_output=True, close_fds=False).stdout)\n"
        "    return run()\n"
    )
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    # stdin, stdout, stderr, and the folder that is listed
    assert bench.run(source).outputs["o0"].value == 4


def test_the_environment_and_the_working_folder_are_the_containers(bench, tmp_path):
    source = HEAD + (
        "import os\n"
        "@task\ndef f() -> list[str]:\n"
        "    own = [name for name in os.environ if name.startswith('FLYTE_NB_WORKER')]\n"
        "    return [os.environ['COLOUR'], os.getcwd(), *own]\n"
    )
    env = {"COLOUR": "blue", "FLYTE_NB_WORKER_PYTHON": sys.executable}
    assert bench.run(source, env=env).outputs["o0"].value[1] == ["blue", os.getcwd()]


def test_logging_and_signals_of_the_task_are_untouched(bench):
    source = HEAD + (
        "import logging, signal, sys\n"
        "@task\ndef f() -> list[str]:\n"
        "    untouched = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "    return [str(logging.getLogger().handlers), str(untouched),\n"
        "            str(sys.argv), sys.modules['__main__'].__name__]\n"
    )
    handlers, sigterm, argv, main = bench.run(source).outputs["o0"].value[1]
    assert handlers == "[]"
    assert sigterm == "True"
    assert argv == "['flyte-nb-worker']"
    assert main == "__main__"
