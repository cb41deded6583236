"""The link to FlyteAdmin: configuration, sign-in, the gRPC channel, and bytes through its data proxy.

May touch `api`, `types`, `sdk`, `wire` and `bundle`. It knows nothing of notebooks, and nothing of how the
local backend is started: `session` says where it listens. Start reading at `admin_client.AdminClient.call`,
the one place where a call is made, tried again and refused; `channel.Link` finds a server that moved.
"""
