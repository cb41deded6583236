"""`flyte-nb execute`: the host part of a task. Lean: what it imports is paid by every attempt."""
