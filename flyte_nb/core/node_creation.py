"""flytekit's path of `create_node`."""

from flyte_nb.sdk.node_creation import create_node as create_node
