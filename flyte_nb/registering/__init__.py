"""Registration: stage the bundles that drafts need, then create what is new on FlyteAdmin, in order.

The room may import `drafting` and everything below it, and calls FlyteAdmin only through `client`.

Start reading at `register.register`. `place.Place` says where and how to register, `registered` asks what is
there already, `reasons` says why an entity is new, and `creating` sends it. `restaging` repairs staged code,
`bundle_view` shows what would travel, and `serializing` writes spec files instead of registering.
"""
