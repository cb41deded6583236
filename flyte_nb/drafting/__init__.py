"""Entities made ready to register: named, versioned, translated to flyteidl and compiled. It sends nothing.

A draft is an entity with its spec and every problem it has. SDK entities and specs from files both become
drafts here. May touch `api` to `bundle` and `discovery`; it never calls a server. Start reading at
`drafts.Drafts`; `versions` says which changes of content make a new version.
"""
