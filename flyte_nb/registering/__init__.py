"""Registration: stage what drafts need, then create what is new on FlyteAdmin, in dependency order.

May touch `drafting` and everything below it, and talks to FlyteAdmin only through `client`. Start reading
at `register.register`; `registered` asks what is there already, `reasons` says why an entity is new, and
`places` says where bundles are stored.
"""
