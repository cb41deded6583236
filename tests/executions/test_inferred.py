"""Values whose type FlyteAdmin cannot infer are refused before they are sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb import LaunchPlan, task, workflow
from flyte_nb.admin.compiling import mismatch
from flyte_nb.api.errors import CodecError, CompileFailed
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.specs import Variable
from flyte_nb.drafting.drafter import Drafter
from flyte_nb.drafting.inferred import check_inferred
from flyte_nb.executions.inputs import to_literals
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literals import literal_to_idl
from flyte_nb.wire.types import type_to_idl

REGISTRY = default_registry(warn_pickled=False)

_NESTED = {
    list[list[int]]: st.lists(st.lists(st.integers(0, 3), max_size=2), max_size=3),
    list[dict[str, int]]: st.lists(st.dictionaries(st.sampled_from("ab"), st.just(1)), max_size=3),
    dict[str, list[list[int]]]: st.dictionaries(
        st.sampled_from("ab"), st.lists(st.lists(st.just(1), max_size=1), max_size=2)
    ),
    list[int]: st.lists(st.integers(0, 3), max_size=2),
}


@pytest.mark.parametrize("python_type", list(_NESTED))
def test_what_is_refused_here_is_what_flyteadmin_would_refuse(python_type):
    codec = REGISTRY.codec(python_type)
    wanted = type_to_idl(codec.literal_type)

    @given(_NESTED[python_type])
    def check(value):
        literal = codec.encode(value, None)
        try:
            check_inferred(literal, codec.literal_type)
        except CodecError:
            refused = True
        else:
            refused = False
        assert refused == (mismatch(literal_to_idl(literal), wanted, "x") is not None), value

    check()


@pytest.mark.parametrize(
    ("python_type", "value", "path"),
    [
        (list[dict[str, int]], [{"a": 1}, {}], "[1]"),
        (dict[str, list[dict[str, int]]], {"a": [{"a": 1}, {}]}, "['a'][1]"),
        (list[list[list[int]]], [[[1]], [[]]], "[1]"),
    ],
)
def test_the_empty_part_is_named_by_its_path(python_type, value, path):
    codec = REGISTRY.codec(python_type)
    with pytest.raises(CodecError) as caught:
        check_inferred(codec.encode(value, None), codec.literal_type)
    assert caught.value.path == "$" + path


def test_a_launch_is_refused_in_words_of_python_before_anything_is_sent():
    codec = REGISTRY.codec(list[dict[str, int]])
    given = {"ds": [{}, {"a": 1}]}
    inputs, codecs = {"ds": Variable(codec.literal_type)}, {"ds": codec}
    assert to_literals(given, entity="t", inputs=inputs, codecs=codecs)  # it may run here
    with pytest.raises(CompileFailed, match=r"t\.ds: FlyteAdmin cannot infer.*\(at ds\[0\]\)"):
        to_literals(given, entity="t", inputs=inputs, codecs=codecs, launched=True)


def test_defaults_and_fixed_inputs_that_cannot_be_typed_are_problems_before_they_are_sent():
    @task
    def many(ds: list[dict[str, int]]) -> int:
        return len(ds)

    @workflow
    def by_default(ds: list[dict[str, int]] = [{}, {"a": 1}]) -> int:  # noqa: B006
        return many(ds=ds)

    @workflow
    def plain(ds: list[dict[str, int]]) -> int:
        return many(ds=ds)

    fixed = LaunchPlan(plain, name="fixed", fixed_inputs={"ds": [{"a": 1}, {}]})
    drafts = Drafter(Scope("p", "d", "nb"), REGISTRY).draft([by_default, fixed])
    found = [problem.message for draft in drafts for problem in draft.problems]
    assert [message.partition("(at ")[2] for message in found] == ["ds[0])", "ds[1])"]
