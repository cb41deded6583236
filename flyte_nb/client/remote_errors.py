"""Turn gRPC's errors into `RemoteError`s that say what to do. No other module maps gRPC's codes."""

from typing import Any

import grpc

from flyte_nb.api.errors import RemoteError
from flyte_nb.client.config import is_loopback

_HINTS = {
    grpc.StatusCode.UNAUTHENTICATED: "The token was not accepted. Sign in again, or check `admin.authType`"
    " in your Flyte configuration.",
    grpc.StatusCode.PERMISSION_DENIED: "You are signed in, but may not do this in that project and domain.",
    grpc.StatusCode.UNAVAILABLE: "Check that it runs and that the endpoint is right (`flyte-nb status`).",
    grpc.StatusCode.DEADLINE_EXCEEDED: "It did not answer in time; try again.",
    grpc.StatusCode.UNIMPLEMENTED: "That FlyteAdmin does not know this call; it may be too old.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "It refuses so much at once; try again later, or with less.",
    grpc.StatusCode.INTERNAL: "FlyteAdmin's own log says more.",
}


def remote_error(error: grpc.RpcError, *, doing: str, endpoint: str) -> RemoteError:
    """Return what a person should read for a failed call.

    Args:
        error: As gRPC raised it.
        doing: What was being done, e.g. `Registering a.b`.
        endpoint: `host:port` of FlyteAdmin.
    """
    return refusal(status_of(error), detail_of(error), doing=doing, endpoint=endpoint)


def refusal(code: grpc.StatusCode, text: str, *, doing: str, endpoint: str) -> RemoteError:
    """Return what a person should read for a status and the server's own text.

    Args:
        code: The status of the call.
        text: What the server said; may be empty.
        doing: What was being done, e.g. `Registering a.b`.
        endpoint: `host:port` of FlyteAdmin.
    """
    # gRPC's own text is about sockets, and does not say which server is meant.
    if code is grpc.StatusCode.UNAVAILABLE:
        message = f"FlyteAdmin at {endpoint} cannot be reached ({text})."
    else:
        message = f"{doing}: {text or code.name}"
        message += "" if message.endswith((".", ")", "]")) else "."
    hint = _HINTS.get(code, "")
    if code is grpc.StatusCode.UNAUTHENTICATED and is_loopback(endpoint):
        hint = ""  # nobody signs in to the local backend, and its own text says where its token is
    return RemoteError(message, code=code.name, hint=hint)


def status_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Return the status code of `error`; `UNKNOWN` when it has none."""
    call: Any = error  # gRPC raises objects of private classes that are a Call too; no type says so
    code = call.code() if isinstance(error, grpc.Call) else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def detail_of(error: grpc.RpcError) -> str:
    """Return the server's own text; empty when it sent none."""
    call: Any = error
    return str(call.details() or "") if isinstance(error, grpc.Call) else str(error)
