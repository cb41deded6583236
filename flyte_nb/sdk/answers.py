"""Answers to the gates of workflows that run in this process, given before they are asked."""

from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType

from flyte_nb.sdk import context


class answers:  # noqa: N801 - it is used as a statement: `with answers(ok=True):`
    """Answer the gates of workflows that are called inside, in place of a question to a person.

    ```python
    with answers(review=True, depth=3):
        train(url="…")
    ```

    An answer is a value, or a function that gives one. The function of an approval gets the value that is
    to be approved; that of another gate gets nothing. Inner `with` statements add to outer ones.
    """

    def __init__(self, by_name: "Mapping[str, object] | None" = None, /, **named: object) -> None:
        """Take the answers.

        Args:
            by_name: answers by the names of the gates, also those that are no Python names.
            **named: more of them.
        """
        self._answers: dict[str, object] = {**(by_name or {}), **named}
        self._tokens: list[Token[Mapping[str, object]]] = []

    def __enter__(self) -> "answers":
        self._tokens.append(context.answers.set({**context.answers.get(), **self._answers}))
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        context.answers.reset(self._tokens.pop())


def answer_to(name: str, approved: "Callable[[], object] | None") -> "tuple[object, ...]":
    """Return the answer to a gate as a tuple of one; an empty one when there is none.

    Args:
        name: the gate's signal.
        approved: returns the value that is to be approved; `None` for a gate that waits for a value.
    """
    given = context.answers.get()
    if name not in given:
        return ()
    answer = given[name]
    if not callable(answer):
        return (answer,)
    return (answer(approved()) if approved is not None else answer(),)
