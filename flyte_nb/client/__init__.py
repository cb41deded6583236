"""The link to FlyteAdmin: configuration, sign-in, the gRPC channel, and bytes through its data proxy.

The room may import everything below it: `bundle`, `storage`, `wire`, the ring. It knows nothing of notebooks,
and it cannot start the local backend: `session` passes in a function that finds the server.

Start reading at `admin_client.AdminClient.call`, which makes every call, retries it and turns a refusal into
an error. `channel.Link` opens the channel and opens another when the server has moved. `config` and `auth`
read who and where we are; `data.KernelData` moves files.
"""
