"""Let processes begin with the signals that a fresh login has, whatever started them.

`nohup` has its command ignore SIGHUP, and whatever that starts ignores it too; a thread that blocks
signals hands that down likewise. A task would never see the signals that its author handles.
"""

# Not `signal`: that imports `enum`, and an attempt's worker is started before anything is imported.
import _signal  # type: ignore[import-not-found]  # it has no stubs

_KEPT = frozenset(
    getattr(_signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(_signal, name)
)
"""Python itself ignores these, and gives them back to what it starts."""


def reset() -> None:
    """Handle every signal as a fresh Python does, and block none. For the main thread."""
    for number in _signal.valid_signals():
        if number not in _KEPT and _signal.getsignal(number) == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    # One that began with SIGINT ignored has not installed its own handler.
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
