"""Spec files: flyteidl messages written as YAML, JSON or protobuf, found and read without any SDK."""
