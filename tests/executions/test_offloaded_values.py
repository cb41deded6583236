"""Values that are too large for their message: it names an object that holds them."""

import pytest
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import Literal
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.executions.python_values import python_values
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.literal_bytes import literal_to_bytes


@pytest.fixture
def data():
    made = KernelData(open_stores(), folder_uri=SCRATCH)
    yield made
    made.close()


def test_a_large_output_is_read_from_its_object(data, tmp_path):
    whole = Literal("column", ("integer", list(range(1000))))
    (tmp_path / "o0_offloaded_metadata.pb").write_bytes(literal_to_bytes(whole))
    message = LiteralMap()
    message.literals["o0"].offloaded_metadata.uri = f"file://{tmp_path}/o0_offloaded_metadata.pb"
    message.literals["o1"].scalar.primitive.integer = 3
    registry = default_registry()
    codecs = {"o0": registry.codec(list[int]), "o1": registry.codec(int)}
    values = python_values(message, registry, data, codecs=codecs)
    assert values == {"o0": list(range(1000)), "o1": 3}


def test_an_object_that_holds_no_value_is_named(data, tmp_path):
    (tmp_path / "x.pb").write_bytes(b"\xff\xff")
    message = LiteralMap()
    message.literals["o0"].offloaded_metadata.uri = f"file://{tmp_path}/x.pb"
    with pytest.raises(CodecError, match="not a protobuf message"):
        python_values(message, default_registry(), data)
