"""A session, or only its scope, from the options that every command takes."""

import argparse
import os

from flyte_nb.api.identifiers import Scope
from flyte_nb.client.config import find, home_folder
from flyte_nb.session.session import Session, connect


def session_of(options: argparse.Namespace) -> Session:
    """Return the session that the options name. It connects when it is first used.

    Raises:
        UsageError: the configuration cannot be read.
        BackendError: the local backend cannot be started.
    """
    return connect(
        options.config,
        project=options.project,
        domain=options.domain,
        name="",  # there is no notebook: entities are named by their modules
        home=options.home,
    )


def scope_of(options: argparse.Namespace) -> Scope:
    """Return the project and domain that the options name, without a session.

    A session would start the local backend, which nothing that only compiles needs.

    Raises:
        UsageError: the configuration cannot be read.
    """
    home = options.home
    config = find(os.environ, home=home_folder(), path=options.config) if home is None else None
    default = Scope(main_module="")
    return default._replace(
        project=options.project or (config.project if config else "") or default.project,
        domain=options.domain or (config.domain if config else "") or default.domain,
    )
