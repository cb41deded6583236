"""Make the `Target` of a `Link`: from a configuration, or from the local backend's address."""

import hashlib
from collections.abc import Mapping

from flyte_nb.client.auth import credentials_of, fixed_token
from flyte_nb.client.channel import Link, Target, oauth_token_endpoint
from flyte_nb.client.config import Config


def local_target(endpoint: str, token: str, source: str) -> Target:
    """Return the target for the local backend: no TLS on loopback, and its token from the first call on.

    Args:
        endpoint: `host:port` where it listens.
        token: Its bearer token.
        source: What named it, for messages.
    """
    config = Config(endpoint, insecure=True, source=source)
    # A backend that is started again may get the same port with another token. The key has a hash of
    # the token, because keys may be shown and tokens may not.
    secret = hashlib.sha256(token.encode()).hexdigest()[:12]
    return Target(config, fixed_token(token), f"{endpoint}#{secret}")


def configured_target(config: Config, env: "Mapping[str, str]", link: Link) -> Target:
    """Return the target for a FlyteAdmin that a person configured. A token is fetched when it asks for one.

    Args:
        config: As `config.find` returns it.
        env: The environment, which may hold a client secret.
        link: The link that will go to this target; asked for the token endpoint.
    """
    credentials = credentials_of(config, env=env, token_endpoint=lambda: oauth_token_endpoint(link))
    return Target(config, credentials, config.endpoint)
