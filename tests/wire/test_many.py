import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.errors import CodecError
from flyte_nb.wire.many import (
    Answer,
    Call,
    answers_from_bytes,
    answers_to_bytes,
    calls_from_bytes,
    calls_to_bytes,
)

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.builds(Call, _text, st.binary(max_size=300))))
def test_calls_come_back_as_they_went(calls):
    assert calls_from_bytes(calls_to_bytes(calls)) == calls


@given(st.lists(st.builds(Answer, st.binary(max_size=300), _text, _text)))
def test_answers_come_back_as_they_went(answers):
    assert answers_from_bytes(answers_to_bytes(answers)) == answers


def test_bytes_that_are_no_calls_are_refused():
    with pytest.raises(CodecError):
        calls_from_bytes(b"\x0a\xff")
