"""`list[int]` to a Literal, to bytes, and back, per element, against flytekit."""

import pytest
from flyteidl.core import literals_pb2

from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literals import literal_from_idl, literal_to_idl


def test_a_list_of_ints_there_and_back(compare):
    flytekit = pytest.importorskip("flytekit", reason="the peer is not installed here")
    from flytekit.core.context_manager import FlyteContextManager
    from flytekit.core.type_engine import TypeEngine
    from flytekit.models.literals import Literal as PeerLiteral

    assert flytekit is not None
    count = 10_000 if compare.enabled else 10
    codec = default_registry().codec(list[int])
    context = FlyteContextManager.current_context()
    expected = TypeEngine.to_literal_type(list[int])
    fresh = iter(range(10**9))

    def values() -> list[int]:
        start = next(fresh)  # fresh values: flytekit keeps literals it has seen
        return list(range(start, start + count))

    def ours() -> None:
        given = values()
        data = literal_to_idl(codec.encode(given, None)).SerializeToString()
        back = literals_pb2.Literal.FromString(data)
        assert codec.decode(literal_from_idl(back), None) == given

    def peer() -> None:
        given = values()
        literal = TypeEngine.to_literal(context, given, list[int], expected)
        data = literal.to_flyte_idl().SerializeToString()
        back = PeerLiteral.from_flyte_idl(literals_pb2.Literal.FromString(data))
        assert TypeEngine.to_python_value(context, back, list[int]) == given

    compare(
        "list[int] there and back", ours=ours, peer=peer, bar=2.5 / 28, per=count, unit="element"
    )
