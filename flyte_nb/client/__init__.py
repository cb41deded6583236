"""Talks to FlyteAdmin: configuration, channel, registration, launches, watching, data up and down.

Knows flyteidl messages and the SDK's values; knows nothing of notebooks, and nothing of how the local
backend is started (`session.py` hands in where it is).
"""
