"""Give a process the signal handling of a fresh login, however it was started.

A process inherits which signals are ignored and blocked. `nohup` makes its command ignore SIGHUP, and a
backend that was started under it would make every task ignore it: the task would never see a signal
that its author handles.
"""

# Not `signal`: that imports `enum`, and the worker has to be started before anything is imported.
import _signal  # type: ignore[import-not-found]  # it has no stubs

_KEPT = frozenset(
    getattr(_signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(_signal, name)
)
"""Python itself ignores these. It restores them in the processes that it starts."""


def reset() -> None:
    """Handle every signal as a fresh Python does, and block none. Only the main thread may call this."""
    for number in _signal.valid_signals():
        if number not in _KEPT and _signal.getsignal(number) == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    # Python installs its handler for SIGINT only if SIGINT was not ignored when it began.
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
