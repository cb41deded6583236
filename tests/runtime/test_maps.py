"""One element of a map, as propeller runs it: the whole lists in, its own output out."""

import subprocess
from functools import partial
from uuid import uuid4

import pytest
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb import map_task
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.command import task_args
from flyte_nb.runtime.mapped import element_bytes, element_of
from flyte_nb.sdk.templates import task_template
from flyte_nb.wire.errors import error_document_from_bytes
from flyte_nb.wire.literal_bytes import literal_map_from_bytes

SOURCE = (
    "from flyte_nb import task\n"
    "@task\ndef f(n: int, names: list[str], by: int = 1) -> list[str]:\n    return names * n * by\n"
)
WHICH = {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "FLYTE_K8S_ARRAY_INDEX", "FLYTE_K8S_ARRAY_INDEX": "1"}


@pytest.fixture
def run(cold, monkeypatch):
    """Runs the element that the environment names of a map over `f`, with its lists."""
    cold.cells.run(SOURCE)
    mapped = map_task(partial(cold.cells["f"], by=2))
    names = mapped.list_inputs(cold.registry)
    codecs = mapped.signature(cold.registry).input_codecs

    def run(env, **inputs):
        staged, output = cold.stage(), cold.output()
        literals = {name: codecs[name].encode(value, None) for name, value in inputs.items()}
        command = cold.command(staged, literals, output)
        command[-2:-2] = ["--mapped", ",".join(names)]
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        subprocess.run(command, check=True, capture_output=True)
        error = output / "error.pb"
        if error.exists():
            return error_document_from_bytes(error.read_bytes())
        return literal_map_from_bytes((output / "outputs.pb").read_bytes())["o0"].value[1]

    return run


def test_an_element_takes_its_item_of_each_list_and_bound_inputs_whole(run):
    assert run(WHICH, n=[1, 2], names=[["a"], ["b"]], by=2) == ["b"] * 4


def test_the_offset_counts(run):
    env = {**WHICH, "BATCH_JOB_ARRAY_INDEX_OFFSET": "1"}
    assert run(env, n=[1, 2, 3], names=[["a"], ["b"], ["c"]], by=1) == ["c"] * 3


def test_an_element_that_nobody_numbered_is_refused(run):
    error = run({}, n=[1], names=[["a"]], by=1)
    assert error.code == "SYSTEM:MapIndexMissing"
    assert "BATCH_JOB_ARRAY_INDEX_VAR_NAME" in error.message


def test_a_list_without_the_element_and_an_input_that_is_no_list_are_named(run):
    error = run(WHICH, n=[1], names=[["a"], ["b"]], by=1)
    assert error.code == "USER:MapInputMismatch"
    assert "'n' of a map has 1 items, and this is element 1" in error.message


def test_the_template_runs_the_mapped_task_and_names_the_lists(bench):
    bench.cells.run(SOURCE)
    mapped = map_task(partial(bench.cells["f"], by=2))
    assert task_args("nb.f", "uri", mapped.list_inputs(bench.registry))[-4:] == (
        *("--mapped", "n,names"),
        *("--index-file-location", "uri"),
    )
    template = task_template(mapped, Scope(main_module="nb"), bench.registry)
    assert template.id.name.startswith("nb.map_f_")


VALUES = st.one_of(
    st.integers(-(2**40), 2**40),
    st.text(max_size=300),
    st.lists(st.integers(0, 200), max_size=3),
)


def literal_of(value):
    literal = Literal()
    if isinstance(value, list):
        literal.collection.SetInParent()
        literal.collection.literals.extend(literal_of(item) for item in value)
    elif isinstance(value, str):
        literal.scalar.primitive.string_value = value
    else:
        literal.scalar.primitive.integer = value
    return literal


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(VALUES, min_size=1, max_size=5),
    other=VALUES,
    hashed=st.booleans(),
    index=st.integers(-2, 6),
)
def test_an_element_that_is_cut_out_of_the_bytes_is_the_one_that_decoding_gives(
    values, other, hashed, index
):
    made = LiteralMap()
    made.literals["xs"].CopyFrom(literal_of(values))
    made.literals["other"].CopyFrom(literal_of(other))
    if hashed:
        made.literals["xs"].hash = "h"
    data = made.SerializeToString()
    env = {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "I", "I": str(index)}
    # A new address each time: files of inputs never change, so the lists of one are kept.
    cut = element_bytes(str(uuid4()), lambda: data, ("xs",), env)
    decoded = literal_map_from_bytes(data)
    if cut is None:
        assert hashed or not 0 <= index < len(values)
    else:
        assert literal_map_from_bytes(cut) == element_of(decoded, ("xs",), env)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_inputs_are_left_to_the_decoder(data):
    env = {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "I", "I": "0"}
    element_bytes(str(uuid4()), lambda: data, ("xs",), env)


def test_a_process_reads_the_inputs_of_a_map_once():
    made = LiteralMap()
    made.literals["xs"].CopyFrom(literal_of([1, 2, 3]))
    reads = []

    def read():
        reads.append(1)
        return made.SerializeToString()

    uri = str(uuid4())
    for index in range(3):
        env = {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "I", "I": str(index)}
        assert element_bytes(uri, read, ("xs",), env)
    assert reads == [1]
