"""`flyte-nb up`, `down` and `status`."""

import argparse
import os

from flyte_nb.admin import daemon
from flyte_nb.client.config import find, home_folder
from flyte_nb.commands.connections import session_of
from flyte_nb.commands.terminal import DONE, UNREACHED, show


def up(options: argparse.Namespace) -> int:
    """Start the local backend, if it does not run; return the exit code.

    Raises:
        BackendError: it cannot be started.
    """
    backend = daemon.ensure(options.home)
    known = _backend_dict(backend)
    show(
        options,
        known,
        f"The local backend runs at {backend.endpoint} (pid {backend.pid}).\n"
        f"State: {backend.home}\nOther Flyte clients: export FLYTECTL_CONFIG={backend.config_file}"
        + (f"\n{backend.notice}" if backend.notice else ""),
    )
    return DONE


def down(options: argparse.Namespace) -> int:
    """Stop the local backend; return the exit code.

    Tasks that run go on; the backend adopts them when it starts again.
    """
    stopped = daemon.stop(options.home)
    show(options, {"stopped": stopped}, "Stopped." if stopped else "No local backend runs.")
    return DONE


def status(options: argparse.Namespace) -> int:
    """Show what is configured and whether it answers; return the exit code. Nothing is started.

    Raises:
        UsageError: the configuration cannot be read.
    """
    config = find(os.environ, home=home_folder(), path=options.config)
    if config is None:
        # A session would start the local backend, and the question was whether it runs.
        backend = daemon.status(options.home)
        if backend is None:
            show(
                options,
                {"backend": "local backend", "answers": False},
                "No local backend runs. `flyte-nb up`, or any notebook, starts it.",
            )
            return UNREACHED
    known = session_of(options).status()
    del known["notebook"], known["named_by"]  # a terminal has no notebook
    show(options, known, "\n".join(f"{key}: {value}" for key, value in known.items()))
    return DONE if known["answers"] else UNREACHED


def _backend_dict(backend: daemon.BackendInfo) -> "dict[str, object]":
    known: dict[str, object] = {**backend._asdict(), "home": str(backend.home)}
    known["config_file"] = str(backend.config_file)
    del known["token"]  # what is printed ends in logs
    return known
