"""What travels with a task, what is warned about, and what cannot travel."""

import contextlib
import io
import socket
import sys

import pytest

from flyte_nb.api.errors import BundleError
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import Packer, pack
from flyte_nb.bundle.source_names import cell_name
from flyte_nb.testing.cells import Cells
from flyte_nb.worker.load import loads

HEAD = "from flyte_nb import task\n"


def _pack(source, name="f", **options):
    cells = Cells()
    cells.run(HEAD + source)
    return pack(cells[name], scope=Scope(main_module="nb"), **options)


def test_a_task_has_the_notebooks_name():
    assert _pack("@task\ndef f() -> int:\n    return 1\n").name == "nb.f"


def test_what_is_captured_is_listed_with_sizes_largest_first():
    packed = _pack(
        "rows = list(range(5000))\nsmall = 3\ndef helper(): return small\n"
        "@task\ndef f(k: int = 7) -> int:\n    return len(rows) + helper() + k\n"
    )
    found = {item.name: item for item in packed.captured}
    assert packed.captured[0].name == "rows"
    assert found["rows"].size_bytes > 10_000
    assert (found["rows"].kind, found["helper()"].kind, found["k"].kind) == (
        "global", "helper", "default",
    )  # fmt: skip
    assert packed.warnings == ()


def test_what_the_task_does_not_refer_to_stays_behind():
    packed = _pack("token_value = 's3cr3t'\n@task\ndef f() -> int:\n    return 1\n")
    assert b"s3cr3t" not in packed.payload


def test_a_large_global_is_warned_about():
    packed = _pack("rows = 'x' * 2_000_000\n@task\ndef f() -> int:\n    return len(rows)\n")
    assert any("'rows' (2.0 MB)" in warning for warning in packed.warnings)


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "API_KEY",
        "openaiApiKey",
        "db_password",
        "AWS_SECRET_ACCESS_KEY",
        "secret",
        "my_token",
    ],
)
def test_a_name_like_a_secrets_is_warned_about(name):
    packed = _pack(f"{name} = 'x'\n@task\ndef f() -> str:\n    return {name}\n")
    [warning] = packed.warnings
    assert f"{name!r} looks like a secret" in warning
    assert next(item for item in packed.captured if item.name == name).secret_like


@pytest.mark.parametrize("name", ["tokenizer", "tokens_per_line", "key", "secretary", "passwords_"])
def test_a_name_that_only_looks_a_bit_like_one_is_not(name):
    packed = _pack(f"{name} = 'x'\n@task\ndef f() -> str:\n    return {name}\n")
    assert packed.warnings == ()


def test_large_buffers_are_members_of_their_own():
    source = (
        "import numpy as np\nrows = np.arange(100_000.0)\nraw = b'z' * 500_000\nfew = np.ones(10)\n"
        "@task\ndef f() -> float:\n    return rows.sum() + len(raw) + few.sum()\n"
    )
    packed = _pack(source)
    assert sorted(buffer.data.nbytes for buffer in packed.buffers) == [500_000, 800_000]
    assert len(packed.payload) < 5_000
    task = loads(packed.payload, [bytearray(buffer.data) for buffer in packed.buffers])
    assert task.function() == sum(range(100_000)) + 500_000 + 10
    changed = _pack(source.replace("few.sum()", "few.sum() * 2"))
    assert changed.payload_sha256 != packed.payload_sha256
    assert [b.sha256 for b in changed.buffers] == [b.sha256 for b in packed.buffers]


def test_a_changed_array_changes_the_fingerprint():
    source = "import numpy as np\nrows = np.ARRAY\n@task\ndef f() -> int:\n    return len(rows)\n"
    assert (
        _pack(source.replace("ARRAY", "ones(90_000)")).fingerprint
        != _pack(source.replace("ARRAY", "zeros(90_000)")).fingerprint
    )


def test_a_frame_travels():
    packed = _pack(
        "import pandas as pd\nframe = pd.DataFrame({'a': range(50_000), 'b': ['x', 'y'] * 25_000})\n"
        "@task\ndef f() -> int:\n    return int(frame.a.sum()) + len(frame.b.unique())\n"
    )
    task = loads(packed.payload, [bytearray(buffer.data) for buffer in packed.buffers])
    assert task.function() == sum(range(50_000)) + 2


MADE_INSIDE = "Create it inside of the task"
LOCKED = "import threading\nlock = threading.Lock()\n"
INSIDE_A_THREAD = (
    ("runner._handle", "_thread._ThreadHandle")
    if sys.version_info >= (3, 13)
    else ("runner._started._cond._lock", "_thread.lock")
)
UNPICKLABLE = [
    (LOCKED, "lock", "lock", "_thread.lock", MADE_INSIDE),
    (
        "\nviews = {'rows': [(i for i in range(3))]}\n",
        "views", "views['rows'][0]", "generator", "Make a list of it",
    ),
    (
        "import threading\nclass Holder: pass\nheld = Holder()\nheld.inner = Holder()\n"
        "held.inner.lock = threading.Lock()\n",
        "held", "held.inner.lock", "_thread.lock", MADE_INSIDE,
    ),
    (
        "import threading\nclass Slim:\n    __slots__ = 'lock',\nslim = Slim()\n"
        "slim.lock = threading.Lock()\n",
        "slim", "slim.lock", "_thread.lock", MADE_INSIDE,
    ),
    (LOCKED + "class K: gate = lock\nk = K()\n", "k", "k.K.gate", "_thread.lock", MADE_INSIDE),
    (
        LOCKED + "class K:\n    gate = lock\n    get = lambda self: self.gate\n",
        "K", "K.gate", "_thread.lock", MADE_INSIDE,
    ),
    (
        LOCKED + "import functools\npart = functools.partial(print, 1, sep=lock)\n",
        "part", "part.keywords['sep']", "_thread.lock", MADE_INSIDE,
    ),
    (
        LOCKED + "def make(gate):\n    return lambda: gate\nways = {'f': make(lock)}\n",
        "ways", "ways['f']() → gate", "_thread.lock", MADE_INSIDE,
    ),
    ("gen = (i for i in range(3))\n", "gen", "gen", "generator", "Make a list of it"),
    (
        "import contextlib, sqlite3\nbase = [contextlib.closing(sqlite3.connect(':memory:'))]\n",
        "base", "base[0].thing", "sqlite3.Connection", "Connect inside of the task",
    ),
    ("import socket\nline = socket.socket()\n", "line", "line", "socket", "Connect inside"),
    (
        "import os\nfile = open(os.devnull)\n",
        "file", "file", "TextIOWrapper", "Pass the file as a FlyteFile input",
    ),
    (
        "import threading\nrunner = threading.Thread()\n",
        "runner", *INSIDE_A_THREAD, "Start it inside of the task",
    ),
    (
        "class Tensor:\n    def __reduce_ex__(self, protocol):\n"
        "        raise RuntimeError('copy the tensor from cuda:0 first')\nweights = [Tensor()]\n",
        "weights", "weights[0]", "Tensor", "Move it to the CPU first",
    ),
    ("deep = []\nfor _ in range(9000): deep = [deep]\n", "deep", "deep[0][0][0][0][0][0]", "list",
     "It is nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("setup", "variable", "path", "kind", "advice"),
    UNPICKLABLE,
    ids=[row[2] for row in UNPICKLABLE],
)
def test_what_cannot_travel_is_named_by_variable_path_and_cell(setup, variable, path, kind, advice):
    cells = Cells()
    cells.run(HEAD + setup)
    cells.run(f"@task\ndef f() -> str:\n    x = 1\n    return str({variable})\n")
    with pytest.raises(BundleError) as caught:
        pack(cells["f"], scope=Scope())
    error = caught.value
    for value in cells.namespace.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (io.IOBase, socket.socket, contextlib.closing)):
                getattr(item, "thing", item).close()
    assert error.code == "USER:Unpicklable"
    assert (error.variable, error.path, error.location.line) == (variable, path, 4)
    assert "line 4" in str(error)
    assert kind in str(error)
    assert advice in str(error)


def test_a_session_belongs_to_the_kernel(tmp_path):
    import flyte_nb

    config = tmp_path / "config.yaml"
    config.write_text("admin:\n  endpoint: dns:///127.0.0.1:9\n  insecure: true\n")
    cells = Cells()
    cells.namespace["session"] = flyte_nb.connect(config)
    cells.run(HEAD + "@task\ndef f() -> str:\n    return str(session.label)\n")
    with pytest.raises(
        BundleError, match=r"it is a flyte_nb\.session\.session\.Session.*Leave it out"
    ):
        pack(cells["f"], scope=Scope())


def test_a_logger_travels_by_its_name():
    packed = _pack(
        "import logging\nlog = logging.getLogger('x')\n@task\ndef f() -> str:\n    return str(log)\n"
    )
    assert "<Logger x" in loads(packed.payload).function()


def test_a_task_over_the_limit_names_the_largest_part_its_place_and_what_to_do():
    cells = Cells()
    cells.run(HEAD + "rows = bytes(3_000_000)\n@task\ndef f() -> int:\n    return len(rows)\n")
    with pytest.raises(BundleError) as caught:
        Packer(scope=Scope(), limit_bytes=2_000_000).pack(cells["f"])
    assert caught.value.code == "USER:BundleTooLarge"
    for said in ("3.0 MB would travel with f()", "global 'rows'", "line 5", "Pass it as an input"):
        assert said in str(caught.value)


def test_what_a_helper_holds_is_named_with_the_helper():
    with pytest.raises(BundleError, match=r"f\(\) uses through deep\(\) the global 'lock'"):
        _pack(
            "import threading\nlock = threading.Lock()\ndef deep(): return lock\ndef mid(): return deep()\n"
            "@task\ndef f() -> str:\n    return str(mid())\n"
        )


def test_a_closure_that_cannot_travel_is_named():
    with pytest.raises(BundleError, match="captured variable 'gate'"):
        _pack(
            "import threading\ndef make():\n    gate = threading.Lock()\n"
            "    def inner(): return gate\n    return inner\nopen_ = make()\n"
            "@task\ndef f() -> str:\n    return str(open_())\n"
        )


def test_the_payload_names_cells_by_their_text():
    source = "@task\ndef f() -> int:\n    return 1 // 0\n"
    packed = _pack(source)
    assert cell_name(HEAD + source).encode() in packed.payload
    assert b"ipykernel" not in packed.payload


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_local_module_is_a_unit_with_what_it_imports(book):
    (book / "unit_a.py").write_text("import unit_b\ndef up(): return unit_b.K\n")
    (book / "unit_b.py").write_text("K = 1\n")
    (book / "unit_c.py").write_text("K = 1\n")
    source = "from unit_a import up\n@task\ndef f() -> int:\n    return up()\n"
    packed = _pack(source, local_roots=[book])
    assert [unit.name for unit in packed.modules] == ["unit_a", "unit_b"]
    assert {"module unit_a", "module unit_b"} <= set(packed.parts)
    assert "module unit_c" not in packed.parts


def test_a_change_on_disk_is_seen_at_once_and_reaches_the_tasks_that_import_it(book):
    (book / "unit_d.py").write_text("def up(): return 1\n")
    (book / "unit_e.py").write_text("def down(): return 1\n")
    cells = Cells()
    cells.run(
        HEAD + "from unit_d import up\nimport unit_e\n"
        "@task\ndef f() -> int:\n    return up()\n"
        "@task\ndef g() -> int:\n    return unit_e.down()\n"
    )
    options = {"scope": Scope(), "local_roots": [book]}
    first = {name: pack(cells[name], **options) for name in ("f", "g")}
    (book / "unit_d.py").write_text("def up(): return 2\n")
    second = {name: pack(cells[name], **options) for name in ("f", "g")}
    assert first["g"].fingerprint == second["g"].fingerprint
    assert first["f"].fingerprint != second["f"].fingerprint
    old, new = first["f"].parts, second["f"].parts
    assert {part for part in new if new[part] != old.get(part)} == {"module unit_d"}


def test_a_module_that_only_the_body_imports_is_shipped(book):
    (book / "unit_lazy.py").write_text("K = 1\n")
    packed = _pack(
        "@task\ndef f() -> int:\n    import unit_lazy\n    return unit_lazy.K\n", local_roots=[book]
    )
    assert [unit.name for unit in packed.modules] == ["unit_lazy"]


def test_installed_modules_are_not_shipped(book):
    (book / "site-packages").mkdir()
    (book / "site-packages" / "installed_here.py").write_text("K = 1\n")
    sys.path.insert(0, str(book / "site-packages"))
    try:
        packed = _pack(
            "import installed_here, json\n@task\ndef f() -> str:\n    return json.dumps(installed_here.K)\n",
            local_roots=[book],
        )
    finally:
        sys.path.remove(str(book / "site-packages"))
    assert packed.modules == ()


def test_a_task_of_a_local_module_travels_by_its_name(book):
    (book / "unit_tasks.py").write_text(
        "from flyte_nb import task\nrows = [1, 2]\n@task\ndef count() -> int:\n    return len(rows)\n"
    )
    import unit_tasks

    packed = pack(unit_tasks.count, scope=Scope(), local_roots=[book])
    assert packed.name == "unit_tasks.count"
    assert [unit.name for unit in packed.modules] == ["unit_tasks"]
    assert "function count()" in packed.parts
    assert len(packed.payload) < 200


def test_a_module_that_cannot_be_imported_travels_by_value(book):
    import importlib.util

    (book / "hidden").mkdir()
    (book / "hidden" / "unit_hidden.py").write_text("def up(n): return n + BASE\nBASE = 40\n")
    spec = importlib.util.spec_from_file_location("unit_hidden", book / "hidden" / "unit_hidden.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["unit_hidden"] = module
    spec.loader.exec_module(module)
    packed = _pack("from unit_hidden import up\n@task\ndef f() -> int:\n    return up(2)\n")
    del sys.modules["unit_hidden"]
    assert loads(packed.payload).function() == 42


def test_a_large_file_of_a_package_is_left_out_and_reported(book):
    (book / "unit_pkg").mkdir()
    (book / "unit_pkg" / "__init__.py").write_text("K = 1\n")
    (book / "unit_pkg" / "small.json").write_text("{}")
    (book / "unit_pkg" / "weights.bin").write_bytes(bytes(2 << 20))
    packed = _pack(
        "import unit_pkg\n@task\ndef f() -> int:\n    return unit_pkg.K\n", local_roots=[book]
    )
    [warning] = packed.warnings
    assert "unit_pkg/weights.bin" in warning
    assert len(packed.modules[0].parts[0].data) < 2000


@pytest.mark.parametrize(
    ("source", "name", "line"),
    [
        ("@task\ndef f() -> int:\n    return 1 + later()\n", "later", 4),
        ("def h():\n    return [missing for _ in (1,)]\n@task\ndef f() -> list:\n    return h()\n",
         "missing", 3),
        ("@task\ndef f() -> None:\n    get_ipython()\n", "get_ipython", 4),
    ],
)  # fmt: skip
def test_an_undefined_name_is_reported_with_its_line(source, name, line, monkeypatch):
    monkeypatch.setattr("builtins.get_ipython", print, raising=False)  # as IPython does
    [warning] = _pack(source).warnings
    assert f"uses the name {name!r}" in warning
    assert f"line {line})" in warning


def test_files_of_this_machine_that_a_task_holds_on_to_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("")
    packed = _pack(
        "from pathlib import Path\nfrom flyte_nb import FlyteFile\n"
        "rows = {'all': [FlyteFile('b.csv')]}\nhere, there = Path('a.csv'), Path('nowhere.csv')\n"
        "stored = FlyteFile('s3://bucket/c.csv')\n"
        "@task\ndef f() -> str:\n    return str([rows, here, there, stored])\n"
    )
    one, other = packed.warnings
    assert "The global 'here' refers to 'a.csv'" in one + other
    assert "The global 'rows' refers to 'b.csv'" in one + other
    assert "FlyteFile or FlyteDirectory input" in one


def test_display_is_known_where_tasks_run_too():
    assert _pack("@task\ndef f() -> None:\n    display(3)\n").warnings == ()


def test_names_that_are_defined_in_time_are_not_reported():
    packed = _pack(
        "def setup():\n    global made\n    made = 1\ndef display(x): return x\nK = 2\n"
        "@task\ndef f(n: 'int') -> int:\n"
        "    setup()\n    inner = lambda: n + made\n    return inner() + len([K]) + display(1)\n"
    )
    assert packed.warnings == ()


@pytest.mark.parametrize("name", ["_", "__", "In", "Out", "_i", "_12", "_i3", "_oh"])
def test_the_notebooks_history_is_reported_when_it_travels(name):
    [warning] = _pack(f"{name} = [1]\n@task\ndef f() -> str:\n    return str({name})\n").warnings
    assert f"The global {name!r}" in warning
    assert "Give the value a name of its own" in warning


def test_a_task_is_packed_once_for_itself_and_for_a_dynamic_one_that_calls_it():
    cells = Cells()
    cells.run(
        HEAD + "from flyte_nb import dynamic\n@task\ndef f(n: int) -> int:\n    return n\n"
        "@dynamic\ndef many(n: int) -> int:\n    return f(n=n)\n"
    )
    packer = Packer(scope=Scope())
    (inner,) = packer.pack(cells["many"]).inner
    assert packer.pack(cells["f"]) is inner
