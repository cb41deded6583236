"""flytekit's path of the errors that authors raise and catch."""

from flyte_nb.api.errors import FlyteNbError, RecoverableError, UsageError

FlyteUserException = FlyteNbError
FlyteRecoverableException = RecoverableError
FlyteAssertion = UsageError

__all__ = ["FlyteAssertion", "FlyteRecoverableException", "FlyteUserException"]
