"""The supervisor's process: `python -I …/foreign/__main__.py JOB`, started by the executors.

It runs isolated: the variables that the task asks for, like PYTHONPATH, are for the task's own
command. Packages are found where the backend found them.
"""

import json
import sys


def main() -> None:
    """Supervise the attempt that the file describes, and end as its command ended."""
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    # The script's own folder must not be searched: its modules have common names.
    sys.path[:] = json.loads(text)["path"]

    from flyte_nb.propeller.foreign.job import loads
    from flyte_nb.propeller.foreign.supervisor import end_as, supervise

    end_as(supervise(loads(text)))


if __name__ == "__main__":
    main()
