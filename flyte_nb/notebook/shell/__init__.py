"""What IPython calls: the extension, the magics, tab completion, the formatters, the display hook.

`extension.py` installs everything in a shell and removes it again; each other module has a function that
installs one thing and returns a function that undoes it. The rules of IPython are kept in this room: the rest
of the notebook sees a `Kernel` and returns mime bundles. Start reading at `extension.py`.
"""
