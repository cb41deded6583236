"""The user's interpreter and the host's do not meet: packages, environment, descriptors, process state."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import flyte_nb
from flyte_nb.testing.wheels import install, wheel

HEAD = "from flyte_nb import task\n"
OURS = ("flyteidl", "google.protobuf", "grpc", "cloudpickle", "fsspec", "msgpack", "psutil", "yaml")

BROKEN = "raise RuntimeError('of another release, and not for you')\n"
CONFLICTING = (
    ("protobuf", "3.20.3", {"google/__init__.py": "", "google/protobuf/__init__.py": ""}),
    ("cloudpickle", "1.6.0", {"cloudpickle/__init__.py": ""}),
    ("fsspec", "0.8.7", {"fsspec/__init__.py": ""}),
    ("msgpack", "0.5.6", {"msgpack/__init__.py": ""}),
    ("grpcio", "1.20.0", {"grpc/__init__.py": ""}),
    ("flyteidl", "0.19.2", {"flyteidl/__init__.py": "", "flyteidl/core.py": BROKEN}),
    ("flyte_nb", "0.0.1", {"flyte_nb/__init__.py": BROKEN, "flyte_nb/sdk.py": BROKEN}),
    ("_flyte_nb_cloudpickle", "1", {"_flyte_nb_cloudpickle.py": BROKEN}),
)


class Environment:
    """A real virtual environment with nothing in it but what is put there."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
        subprocess.run(command, check=True)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        self.python = str(folder / "bin" / "python")
        self.packages = folder / "lib" / version / "site-packages"

    @property
    def variables(self):
        return {"FLYTE_NB_WORKER_PYTHON": self.python}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("empty") / "venv")


@pytest.fixture(scope="module")
def conflicting(tmp_path_factory):
    """Every package that the host or the worker uses, in a version that could not be used."""
    root = tmp_path_factory.mktemp("conflicting")
    found = Environment(root / "venv")
    for name, version, files in CONFLICTING:
        marked = {
            path: text or f"__version__ = {version!r}\n__getattr__ = None\n"
            for path, text in files.items()
        }
        install(found.packages, wheel(root, name, version, marked))
    return found


def test_the_users_environment_needs_nothing_of_ours(bench, empty):
    source = HEAD + (
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Model:\n    w: float\n"
        "@task\ndef f(n: int) -> list[str]:\n"
        "    found = []\n"
        f"    for name in {OURS}:\n"
        "        try:\n            __import__(name)\n            found.append(name)\n"
        "        except ImportError:\n            pass\n"
        "    return found + [str(Model(n).w)]\n"
    )
    assert bench.run(source, {"n": 2}, env=empty.variables).outputs["o0"].value[1] == ["2"]


def test_a_worker_has_the_ring_the_standard_library_and_nothing_else(bench, empty):
    source = HEAD + (
        "import json, sys\n"
        "@task\ndef f() -> str:\n"
        "    return json.dumps([sorted(sys.modules), sys.path, [str(f) for f in sys.meta_path]])\n"
    )
    modules, path, finders = json.loads(bench.run(source, env=empty.variables).outputs["o0"].value)
    known = {*sys.stdlib_module_names, "flyte_nb", "__main__", "sitecustomize", "usercustomize"}
    assert {name.partition(".")[0] for name in modules} - known == set()
    rooms = {name.split(".")[1] for name in modules if name.startswith("flyte_nb.")}
    assert rooms <= {"api", "types", "sdk", "pipe", "worker"}
    ring, *rest = path
    assert "/ring-" in ring
    standard = os.path.dirname(sysconfig.get_path("stdlib"))
    allowed = (standard, str(empty.packages), sys.base_prefix)
    assert [place for place in rest if not place.startswith(allowed)] == []
    assert len(finders) == 3


def test_the_users_versions_are_what_the_task_sees(bench, conflicting):
    source = HEAD + (
        "class Model: pass\n"
        "@task\ndef f() -> list[str]:\n"
        "    import cloudpickle, fsspec, msgpack, grpc, flyteidl, google.protobuf\n"
        "    Model()\n"
        "    found = (google.protobuf, cloudpickle, fsspec, msgpack, grpc, flyteidl)\n"
        "    return [module.__version__ for module in found]\n"
    )
    done = bench.run(source, env=conflicting.variables)
    assert done.outputs["o0"].value[1] == [version for _, version, _ in CONFLICTING[:6]]


def test_the_host_works_with_its_own_versions_meanwhile(bench, conflicting):
    """Structs are msgpack, pickled values go through the store, and failures are protobuf."""
    source = HEAD + (
        "from dataclasses import dataclass\n"
        "import cloudpickle, msgpack, google.protobuf\n"
        "@dataclass\nclass Row:\n    n: int\n    names: list[str]\n"
        "class Model:\n    def __init__(self, row): self.row = row\n"
        "@task\ndef f(row: Row) -> Row:\n    return Row(row.n + 1, [*row.names, 'b'])\n"
        "@task\ndef g() -> Model:\n    return Model(Row(1, []))\n"
        "@task\ndef h(model: Model) -> int:\n"
        "    if model.row.n == 1: raise KeyError(msgpack.__version__)\n    return 1\n"
    )
    bench.cells.run(source)
    row = bench.registry.codec(bench.cells["Row"]).encode(bench.cells["Row"](1, ["a"]), None)
    environment = conflicting.variables
    assert bench.run("", {"row": row}, env=environment).outputs["o0"].value == {
        "n": 2,
        "names": ["a", "b"],
    }
    model = bench.run("", name="g", env=environment).outputs["o0"]
    error = bench.run("", {"model": model}, name="h", env=environment).error
    assert error.code == "USER:KeyError"
    assert "0.5.6" in error.message


def test_nothing_of_the_hosts_environment_can_be_imported(cold, empty, tmp_path):
    """Not by its site-packages, its `.pth` files (as of editable installs), nor its start-up hooks."""
    host = Environment(tmp_path / "host")
    install(host.packages, wheel(tmp_path, "hostonly", "1", {"hostonly.py": ""}))
    editable = tmp_path / "editable"
    editable.mkdir()
    (editable / "hostedit.py").write_text("")
    finder = (
        "import sys; sys.meta_path.append(type('HostFinder', (), {'find_spec': lambda *_: None}))"
    )
    (host.packages / "hook.pth").write_text(f"{editable}\n{finder}\n")
    (host.packages / "sitecustomize.py").write_text("import os; os.environ['HOOKED'] = 'host'\n")
    ours = os.path.dirname(os.path.dirname(flyte_nb.__file__))
    (host.packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ours}\n")
    source = HEAD + (
        "import sys\n"
        "@task\ndef f() -> str:\n"
        "    found = [repr(item) for item in sys.meta_path if 'HostFinder' in repr(item)]\n"
        f"    for name in ('hostonly', 'hostedit', *{OURS}):\n"
        "        try:\n            __import__(name)\n            found.append(name)\n"
        "        except ImportError:\n            pass\n"
        "    return ' '.join(found)\n"
    )
    cold.python = host.python
    check = [host.python, "-c", "import hostonly, hostedit, flyteidl, flyte_nb"]
    subprocess.run(check, check=True)  # the host itself has them
    places = {"PYTHONPATH": str(editable), "PYTHONSTARTUP": str(editable / "hostedit.py")}
    done = cold.run(source, env={**empty.variables, **places})
    assert done.outputs["o0"].value == ""


def test_what_a_task_does_to_its_process_does_not_touch_the_host(bench, empty):
    source = HEAD + (
        "import builtins, json, logging, os, signal, sys\n"
        "class Model:\n    n = 5\n"
        "@task\ndef f() -> Model:\n"
        "    os.chdir('/'); os.environ.clear(); os.environ['TMPDIR'] = '/nowhere'; os.umask(0o777)\n"
        "    logging.disable(); logging.basicConfig(handlers=[], force=True)\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "    os.umask(0o077)\n"
        "    sys.setrecursionlimit(200); os.nice(1)\n"
        "    builtins.print = None\n"
        "    return Model()\n"
    )
    made = bench.run(source, env=empty.variables).outputs["o0"]
    assert made.value[0].startswith(f"file://{bench.root}/raw/")
    again = HEAD + "@task\ndef f(n: int) -> int:\n    print('fine'); return n\n"
    done = bench.run(again, {"n": 3}, env=empty.variables)
    assert (done.outputs["o0"].value, done.stdout) == (3, "fine\n")


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
        "    named = (signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGALRM)\n"
        "    untouched = all(signal.getsignal(each) is signal.SIG_DFL for each in named)\n"
        "    return [str(logging.getLogger().handlers), str(untouched),\n"
        "            str(sys.argv), sys.modules['__main__'].__name__]\n"
    )
    handlers, untouched, argv, main = bench.run(source).outputs["o0"].value[1]
    assert handlers == "[]"
    assert untouched == "True"
    assert argv == "['flyte-nb-worker']"
    assert main == "__main__"


def test_packages_are_found_where_the_kernel_finds_them_and_in_its_order(bench, tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        (folder / "shade.py").write_text(f"PLACE = {folder.name!r}\n")
    (folders[1] / "more.pth").write_text(f"{tmp_path / 'linked'}\n")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "edited.py").write_text("PLACE = 'linked'\n")
    source = HEAD + (
        "import sys\n"
        "@task\ndef f() -> list[str]:\n"
        "    import edited, shade\n"
        "    return [shade.PLACE, edited.PLACE, str(sys.flags.isolated)]\n"
    )
    named = os.pathsep.join(map(str, [*folders, tmp_path / "gone"]))
    outcome = bench.run(source, env={"FLYTE_NB_WORKER_FOLDERS": named})
    assert outcome.outputs["o0"].value[1] == ["first", "linked", "1"]
