"""For all tests: a property is not timed, so that a busy machine is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "flyte_nb", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("flyte_nb")
