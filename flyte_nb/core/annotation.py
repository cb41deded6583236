"""flytekit's path of `FlyteAnnotation`."""

from flyte_nb.types.annotations import FlyteAnnotation as FlyteAnnotation
