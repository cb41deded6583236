"""Tasks whose own code goes wrong in odd ways: each fails with a code and a message that helps."""

import subprocess
import sys
from pathlib import Path

import pytest

from flyte_nb.wire.errors import error_document_from_bytes

HEAD = "from flyte_nb import task\nimport os, sys, time\n"


def _f(body, returns="int"):
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"{HEAD}@task\ndef f() -> {returns}:\n{lines}"


@pytest.mark.parametrize(
    ("body", "returns", "code", "texts"),
    [
        ("sys.exit(3)", "int", "USER:SystemExit", ["SystemExit: 3", "sys.exit(3)"]),
        ("raise KeyboardInterrupt", "int", "USER:KeyboardInterrupt", ["line 5, in f"]),
        ("return f.function()", "int", "USER:RecursionError", ["maximum recursion", "more times"]),
        ("pass", "int", "USER:OutputTypeMismatch", ["'o0'", "None"]),
        ("return 'a'", "int", "USER:OutputTypeMismatch", ["'o0'", "Expected int", "'a'"]),
        ("return 1, 2, 3", "tuple[int, int]", "USER:OutputTypeMismatch", ["2 outputs", "3 values"]),
        ("return 1", "tuple[int, int]", "USER:OutputTypeMismatch", ["2 outputs"]),
        ("return 2", "None", "USER:OutputTypeMismatch", ["no output", "-> int"]),
        ("return 1 << 70", "int", "USER:OutputTypeMismatch", ["64"]),
        ("yield 1", "int", "USER:SignatureProblems", ["has a yield"]),
        ("raise GeneratorExit", "int", "USER:GeneratorExit", ["line 5, in f"]),
        (
            "return 'a\\ud800b'",
            "str",
            "USER:OutputTypeMismatch",
            ["$.o0", "surrogates not allowed"],
        ),
        ("return {'k\\ud800': 1}", "dict", "USER:OutputTypeMismatch", ["$.o0", "surrogates"]),
        ("raise type('odd\\nname', (Exception,), {})('x')", "int", "USER:Exception", ["odd"]),
        (
            "class Bad(Exception):\n    def __str__(self): raise SystemExit(3)\nraise Bad()",
            "int",
            "USER:Bad",
            ["its text failed: SystemExit"],
        ),
        (
            "error = None\n"
            "for n in range(3000):\n"
            "    link = ValueError(n); link.__cause__ = error; error = link\n"
            "raise error",
            "int",
            "USER:ValueError",
            ["cannot be shown: RecursionError", "line 8, in f", "ValueError: 2999"],
        ),
        (
            "class Bad(Exception):\n    def __str__(self): raise ValueError('broken')\n"
            "    __repr__ = __str__\nraise Bad()",
            "int",
            "USER:Bad",
            ["its text failed: ValueError", "raise Bad()"],
        ),
        (
            "raise ValueError('x' * 5_000_000)",
            "int",
            "USER:ValueError",
            ["characters …", "ValueError: xxx"],
        ),
        ("raise ValueError('\\ud800 odd')", "int", "USER:ValueError", ["odd"]),
        (
            "class Local(Exception):\n    def __init__(self, a, b): super().__init__(a)\n"
            "raise Local('one', open(__import__('os').devnull))",
            "int",
            "USER:Local",
            ["Local: one"],
        ),
    ],
)
def test_what_the_code_does_wrong_is_said(bench, body, returns, code, texts):
    error = bench.run(_f(body, returns)).error
    assert error.code == code, error.message
    assert error.origin == "USER"
    assert len(error.message) < 120_000
    for text in texts:
        assert text in error.message
    assert "flyte_nb/" not in error.message.partition("Message:")[0]


@pytest.mark.parametrize(
    ("value", "returns", "what", "code"),
    [
        ("['x' * 1000] * 3000", "list[str]", "The outputs", "SYSTEM:DiskFull"),  # by file
        ("b'x' * 3000", "bytes", "The output 'o0' of f()", "SYSTEM:DiskFull"),
        # numpy does not say why.
        ("numpy.ones(3000)", "numpy.ndarray", "The output 'o0' of f()", "SYSTEM:StorageError"),
    ],
)
def test_a_worker_that_has_no_room_for_its_outputs_says_so(bench, value, returns, what, code):
    source = _f(f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\nreturn {value}", returns)
    error = bench.run(f"import numpy, resource\n{source}").error
    assert (error.code, error.recoverable) == (code, True)
    assert error.message.startswith(f"{what} cannot be written to the folder for temporary files")
    assert "TMPDIR" in error.message


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no exception groups")
def test_every_exception_of_a_group_is_shown_without_our_frames(bench):
    error = bench.run(
        _f(
            "def step(n):\n    return 1 // n\n"
            "found = []\n"
            "for n in (0, 'a'):\n"
            "    try:\n        step(n)\n    except Exception as error:\n        found.append(error)\n"
            "raise ExceptionGroup('both', found)"
        )
    ).error
    assert error.code == "USER:ExceptionGroup"
    for text in ("ZeroDivisionError", "TypeError", "return 1 // n", "both (2 sub-exceptions)"):
        assert text in error.message
    assert "flyte_nb" not in error.message


def test_a_coroutines_failure_shows_its_lines_and_no_frame_of_ours(bench):
    error = bench.run(
        HEAD
        + "import asyncio\nasync def step():\n    await asyncio.sleep(0)\n    return {}['gone']\n"
        "@task\ndef f() -> int:\n    return asyncio.run(step())\n"
    ).error
    assert error.code == "USER:KeyError"
    assert "return {}['gone']" in error.message
    assert "flyte_nb" not in error.message


def test_a_structure_that_is_too_deep_is_refused_by_name(bench):
    deep = "deep = {}\nfor _ in range(100_000):\n    deep = {'a': deep}\nreturn deep"
    error = bench.run(_f(deep, "dict")).error
    assert error.origin == "USER"
    assert error.code in ("USER:OutputTypeMismatch", "USER:RecursionError")
    assert "deep" in error.message or "recursion" in error.message


def test_a_loop_in_a_structure_is_refused(bench):
    error = bench.run(_f("loop = {}\nloop['a'] = loop\nreturn loop", "dict")).error
    assert error.origin == "USER"


def test_bytes_that_are_no_text_pass_through(bench):
    bench.cells.run(_f("os.write(1, b'\\xff\\xfe\\n')\nreturn 1"))
    command = bench.command(bench.stage(), {}, bench.output())
    done = subprocess.run(command, capture_output=True)
    assert done.stdout == b"\xff\xfe\n"


def test_values_over_the_limit_are_refused(bench):
    error = bench.run(_f("return ['x' * 1_000_000] * 200", "list[str]")).error
    assert (error.code, error.origin) == ("USER:ValuesTooLarge", "USER")
    assert "more than 134 MB" in error.message
    assert "FlyteFile" in error.message


def test_inputs_over_the_limit_are_refused_before_they_are_read(bench):
    bench.cells.run(_f("return 1"))
    output = bench.output()
    command = bench.command(bench.stage(), {}, output)
    with Path(f"{output}-inputs.pb").open("r+b") as file:
        file.truncate(1 << 40)  # sparse: nobody reads a terabyte within a test's time
    subprocess.run(command, check=True, capture_output=True)
    error = error_document_from_bytes((output / "error.pb").read_bytes())
    assert error.code == "USER:ValuesTooLarge"
    assert "inputs" in error.message
