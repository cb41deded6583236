"""FlyteError: what a failure handler is told about the failure of its workflow."""

# ruff: noqa: D102 - `Codec` documents these methods

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import simple
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, JsonSchema, mismatch, spell


class FlyteError:
    """The failure of a workflow, as its failure handler gets it: `def handle(err: FlyteError | None = None)`.

    Args:
        message: the text of the error.
        failed_node_id: the id of the node that failed.
    """

    __slots__ = ("failed_node_id", "message")

    def __init__(self, message: str, failed_node_id: str) -> None:
        self.message = message
        self.failed_node_id = failed_node_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlyteError) and _texts(other) == _texts(self)

    def __hash__(self) -> int:
        return hash(_texts(self))

    def __repr__(self) -> str:
        return f"FlyteError(message={self.message!r}, failed_node_id={self.failed_node_id!r})"


class ErrorCodec(Codec):
    """Codec of FlyteError."""

    transformer = "FlyteError"
    packs = True

    def __init__(self, python_type: Annotation) -> None:
        super().__init__(python_type, simple(literal_types.ERROR))

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Return the error as a literal.

        Raises:
            CodecError: when the value is no FlyteError, or has a part that is not text.
        """
        if not isinstance(value, FlyteError):
            raise mismatch(self, value)
        texts = _texts(value)
        if not all(isinstance(text, str) for text in texts):
            raise CodecError(f"{value!r} has a part that is not text.", hint="Write str(…).")
        return Literal(literals.ERROR, texts)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == literals.ERROR:
            return FlyteError(*literal.value)
        return super().decode(literal, data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        message, node = self.encode(value, data).value
        return {"message": message, "failed_node_id": node}

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        if not isinstance(plain, dict) or not {"message", "failed_node_id"} <= plain.keys():
            raise mismatch(self, plain)
        return FlyteError(plain["message"], plain["failed_node_id"])

    def schema(self) -> JsonSchema:
        text = {"type": "string"}
        return {
            "type": "object",
            "title": spell(FlyteError),
            "properties": {"message": dict(text), "failed_node_id": dict(text)},
            "additionalProperties": False,
            "required": ["message", "failed_node_id"],
        }


def _texts(error: FlyteError) -> "tuple[str, str]":
    return error.message, error.failed_node_id
