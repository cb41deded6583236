"""The sub-commands of `%flyte`, each a thin layer over a session's call."""
