"""`flyte-nb up`, `down` and `status`."""

import argparse
import os
from typing import Any

from flyte_nb.commands.terminal import DONE, UNREACHED, session_of, show


def up(options: argparse.Namespace) -> int:
    """Start the local backend, if it does not run."""
    from flyte_nb.admin import daemon

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
    """Stop the local backend; what runs goes on, and is taken up at the next start."""
    from flyte_nb.admin import daemon

    stopped = daemon.stop(options.home)
    show(options, {"stopped": stopped}, "Stopped." if stopped else "No local backend runs.")
    return DONE


def status(options: argparse.Namespace) -> int:
    """Say what is configured and whether it answers; starts nothing."""
    from flyte_nb.admin import daemon
    from flyte_nb.client.config import find, home_folder

    config = find(os.environ, home=home_folder(), path=options.config)
    if config is None:
        backend = daemon.status(options.home)
        if backend is None:
            show(
                options,
                {"backend": "local backend", "answers": False},
                "No local backend runs. `flyte-nb up`, or any notebook, starts it.",
            )
            return UNREACHED
    known = session_of(options).status()
    known.pop("notebook"), known.pop("named_by")  # of no meaning in a terminal
    show(options, known, "\n".join(f"{key}: {value}" for key, value in known.items()))
    return DONE if known["answers"] else UNREACHED


def _backend_dict(backend: Any) -> "dict[str, Any]":
    known = {**backend._asdict(), "home": str(backend.home)}
    known["config_file"] = str(backend.config_file)
    del known["token"]
    return known
