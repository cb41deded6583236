"""The child process that holds the user's code: bootstrap, load, call, talk over the pipe."""
