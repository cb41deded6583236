"""For all tests: a property is not timed, so that a busy machine is no failure.

In CI (`CI=true`) a property has the same examples every time, so that what fails there fails here;
elsewhere it searches on.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "flyte_nb",
    settings(),
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("flyte_nb")
