"""Messages between the processes of an attempt. Part of the travelling ring: standard library only.

`pipe.Pipe` carries framed JSON between the host and a worker; `sockets` carries messages with open file
descriptors between the warm host and its zygotes. It knows nothing of tasks or literals.
"""
