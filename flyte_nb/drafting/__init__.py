"""Entities made ready to register: named, versioned, translated to flyteidl and compiled. It sends nothing.

A `Draft` is an entity with its spec and every problem it has. SDK entities and specs from files go through
one lane, `drafts.Drafts`: `definitions` drafts the former, `specs.drafting` the latter, and both find and
compile what they refer to in one `made.Made`. May touch `api` to `bundle` and `discovery`; it never calls a
server. Start reading at `drafts.Drafts`; `versions` says which changes of content make a new version.
"""
