"""`python -m flyte_nb` is the command `flyte-nb`."""

import sys

from flyte_nb.cli import main

if __name__ == "__main__":
    sys.exit(main())
