"""From a configuration, or the local backend's address, to a target for the link."""

import hashlib
from collections.abc import Mapping

from flyte_nb.client.auth import credentials_of, fixed_token
from flyte_nb.client.channel import Link, Target, oauth_token_endpoint
from flyte_nb.client.config import Config


def local_target(endpoint: str, token: str, source: str) -> Target:
    """The local backend: no TLS on loopback, and its token from the first call on."""
    config = Config(endpoint, insecure=True, source=source)
    secret = hashlib.sha256(token.encode()).hexdigest()[:12]
    return Target(config, fixed_token(token), f"{endpoint}#{secret}")


def configured_target(config: Config, env: "Mapping[str, str]", link: Link) -> Target:
    """A FlyteAdmin that a person configured; a token is fetched when it asks for one."""
    credentials = credentials_of(config, env=env, token_endpoint=lambda: oauth_token_endpoint(link))
    return Target(config, credentials, config.endpoint)
