"""Keys of gRPC call metadata that only our client and the local backend use. Others ignore them."""

ERROR_BYTES_KEY = "flyte-nb-error-bytes"
"""Sent with a call: the most bytes of an error's text and details that the client accepts, in digits."""

NOTICE_KEY = "flyte-nb-notice"
"""Sent with the answer of a call that succeeded: a warning for the caller."""
