"""Make, list and set the signals for which gates wait.

Source: flyteadmin/pkg/manager/impl/signal_manager.go, validation/signal_validator.go at v1.16.8.
"""

from flyteidl.admin import signal_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.admin.refused import Refused, exists, invalid, missing
from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.admin.services.rules import check_fields, check_limit
from flyte_nb.admin.store.filters import Condition, order_by, parse_filters
from flyte_nb.admin.store.listing import message_list, offset_of, page
from flyte_nb.admin.store.resources import SIGNAL
from flyte_nb.admin.store.schema import OF_EXECUTION
from flyte_nb.admin.store.signals import Signals
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.compiler.casting import TooComplex, TypeTable
from flyte_nb.compiler.flyte_text import go_text
from flyte_nb.compiler.inference import type_of_literal
from flyte_nb.propeller.ports import SignalTypeDiffers
from flyte_nb.wire.identifiers import execution_id_from_idl


class SignalsService:
    """Serve the calls on signals."""

    def __init__(self, parts: Parts, signals: Signals) -> None:
        self._parts = parts
        self._signals = signals

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
        return {
            "GetOrCreateSignal": self._get_or_create,
            "ListSignals": self._list,
            "SetSignal": self._set,
        }

    def _get_or_create(self, request: signal_pb2.SignalGetOrCreateRequest) -> signal_pb2.Signal:
        execution = _checked(request.id, request.HasField("id"))
        if not request.HasField("type"):
            raise missing("type")
        try:
            return self._signals.created(execution, request.id.signal_id, request.type)
        except SignalTypeDiffers as error:
            # FlyteAdmin looks for a row with this type, finds none, and the new one meets the first.
            raise exists(f"value with matching already exists ({error})") from None

    def _list(self, request: signal_pb2.SignalListRequest) -> bytes:
        run = request.workflow_execution_id
        if not (run.project and run.domain and run.name):
            raise missing("execution_id")
        check_limit(request.limit)
        of_execution = Condition(OF_EXECUTION, (run.project, run.domain, run.name))
        found = page(
            self._parts.database,
            SIGNAL,
            [of_execution, *parse_filters(request.filters, SIGNAL)],
            select="signals.message",
            order=order_by(request.sort_by, SIGNAL),
            limit=request.limit,
            offset=offset_of(request.token, "ListSignals"),
        )
        return message_list([row[0] for row in found.rows], found.token)

    def _set(self, request: signal_pb2.SignalSetRequest) -> signal_pb2.SignalSetResponse:
        execution = _checked(request.id, request.HasField("id"))
        if not request.HasField("value"):
            raise missing("value")
        signal = self._signals.get(execution, request.id.signal_id)
        if signal is None:
            raise _unknown(execution, request.id.signal_id)
        _check_type(signal, request.value)
        if not self._signals.set(execution, request.id.signal_id, request.value):
            raise _unknown(execution, request.id.signal_id)
        return signal_pb2.SignalSetResponse()


def _checked(id: identifier_pb2.SignalIdentifier, is_set: bool) -> ExecutionId:
    """Return the signal's execution.

    Raises:
        Refused: `INVALID_ARGUMENT`, when the id is not complete.
    """
    if not is_set:
        raise missing("id")
    if not id.HasField("execution_id"):
        raise missing("execution_id")
    if not id.signal_id:
        raise missing("signal_id")
    check_fields(id.execution_id, "project", "domain", "name")
    return execution_id_from_idl(id.execution_id)


def _check_type(signal: signal_pb2.Signal, value: literals_pb2.Literal) -> None:
    """Raise unless the value fits the signal's type by the compiler's rules.

    Raises:
        Refused: `INVALID_ARGUMENT`.
    """
    table = TypeTable()
    try:
        type = type_of_literal(table, value)
        if type is None:
            raise invalid(
                "Failed to validate literal type for [] with err: got unknown literal type: [<nil>].\n"
                "Suggested solution: Please update all your Flyte deployment images to the latest"
                " version and try again"
            )
        # FlyteAdmin asks in this direction: whether the signal's type fits that of the value.
        fits = table.castable(table.of(signal.type), type)
    except (RecursionError, EncodeError, DecodeError, TooComplex):
        raise invalid("invalid value for value: it is nested too deeply") from None
    if not fits:
        # Go writes the type as the numbers of its bytes.
        numbers = " ".join(map(str, signal.type.SerializeToString(deterministic=True)))
        raise invalid(
            f"requested signal value [{go_text(value)}] is not castable to existing signal type"
            f" [[{numbers}]]"
        )


def _unknown(execution: ExecutionId, signal_id: str) -> Refused:
    key = f"{{{{{execution.project} {execution.domain} {execution.name}}} {signal_id}}}"
    return invalid(f"failed to validate that signal [{key}] exists, err: [signal does not exist]")
