"""Lets the tests of this folder import their maker of messages (the folder is no package)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
