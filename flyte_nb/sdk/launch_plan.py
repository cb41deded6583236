"""`LaunchPlan`: a workflow with inputs given beforehand, to be launched or used as a node."""

import sys
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError, UsageError
from flyte_nb.api.identifiers import LAUNCH_PLAN
from flyte_nb.api.literal_types import DATETIME, SIMPLE, LiteralType
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import LaunchOptions, LaunchPlanNode
from flyte_nb.sdk import context
from flyte_nb.sdk.entity import Definition

_TIME = LiteralType(SIMPLE, DATETIME)

if TYPE_CHECKING:
    from flyte_nb.api.identifiers import Identifier
    from flyte_nb.api.specs import Location, Target
    from flyte_nb.sdk.signature import SignatureReading, TaskSignature
    from flyte_nb.sdk.workflow import Workflow
    from flyte_nb.types.codec import Codec
    from flyte_nb.types.registry import Registry


class LaunchPlan(Definition):
    """A workflow with defaults and fixed inputs of its own.

    Args:
        workflow: what it launches.
        name: its name; `None` takes the workflow's, which makes it the default launch plan.
        default_inputs: inputs that a launch may still change.
        fixed_inputs: inputs that no launch can change.
        labels: Kubernetes labels of its executions.
        annotations: Kubernetes annotations of its executions.
        max_parallelism: how many nodes run at a time; 0 leaves it to the platform.
        auto_activate: whether registering it activates it, so that its schedule starts executions.
        **options: `schedule` (a `CronSchedule` or `FixedRate`), `notifications` (`Email`, `Slack`,
            `PagerDuty`), `raw_output_data_config` (a URI), `security_context`, `overwrite_cache`,
            `concurrency` (a `ConcurrencyPolicy`).

    Raises:
        UsageError: an input is both a default and fixed, inputs are given without a name, or
            something has a value that it cannot have.
    """

    resource_type = LAUNCH_PLAN
    noun = "launch plan"
    auto_activate: bool = False
    options: LaunchOptions = LaunchOptions()

    def __init__(
        self,
        workflow: "Workflow",
        name: "str | None" = None,
        *,
        default_inputs: "dict[str, Any] | None" = None,
        fixed_inputs: "dict[str, Any] | None" = None,
        labels: "dict[str, str] | None" = None,
        annotations: "dict[str, str] | None" = None,
        max_parallelism: "int | None" = None,
        auto_activate: bool = False,
        **options: Any,
    ) -> None:
        _check_dicts(default_inputs=default_inputs, fixed_inputs=fixed_inputs)
        _check_dicts(texts=True, labels=labels, annotations=annotations)
        max_parallelism = 0 if max_parallelism is None else max_parallelism
        if type(max_parallelism) is not int or max_parallelism < 0:
            raise UsageError(f"max_parallelism={max_parallelism!r}: write a number of nodes, or 0.")
        self.workflow = workflow
        self.default_inputs = dict(default_inputs or {})
        self.fixed_inputs = dict(fixed_inputs or {})
        self.labels = dict(labels or {})
        self.annotations = dict(annotations or {})
        self.max_parallelism = max_parallelism
        # Only what is given becomes an attribute: the fingerprint of a dynamic task that starts this launch
        # plan counts its attributes.
        if auto_activate:
            self.auto_activate = True
        recorded = _recorded(options)
        if recorded != LaunchOptions():
            self.options = recorded
        self.fixed_name = name or ""
        """A name that is not derived from a module and a function."""
        self.module = workflow.module
        self.short_name = name or workflow.short_name
        both = self.default_inputs.keys() & self.fixed_inputs.keys()
        if both:
            raise UsageError(
                f"The input {min(both)} of {self.short_name} is a default and fixed. Give it once."
            )
        changed = bool(
            self.default_inputs
            or self.fixed_inputs
            or self.labels
            or self.annotations
            or self.options != LaunchOptions()
        )
        if name is None and changed:
            raise UsageError(
                "A launch plan without a name is the workflow's default one, which changes nothing."
                f" Write LaunchPlan({workflow.short_name}, name=…)."
            )

    @classmethod
    def create(cls, name: str, workflow: "Workflow", **options: Any) -> "LaunchPlan":
        """Return a new launch plan, as flytekit spells it."""
        return cls(workflow, name, **options)

    @classmethod
    def get_or_create(
        cls, workflow: "Workflow", name: "str | None" = None, **options: Any
    ) -> "LaunchPlan":
        """Return a launch plan of the workflow as it is now; nothing is kept between calls."""
        return cls(workflow, name, **options)

    @classmethod
    def get_default_launch_plan(cls, workflow: "Workflow") -> "LaunchPlan":
        """Return the launch plan that has the workflow's name."""
        return cls(workflow)

    @property
    def location(self) -> "Location":
        """Where its workflow is defined."""
        return self.workflow.location

    def target(self, reference: "Identifier") -> "Target":
        """Return what a node runs that calls this launch plan."""
        return LaunchPlanNode(reference)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make one node in a workflow that is traced; elsewhere run the workflow and return its value.

        Raises:
            UsageError: a fixed input is given, or arguments are unknown, missing, or too many.
        """
        entity, frame = context.stand_in(self), context.frame.get()
        if frame is not None:
            return frame.call(entity, args, kwargs, sys._getframe(1))
        clash = kwargs.keys() & self.fixed_inputs.keys()
        if clash:
            raise UsageError(f"{self.short_name} fixes the input {min(clash)}. Leave it out.")
        given = self.workflow.complete(
            args,
            kwargs,
            name=self.short_name,
            defaults=self.default_inputs,
            fixed=self.fixed_inputs,
        )
        if entity is not self:
            return context.run(
                entity, {name: given[name] for name in given if name not in self.fixed_inputs}
            )
        return self.workflow(**{**self.default_inputs, **self.fixed_inputs, **given})

    def graph(self, **options: Any) -> Any:
        """Return the graph of its workflow; options and errors are those of `Workflow.graph`."""
        return context.graph(self, **options)

    def __repr__(self) -> str:
        return (
            f"<launch plan {self.short_name} of {self.workflow.module}.{self.workflow.short_name}>"
        )

    def is_same(self, other: Definition) -> bool:
        """Return whether `other` launches the same workflow in the same way."""
        return (
            isinstance(other, LaunchPlan)
            and other.workflow is self.workflow
            and other._changes() == self._changes()
        )

    def _changes(self) -> "tuple[object, ...]":
        """Return what it sets, beside the workflow and the name."""
        return (
            self.default_inputs,
            self.fixed_inputs,
            self.labels,
            self.annotations,
            self.max_parallelism,
            self.auto_activate,
            self.options,
        )

    def read(self, registry: "Registry") -> "SignatureReading":
        """Return the workflow's signature with this plan's defaults, and its problems."""
        reading = self.workflow.read(registry)
        signature = reading.signature
        problems = list(reading.problems)
        for name, value in {**self.default_inputs, **self.fixed_inputs}.items():
            codec = signature.input_codecs.get(name)
            problem = self._check(name, value, codec, registry)
            if problem is not None:
                problems.append(problem)
        problems.extend(self._schedule_problems(signature))
        defaults = {**signature.defaults, **self.default_inputs}
        return reading._replace(
            signature=signature._replace(defaults=defaults), problems=tuple(problems)
        )

    def _schedule_problems(self, signature: "TaskSignature") -> "list[Problem]":
        """Return why no schedule could start the workflow.

        Source: flyteadmin/pkg/manager/impl/validation/launch_plan_validator.go at v1.16.8.
        """
        schedule = self.options.schedule
        if schedule is None:
            return []
        kickoff = schedule.kickoff_time_input_arg
        inputs = signature.interface.inputs
        given = {*signature.defaults, *self.default_inputs, *self.fixed_inputs, kickoff}
        problems = [
            self._problem(
                "ScheduleInput",
                f"The schedule starts executions by itself, and nothing gives the input {name}.",
                name,
                f"Write default_inputs={{{name!r}: …}} or fixed_inputs={{{name!r}: …}}.",
            )
            for name in inputs
            if name not in given
        ]
        is_time = kickoff in inputs and inputs[kickoff].type == _TIME
        if kickoff and not is_time:
            problems.append(
                self._problem(
                    "ScheduleInput",
                    f"kickoff_time_input_arg={kickoff!r} names no input of type datetime.",
                    kickoff,
                    f"Add {kickoff}: datetime to {self.workflow.short_name}, or name another input.",
                )
            )
        return problems

    def _problem(self, code: str, message: str, variable: str, hint: str) -> Problem:
        return Problem(
            code,
            message,
            variable=variable,
            hint=hint,
            location=self.workflow.location,
            entity=self.short_name,
        )

    def _check(
        self, name: str, value: Any, codec: "Codec | None", registry: "Registry"
    ) -> "Problem | None":
        from flyte_nb.types.codec import NeedsStore  # declaring loads no types; reading has

        if codec is None:
            inputs = ", ".join(self.workflow.read(registry).signature.interface.inputs) or "none"
            return self._problem(
                "VariableNameNotFound",
                f"The workflow {self.workflow.short_name} has no input {name}.",
                name,
                f"It has: {inputs}.",
            )
        try:
            codec.encode(value, None)
        except NeedsStore:
            return None
        except CodecError as error:
            near = codec.nearest(value)
            return self._problem(
                "ValueDoesNotFit",
                f"The input {name} does not fit: {error.bare_message}",
                name,
                f"Write {name}={near!r}." if near is not None else error.hint,
            )
        return None


def _recorded(options: "dict[str, Any]") -> LaunchOptions:
    """Return the options as plain values.

    Raises:
        UsageError: one is unknown or has a value that it cannot have.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return LaunchOptions()
    from flyte_nb.sdk.launch_options import KNOWN, launch_options  # few launch plans have any

    for name in given:
        if name == "trigger":
            raise UsageError(
                "LaunchPlan(trigger=…): write schedule=CronSchedule(…) or FixedRate(…)."
            )
        if name not in KNOWN:
            raise UsageError(f"LaunchPlan has no option {name!r}. It has: {', '.join(KNOWN)}.")
    return launch_options(**given)


def _check_dicts(*, texts: bool = False, **given: Any) -> None:
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, dict):
            raise UsageError(f"{name}={value!r}: write a dict, e.g. {name}={{'key': 'value'}}.")
        for key, item in value.items():
            if not isinstance(key, str) or (texts and not isinstance(item, str)):
                raise UsageError(
                    f"{name}: {key!r}: {item!r} is not text. Write {str(key)!r}: {str(item)!r}."
                )
