"""Make drafts of specs from files: fill in names, resolve references, compile, and find every problem."""

from collections.abc import Container, Iterable, Sequence
from typing import Any

from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Scope
from flyte_nb.api.problems import Problem
from flyte_nb.discovery.specs.spec import Spec
from flyte_nb.drafting.draft import Draft, Lookup, Name
from flyte_nb.drafting.draft_set import DraftSet
from flyte_nb.drafting.specs.naming import Entry, Reference, in_order, used_by
from flyte_nb.drafting.specs.spec_problems import (
    in_terms_of_specs,
    launch_plan_problems,
    missing,
    task_problems,
    workflow_problems,
)
from flyte_nb.wire.identifiers import identifier_from_idl

_MAX_HINTS = 50  # of one spec
_MAX_REPORTED = 1_000  # lost references of one spec
_MOST_BROUGHT = (
    50_000  # sub-workflows in all specs: a deep one is copied into each that is above it
)


class SpecDrafter:
    """Makes drafts of specs, each after what it refers to.

    References are resolved among the specs first, then among the drafts that are made already, then, with a
    `lookup`, among what is registered.
    """

    def __init__(
        self, scope: Scope, made: DraftSet, lookup: "Lookup | None", unread: "Container[str]"
    ) -> None:
        """Set what all specs share.

        Args:
            scope: Project and domain for ids that name none.
            made: The drafts that specs may refer to; those of the specs are added.
            lookup: Finds what is registered; without it such a reference is a problem.
            unread: Names of specs that exist but could not be read. A reference to one is no problem of
                its own, but what has it is not whole.
        """
        self._scope = scope
        self._made = made
        self._lookup = lookup
        self._unread = unread
        self._entries: dict[Name, Entry] = {}
        self._problems: dict[Name, list[Problem]] = {}
        self._brought = 0

    def make(self, specs: "Iterable[Spec]") -> None:
        """Add a draft of each spec, in an order in which they can be registered."""
        for spec in specs:
            entry = Entry(spec, self._scope)
            self._entries[entry.name] = entry
        if self._lookup is not None:
            wanted = {
                reference.id: None
                for entry in self._entries.values()
                for reference in entry.references
                if not self._is_local(entry, reference)
            }
            found = self._lookup(list(wanted)) if wanted else {}
            self._made.registered = {**self._made.registered, **found}
        for entry in in_order(self._entries, self._problems):
            problems = self._problems.setdefault(entry.name, [])
            is_resolved = self._resolve(entry, problems)
            entry.settle()
            make = {TASK: self._task, WORKFLOW: self._workflow, LAUNCH_PLAN: self._launch_plan}
            if is_resolved:
                draft = make[entry.id.resource_type](entry, problems)
            else:  # without what it refers to, the compiler would report that once more
                draft = _draft(entry, problems, whole=False)
            self._made.add(draft)

    def _is_local(self, entry: Entry, reference: Reference) -> bool:
        return (
            entry.embedded(reference) is not None
            or self._made.find(reference.id) is not None
            or (
                reference.name in self._entries
                and reference.message.version in ("", self._entries[reference.name].id.version)
            )
        )

    def _resolve(self, entry: Entry, problems: "list[Problem]") -> bool:
        """Give each reference its version, and the spec the sub-workflows that it needs.

        Returns:
            Whether every reference leads somewhere.
        """
        is_resolved = True
        reported: set[tuple[Name, str]] = set()
        local = []
        for reference in entry.references:
            sub = entry.embedded(reference)
            draft = self._made.find(reference.id)
            known = self._made.registered.get(reference.id)
            runs_inside = reference.noun == WORKFLOW and entry.id.resource_type == WORKFLOW
            # Order matters: a spec may contain the sub-workflow it refers to, in a version of its own.
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
            if key not in reported and not self._is_local(
                entry, reference
            ):  # a local one is part of a circle, which is reported
                reported.add(key)
                # Looking for similar names takes time, and nobody reads the hundredth hint.
                names = [*self._entries, *self._made.named] if len(reported) <= _MAX_HINTS else ()
                if len(reported) <= _MAX_REPORTED:
                    problems.append(
                        missing(entry, reference, names, asked=self._lookup is not None)
                    )
                elif len(reported) == _MAX_REPORTED + 1:
                    problems.append(
                        Problem("TooManyProblems", "There are more problems than these.")
                    )
        # Last, because settling hashes the whole spec, which resolving the others changes.
        for reference, sub in local:
            if not sub.id.version:
                entry.settle()  # a part without a version has that of the whole
                sub.id.version = entry.id.version
            reference.message.version = sub.id.version
        return is_resolved

    def _bring(self, entry: Entry, subs: "Sequence[Any]", problems: "list[Problem]") -> bool:
        """Add sub-workflows to the entry, and return whether all specs together stay within bounds."""
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
        problems.extend(self._made.check_task(entry.id, entry.message))
        return _draft(entry, problems)

    def _workflow(self, entry: Entry, problems: "list[Problem]") -> Draft:
        problems.extend(workflow_problems(entry.message.template))
        if problems or not self._is_whole_below(entry):
            return _draft(entry, problems, whole=False)  # the problem is with what is below
        uses = tuple(dict.fromkeys(used_by(entry.message)))
        closure, compiled = self._made.check_workflow(entry.message, uses)
        problems.extend(compiled)
        return _draft(entry, problems)._replace(
            closure=None if problems else closure, references=uses
        )

    def _launch_plan(self, entry: Entry, problems: "list[Problem]") -> Draft:
        workflow = identifier_from_idl(entry.message.workflow_id)
        interface = self._made.interface_of(workflow)
        if interface is not None:
            problems.extend(launch_plan_problems(entry.message, interface))
        whole = self._is_whole_below(entry)
        return _draft(entry, problems, whole=whole)._replace(references=(workflow,))

    def _is_whole_below(self, entry: Entry) -> bool:
        below = (self._made.find(reference.id) for reference in entry.references)
        return all(draft is None or draft.is_whole for draft in below)


def _draft(entry: Entry, problems: "Sequence[Problem]", *, whole: bool = True) -> Draft:
    """Return the draft, with the line of each problem."""
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
    return Draft(
        entity=spec, id=entry.id, problems=tuple(placed), message=message, pinned=entry.pinned
    )
