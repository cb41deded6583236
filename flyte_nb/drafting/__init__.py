"""Make entities ready to register: name, version, translate to flyteidl and compile them. Nothing is sent.

A `Draft` is one entity with its spec and every problem it has. `Drafter` makes drafts of any entities:
`definition_drafter` drafts what the SDK defines, `specs.spec_drafter` what spec files hold, and both find
and compile what they refer to in one `DraftSet`. The room may use `api` to `bundle` and `discovery`, and
never calls a server. Start reading at `drafter.Drafter`; `versions` says which change makes a new version.
"""
