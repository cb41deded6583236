"""Specs made ready: names filled in, references resolved, compiled; every problem they have.

References are resolved among the specs first, then among other drafts that are made with them, then,
when there is somebody to ask, among what is registered.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from flyteidl.core import interface_pb2
from flyteidl.core.compiler_pb2 import CompiledTask, CompiledWorkflowClosure

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import (
    LaunchPlanInterface,
    check_launchable,
    check_options,
    compile_task,
    compile_workflow,
)
from flyte_nb.discovery.specs.spec import Spec
from flyte_nb.drafting.drafts import Draft
from flyte_nb.drafting.specs.checks import (
    expected_inputs,
    in_terms_of_specs,
    launch_plan_problems,
    missing,
    task_problems,
    workflow_problems,
)
from flyte_nb.drafting.specs.naming import Entry, Name, Reference, in_order, used_by
from flyte_nb.wire.identifiers import identifier_from_idl

Lookup = Callable[[Sequence[Identifier]], Mapping[Identifier, Any]]
"""The registered `Task`, `Workflow` or `LaunchPlan` of each id; the newest where the version is empty."""

_MAX_HINTS = 50  # of one spec
_MAX_TOLD = 1_000  # lost references of one spec
_MOST_BROUGHT = 50_000  # sub-workflows in all: deep ones lie in each that is above them


def spec_drafts(
    specs: "Iterable[Spec]",
    scope: Scope,
    *,
    among: "Sequence[Draft]" = (),
    lookup: "Lookup | None" = None,
    unread: "Container[str]" = (),
) -> "list[Draft]":
    """The specs as they would be registered, in an order in which they can be.

    Args:
        specs: each name once.
        scope: project and domain for ids that name none.
        among: drafts of other entities that specs may refer to.
        lookup: finds what is registered; without it such a reference is a problem.
        unread: names of specs that are there and could not be read; who refers to one is not whole,
            and is not told that it is missing.
    """
    entries: dict[Name, Entry] = {}
    for spec in specs:
        entry = Entry(spec, scope)
        entries[entry.name] = entry
    return _Drafting(entries, among, lookup, unread).drafts()


class _Drafting:
    def __init__(
        self,
        entries: "dict[Name, Entry]",
        among: "Sequence[Draft]",
        lookup: "Lookup | None",
        unread: "Container[str]",
    ) -> None:
        self._entries = entries
        self._unread = unread
        self._problems: dict[Name, list[Problem]] = {}
        self._brought = 0
        self._done: dict[Name, Draft] = {draft.id[:4]: draft for draft in among}
        self._has_lookup = lookup is not None
        self._registered: Mapping[Identifier, Any] = {}
        if lookup is not None:
            wanted = {
                reference.id: None
                for entry in entries.values()
                for reference in entry.references
                if not self._is_local(entry, reference)
            }
            self._registered = lookup(list(wanted)) if wanted else {}

    def drafts(self) -> "list[Draft]":
        """Every entry as a draft."""
        order = in_order(self._entries, self._problems)
        made = []
        for entry in order:
            found = self._problems.setdefault(entry.name, [])
            is_resolved = self._resolve(entry, found)
            entry.settle()
            make = {TASK: self._task, WORKFLOW: self._workflow, LAUNCH_PLAN: self._launch_plan}
            if is_resolved:
                draft = make[entry.id.resource_type](entry, found)
            else:  # without what it refers to, the compiler would tell that once more
                draft = _draft(entry, found, whole=False)
            self._done[entry.name] = draft
            made.append(draft)
        return made

    def _is_local(self, entry: Entry, reference: Reference) -> bool:
        return (
            entry.embedded(reference) is not None
            or self._defined(reference) is not None
            or (
                reference.name in self._entries
                and reference.message.version in ("", self._entries[reference.name].id.version)
            )
        )

    def _defined(self, reference: Reference) -> "Draft | None":
        draft = self._done.get(reference.name)
        if draft is not None and reference.message.version in ("", draft.id.version):
            return draft
        return None

    def _resolve(self, entry: Entry, problems: "list[Problem]") -> bool:
        """Give each reference its version, and the spec the sub-workflows that it needs.

        Returns whether every reference leads somewhere.
        """
        is_resolved = True
        told: set[tuple[Name, str]] = set()
        local = []
        for reference in entry.references:
            sub = entry.embedded(reference)
            draft = self._defined(reference)
            known = self._registered.get(reference.id)
            runs_inside = reference.noun == WORKFLOW and entry.id.resource_type == WORKFLOW
            if sub is not None:
                local.append((reference, sub))
                continue
            if draft is not None:
                reference.message.version = draft.id.version
                if runs_inside and draft.message is not None:
                    subs = (draft.message.template, *draft.message.sub_workflows)
                    is_resolved &= self._bring(entry, subs, problems)
                continue
            if known is not None:
                reference.message.CopyFrom(known.id)
                if runs_inside:
                    closure = known.closure.compiled_workflow
                    subs = (closure.primary.template, *(x.template for x in closure.sub_workflows))
                    is_resolved &= self._bring(entry, subs, problems)
                continue
            is_resolved = False
            if reference.message.name in self._unread:
                continue
            key = (reference.name, reference.node_id)
            if key not in told and not self._is_local(entry, reference):  # else: told as a circle
                told.add(key)
                # A look for what is near costs time, and nobody reads the hundredth.
                names = [*self._entries, *self._done] if len(told) <= _MAX_HINTS else ()
                if len(told) <= _MAX_TOLD:
                    problems.append(missing(entry, reference, names, asked=self._has_lookup))
                elif len(told) == _MAX_TOLD + 1:
                    problems.append(
                        Problem("TooManyProblems", "There are more problems than these.")
                    )
        for reference, sub in local:
            if not sub.id.version:
                entry.settle()  # a part without a version has that of the whole
                sub.id.version = entry.id.version
            reference.message.version = sub.id.version
        return is_resolved

    def _bring(self, entry: Entry, subs: "Sequence[Any]", problems: "list[Problem]") -> bool:
        """Whether the entry may have them: what all specs together hold is bounded."""
        if self._brought <= _MOST_BROUGHT:
            self._brought += entry.bring(subs)
            if self._brought > _MOST_BROUGHT:
                problems.append(
                    Problem(
                        "TooManySubWorkflows",
                        f"With it, these specs would hold more than {_MOST_BROUGHT:,} sub-workflows:"
                        " a workflow holds all that run in it, at any depth.",
                        hint="Start some of them by launch plans, or compile fewer specs at a time.",
                    )
                )
        return self._brought <= _MOST_BROUGHT

    def _task(self, entry: Entry, problems: "list[Problem]") -> Draft:
        problems.extend(task_problems(entry))
        try:
            compile_task(entry.message.template)
        except CompileFailed as error:
            problems.extend(error.problems)
        return _draft(entry, problems)

    def _workflow(self, entry: Entry, problems: "list[Problem]") -> Draft:
        problems.extend(workflow_problems(entry.message.template))
        below = [draft for draft in map(self._defined, entry.references) if draft is not None]
        if problems or not all(draft.is_whole for draft in below):
            return _draft(entry, problems, whole=False)  # what is wrong below is told there
        closure: CompiledWorkflowClosure | None = None
        try:
            closure = compile_workflow(
                entry.message.template,
                list(entry.message.sub_workflows),
                self._tasks(entry),
                self._launch_plans(entry),
            )
            problems.extend(check_launchable(closure))
        except CompileFailed as error:
            problems.extend((*error.problems, *check_options(entry.message.template)))
        return _draft(entry, problems)._replace(closure=None if problems else closure)

    def _tasks(self, entry: Entry) -> "list[CompiledTask]":
        """The tasks that run in it, at any depth: sub-workflows were brought along with theirs."""
        found: dict[Identifier, Any] = {}
        for id in used_by(entry.message):
            if id.resource_type != TASK:
                continue
            draft = self._done.get(id[:4])
            if draft is not None and draft.id == id:
                found[id] = draft.message.template
            elif (known := self._known(id)) is not None:
                found[id] = known.closure.compiled_task.template
        return [CompiledTask(template=found[id]) for id in sorted(found)]

    def _launch_plans(self, entry: Entry) -> "dict[str, LaunchPlanInterface]":
        found = {}
        for id in used_by(entry.message):
            if id.resource_type != LAUNCH_PLAN:
                continue
            draft = self._done.get(id[:4])
            if draft is not None and draft.id == id:
                interface = self._interface_of(draft.message.workflow_id)
                if interface is not None:
                    found[str(id)] = LaunchPlanInterface(
                        expected_inputs(interface, draft.message), interface.outputs
                    )
            elif (known := self._known(id)) is not None:
                found[str(id)] = LaunchPlanInterface(
                    known.closure.expected_inputs, known.closure.expected_outputs
                )
        return found

    def _launch_plan(self, entry: Entry, problems: "list[Problem]") -> Draft:
        interface = self._interface_of(entry.message.workflow_id)
        if interface is not None:
            problems.extend(launch_plan_problems(entry.message, interface))
        below = self._defined(entry.references[0])
        return _draft(entry, problems, whole=below is None or below.is_whole)

    def _interface_of(self, workflow_id: Any) -> "interface_pb2.TypedInterface | None":
        id = identifier_from_idl(workflow_id)
        draft = self._done.get(id[:4])
        if draft is not None and draft.id == id and draft.message is not None:
            found: interface_pb2.TypedInterface = draft.message.template.interface
            return found
        known = self._known(id)
        return known.closure.compiled_workflow.primary.template.interface if known else None

    def _known(self, id: Identifier) -> Any:
        """What is registered under that id."""
        if id in self._registered:
            return self._registered[id]
        newest = self._registered.get(id._replace(version=""))
        return newest if newest is not None and newest.id.version == id.version else None


def _draft(entry: Entry, problems: "Sequence[Problem]", *, whole: bool = True) -> Draft:
    """The draft, its problems with the place where they were written."""
    spec = entry.spec
    placed = []
    for problem in map(in_terms_of_specs, problems):
        lines, node = spec.node_lines, problem.node_id  # of a branch's case: `n0-n1`
        line = lines.get(node) or lines.get(node.partition("-")[0])
        location = spec.location._replace(line=line) if line else spec.location
        placed.append(
            problem._replace(
                entity=problem.entity or entry.id.name, location=problem.location or location
            )
        )
    message = entry.message if whole and not placed else None
    return Draft(spec, entry.id, tuple(placed), None, message, pinned=entry.pinned)
