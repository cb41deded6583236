"""Spec files: flyteidl messages written as YAML, JSON or protobuf, found and read without any SDK.

A file goes through `files` (bytes), `text` or `binary` (data), `kinds` (which message), `messages` (filled)
and `registrar`, which returns `spec.Spec` values and every problem. Files are not trusted, so size, depth and
the number of problems are bounded everywhere. Start reading at `registrar.read_specs`.
"""
