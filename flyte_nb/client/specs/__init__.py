"""Specs without an SDK: flyteidl messages as entities, made ready to be compiled and registered."""
