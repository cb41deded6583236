"""Metadata of calls that only the local backend and our own client know; others ignore it."""

ERROR_BYTES_KEY = "flyte-nb-error-bytes"
"""Sent with a call: how many bytes of an error's text and details the client takes, in digits."""

NOTICE_KEY = "flyte-nb-notice"
"""Sent with the answer of a call that was carried out: what its caller should know all the same."""
