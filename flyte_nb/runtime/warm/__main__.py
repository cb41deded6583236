"""Starts the warm host: `python -m flyte_nb.runtime.warm SOCKET`."""

import sys

from flyte_nb.runtime.warm.host import main

if __name__ == "__main__":
    main(int(sys.argv[1]))
