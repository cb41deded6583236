"""`flyte-nb execute` end to end: results, isolation, tracebacks, files."""

import json
import subprocess
import sys

import pytest

HEAD = "from flyte_nb import task\n"


def test_a_task_gives_its_outputs(bench):
    done = bench.run(
        HEAD + "@task\ndef f(a: int, b: str = 'x') -> str:\n    return b * a\n", {"a": 3}
    )
    assert done.outputs["o0"].value == "xxx"


def test_several_named_outputs_and_none(bench):
    source = HEAD + (
        "import typing\n"
        "class Out(typing.NamedTuple):\n    total: int\n    names: list[str]\n"
        "@task\ndef f(a: int) -> Out:\n    return Out(a, ['p', 'q'])\n"
        "@task\ndef g(a: int):\n    print('did', a)\n"
    )
    done = bench.run(source, {"a": 3})
    assert done.outputs["total"].value == 3
    assert done.outputs["names"].value == ("string_value", ["p", "q"])
    nothing = bench.run("", {"a": 3}, name="g")
    assert nothing.outputs == {}
    assert nothing.stdout == "did 3\n"


def test_what_the_user_prints_is_streamed_untouched(bench):
    source = HEAD + (
        "import sys, os\n"
        "@task\ndef f() -> int:\n"
        "    print('out é'); print('err', file=sys.stderr); os.write(1, b'raw\\n'); return 1\n"
    )
    done = bench.run(source)
    assert done.stdout == "out é\nraw\n"
    assert done.stderr == "err\n"
    assert done.outputs["o0"].value == 1


def test_helpers_globals_classes_and_other_tasks_travel(bench):
    source = HEAD + (
        "from dataclasses import dataclass\nimport enum, math\n"
        "labels = ['a', 'b']\n"
        "@dataclass\nclass Model:\n    w: float\n    def predict(self, x): return self.w * x\n"
        "class Kind(enum.Enum):\n    A = 'a'\n"
        "def scale(x): return math.floor(x) + len(labels)\n"
        "@task\ndef prepare(x: float) -> float:\n    return x + 1\n"
        "@task\ndef f(x: float) -> float:\n"
        "    return scale(Model(2.0).predict(prepare(x=x))) + (Kind('a') is Kind.A)\n"
    )
    assert bench.run(source, {"x": 1.5}).outputs["o0"].value == 8.0


def test_a_task_finds_the_notebooks_names_by_pickle_and_in_processes(bench):
    source = HEAD + (
        "import pickle, multiprocessing\n"
        "def square(n): return n * n\n"
        "class Box:\n    n = 2\n"
        "@task\ndef f() -> int:\n"
        "    box = pickle.loads(pickle.dumps(Box()))\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        return sum(pool.map(square, [box.n, 3]))\n"
    )
    assert bench.run(source).outputs["o0"].value == 13


def test_annotations_as_text_are_resolved_in_the_worker(bench):
    source = (
        "from __future__ import annotations\n"
        + HEAD
        + (
            "from dataclasses import dataclass\n"
            "@dataclass\nclass Row:\n    n: int\n"
            "@task\ndef f(n: int) -> Row:\n    return make(n)\n"
            "def make(n): return Row(n)\n"
        )
    )
    assert bench.run(source, {"n": 4}).outputs["o0"].value == {"n": 4}


def test_a_changed_array_does_not_change_the_store(bench):
    source = HEAD + (
        "import numpy as np\nrows = np.ones((300, 300))\n"
        "@task\ndef f() -> float:\n    rows[:] = 2\n    return float(rows.sum())\n"
    )
    staged_twice = [bench.run(source).outputs["o0"].value, bench.run("").outputs["o0"].value]
    assert staged_twice == [180000.0, 180000.0]


def test_local_modules_are_shipped(bench, tmp_path, monkeypatch):
    book = tmp_path / "book"
    (book / "pkg").mkdir(parents=True)
    (book / "shipped_utils.py").write_text(
        "import shipped_base\ndef up(n): return shipped_base.K + n\n"
    )
    (book / "shipped_base.py").write_text("K = 40\n")
    (book / "pkg" / "__init__.py").write_text("")
    (book / "pkg" / "deep.py").write_text("from . import data\ndef name(): return data()\n")
    (book / "pkg" / "__init__.py").write_text("def data(): return 'd'\n")
    monkeypatch.syspath_prepend(str(book))
    source = HEAD + (
        "from shipped_utils import up\nimport pkg.deep\n"
        "@task\ndef f(n: int) -> str:\n"
        "    import shipped_base\n    return f'{up(n)} {pkg.deep.name()} {shipped_base.K}'\n"
    )
    done = bench.run(source, {"n": 2}, local_roots=[book])
    assert done.outputs["o0"].value == "42 d 40"


def test_a_large_package_that_came_in_parts_is_one_package(bench, tmp_path, monkeypatch):
    book = tmp_path / "book"
    (book / "large_pkg" / "words").mkdir(parents=True)
    for number in range(60):
        lines = "".join(f"def f{line}(n): return n + {line}  # {'.' * 60}\n" for line in range(60))
        (book / "large_pkg" / f"m{number}.py").write_text(f"K = {number}\n{lines}")
    (book / "large_pkg" / "__init__.py").write_text("def fail(): raise ValueError('here')\n")
    (book / "large_pkg" / "words" / "a.txt").write_text("hello")
    monkeypatch.syspath_prepend(str(book))
    source = HEAD + (
        "import large_pkg.m1\nfrom large_pkg.m2 import f3\n"
        "@task\ndef f(n: int) -> str:\n"
        "    if n < 0:\n        large_pkg.fail()\n"
        "    import importlib.resources, pkgutil\n    from large_pkg import m59\n"
        "    word = importlib.resources.files('large_pkg') / 'words' / 'a.txt'\n"
        "    found = list(pkgutil.iter_modules(large_pkg.__path__))\n"
        "    return f'{f3(n)} {large_pkg.m1.K} {m59.K} {word.read_text()} {len(found)}'\n"
    )
    done = bench.run(source, {"n": 2}, local_roots=[book])
    assert done.outputs["o0"].value == "5 1 59 hello 60"
    error = bench.run("", {"n": -1}, local_roots=[book]).error
    assert "def fail(): raise ValueError('here')" in error.message
    assert 'File "large_pkg/__init__.py", line 1, in fail' in error.message


def test_files_go_through_the_host_while_user_code_runs(bench):
    source = HEAD + (
        "class Model:\n    def __init__(self, w): self.w = w\n"
        "@task\ndef f() -> Model:\n    return Model(7)\n"
        "@task\ndef g(model: Model) -> int:\n    return model.w + isinstance(model, Model)\n"
    )
    made = bench.run(source).outputs["o0"]
    assert made.value[0].startswith(f"file://{bench.root}/raw/")
    assert bench.run("", {"model": made}, name="g").outputs["o0"].value == 8


def test_a_million_numbers_go_by_file(bench):
    source = HEAD + "@task\ndef f(n: int) -> list[int]:\n    return list(range(n))\n"
    many = bench.run(source, {"n": 300_000}).outputs["o0"]
    assert many.value[1][-1] == 299_999
    source = HEAD + "@task\ndef f(rows: list[int]) -> int:\n    return sum(rows)\n"
    assert bench.run(source, {"rows": many}).outputs["o0"].value == sum(range(300_000))


def test_the_context_knows_the_run(bench):
    source = HEAD + (
        "from flyte_nb.sdk.execution_context import current_context\nimport os\n"
        "@task\ndef f() -> list[str]:\n"
        "    c = current_context()\n"
        "    open(os.path.join(c.working_directory, 'x'), 'w').close()\n"
        "    return [c.execution_id.name, c.raw_output_prefix, str(c.attempt)]\n"
    )
    env = {"FLYTE_INTERNAL_EXECUTION_ID": "exec1", "FLYTE_ATTEMPT_NUMBER": "2"}
    done = bench.run(source, env=env)
    assert done.outputs["o0"].value[1] == ["exec1", f"file://{bench.root}/raw", "2"]


def test_nothing_is_left_in_the_temporary_folder(bench):
    bench.run(HEAD + "@task\ndef f() -> int:\n    return 1\n")
    assert list(bench.tmp.iterdir()) == []


def test_the_user_sees_only_the_ring_of_ours(bench):
    source = HEAD + (
        "@task\ndef f() -> list[str]:\n"
        "    import sys, flyte_nb, flyte_nb.sdk.task\n"
        "    return [flyte_nb.sdk.task.__file__, str('google.protobuf' in sys.modules),\n"
        "            str('cloudpickle' in sys.modules), str('grpc' in sys.modules)]\n"
    )
    found = bench.run(source).outputs["o0"].value[1]
    assert "/ring-" in found[0]
    assert found[1:] == ["False"] * 3


def test_exit_handlers_run_and_lingering_threads_do_not_hold_it_up(bench):
    source = HEAD + (
        "import atexit, threading, time\n"
        "@task\ndef f() -> int:\n"
        "    atexit.register(print, 'bye')\n"
        "    threading.Thread(target=time.sleep, args=(50,)).start()\n"
        "    return 1\n"
    )
    done = bench.run(source)
    assert done.stdout == "bye\n"
    assert done.outputs["o0"].value == 1


def test_a_traceback_shows_the_cells_lines_and_no_frame_of_ours(bench):
    source = HEAD + (
        "def helper(n):\n"
        "    rows = [1, 2]\n"
        "    return rows[n]  # the culprit\n"
        "\n"
        "@task\n"
        "def f(n: int) -> int:\n"
        "    return helper(n)\n"
    )
    error = bench.run(source, {"n": 9}).error
    assert error.code == "USER:IndexError"
    assert error.origin == "USER"
    assert not error.recoverable
    assert error.message.endswith("Message:\n\n    IndexError: list index out of range")
    assert "return rows[n]  # the culprit" in error.message
    assert "line 4, in helper" in error.message
    assert "line 8, in f" in error.message
    assert "<cell " in error.message
    assert "flyte_nb" not in error.message
    assert "ipykernel" not in error.message


def test_a_traceback_names_a_shipped_module_as_the_author_knows_it(bench, tmp_path, monkeypatch):
    book = tmp_path / "book"
    (book / "inner_pkg").mkdir(parents=True)
    (book / "inner_pkg" / "__init__.py").write_text("from .deep import fail\n")
    (book / "inner_pkg" / "deep.py").write_text("def fail():\n    raise ValueError('here')\n")
    (book / "outer_mod.py").write_text("import inner_pkg\ndef go():\n    inner_pkg.fail()\n")
    monkeypatch.syspath_prepend(str(book))
    source = HEAD + "from outer_mod import go\n@task\ndef f() -> None:\n    go()\n"
    message = bench.run(source, local_roots=[book]).error.message
    assert 'File "outer_mod.py", line 3, in go' in message
    assert 'File "inner_pkg/deep.py", line 2, in fail' in message
    assert "raise ValueError('here')" in message
    assert ".zip" not in message


def test_a_chained_exception_keeps_its_cause_and_loses_our_frames(bench):
    source = HEAD + (
        "@task\ndef f() -> int:\n"
        "    try:\n        return 1 // 0\n"
        "    except ZeroDivisionError as error:\n"
        "        raise KeyError('no such row') from error\n"
    )
    error = bench.run(source).error
    assert error.code == "USER:KeyError"
    assert "ZeroDivisionError" in error.message
    assert "direct cause" in error.message
    assert "flyte_nb" not in error.message


def test_an_async_task_runs_and_awaits_others_in_its_process(bench):
    source = HEAD + (
        "import asyncio\nfrom flyte_nb import FlyteFile, workflow\n"
        "@task\nasync def double(n: int) -> int:\n    await asyncio.sleep(0)\n    return 2 * n\n"
        "@task\ndef write(n: int) -> FlyteFile:\n"
        "    open('out.txt', 'w').write(str(n))\n    return FlyteFile('out.txt')\n"
        "@workflow\ndef both(n: int) -> int:\n    return double(n=double(n=n))\n"
        "@task\nasync def f() -> list[int]:\n"
        "    files = [write(n=1), write(n=2)]\n"
        "    texts = [open(file).read() for file in files]\n"
        "    found = await asyncio.gather(*[double(n=int(text)) for text in texts])\n"
        "    return [*found, both(n=1)]\n"
    )
    assert bench.run(source).outputs["o0"].value[1] == [2, 4, 4]


def test_a_recoverable_error_may_be_retried(bench):
    source = HEAD + (
        "from flyte_nb.api.errors import RecoverableError\n"
        "@task\ndef f() -> int:\n    raise RecoverableError('later')\n"
    )
    error = bench.run(source).error
    assert (error.code, error.recoverable, error.origin) == ("USER:Recoverable", True, "USER")


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ("return 'text'", "USER:OutputTypeMismatch", "output 'o0' of f()"),
        ("return None", "USER:OutputTypeMismatch", "f()"),
        ("raise SystemExit(3)", "USER:SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "USER:KeyboardInterrupt", "KeyboardInterrupt"),
        ("import nosuchmodule", "USER:ModuleNotFoundError", "nosuchmodule"),
        ("raise MemoryError", "USER:MemoryError", "MemoryError"),
    ],
)
def test_what_the_task_does_wrong_is_the_users(bench, body, code, text):
    error = bench.run(HEAD + f"@task\ndef f() -> int:\n    {body}\n").error
    assert (error.code, error.origin, error.recoverable) == (code, "USER", False)
    assert text in error.message


def test_inputs_that_do_not_fit_are_named(bench):
    source = HEAD + "@task\ndef f(n: int) -> int:\n    return n\n"
    assert bench.run(source, {"n": "seven"}).error.code == "USER:InputTypeMismatch"
    missing = bench.run("", {}).error
    assert missing.code == "USER:InputMissing"
    assert "'n'" in missing.message
    unknown = bench.run("", {"n": 1, "m": 2}).error
    assert unknown.code == "USER:InputUnknown"


def test_the_host_loads_no_protobuf_no_grpc_and_no_fsspec(cold):
    cold.cells.run(HEAD + "@task\ndef f() -> int:\n    return 1\n")
    staged = cold.stage()
    command = cold.command(staged, {}, cold.output())
    code = (
        "import sys, json\n"
        "from flyte_nb.__main__ import main\n"
        f"status = main({command[3:]!r})\n"
        "print(json.dumps([status, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, modules = json.loads(done.stdout)
    assert status == 0
    heavy = {"google.protobuf", "grpc", "fsspec", "argparse", "subprocess", "tempfile", "shutil",
             "importlib.metadata", "cloudpickle", "inspect", "dataclasses", "asyncio"}  # fmt: skip
    assert heavy.isdisjoint(modules)


def test_a_value_that_comes_back_is_of_the_notebooks_class(bench):
    source = HEAD + (
        "from dataclasses import dataclass, field\n"
        "from typing import Any\n"
        "FACTOR = 2\n"
        "@dataclass\nclass Row:\n    n: int\n    tags: list = field(default_factory=list)\n"
        "    def twice(self): return self.n * FACTOR\n"
        "class Holder:\n    def __init__(self, row): self.row = row\n"
        "@task\ndef f() -> Holder:\n    return Holder(Row(3))\n"
    )
    made = bench.run(source).outputs["o0"]
    methods = dict(vars(bench.cells["Row"]))
    holder = bench.registry.pickled(bench.cells["Holder"]).decode(made, _LocalData())
    assert isinstance(holder, bench.cells["Holder"])
    assert isinstance(holder.row, bench.cells["Row"])
    assert dict(vars(bench.cells["Row"])) == methods
    bench.cells.run("FACTOR = 5")
    assert holder.row.twice() == 15


class _LocalData:
    def download(self, uri):
        return uri.removeprefix("file://")
