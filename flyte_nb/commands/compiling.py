"""`flyte-nb compile`: compile everything that the targets define, and show every problem.

Modules and specs are compiled here. What a notebook defines exists only in its kernel: the notebook is
executed with one more cell, which compiles there and prints the report as JSON after a mark.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.problems import Problem
from flyte_nb.commands.closures import draw_graphs, write_closures
from flyte_nb.commands.connections import scope_of, session_of
from flyte_nb.commands.targets import Targets, load, sorted_out, wrong_target
from flyte_nb.commands.terminal import DONE, FAILED, WRONG, WRONG_TARGET, complain, show
from flyte_nb.discovery.here import Here
from flyte_nb.discovery.names import tidy
from flyte_nb.drafting.compile_report import BLOCKED, compile_all, document_of, problem_document
from flyte_nb.registering.lookup import lookup_in
from flyte_nb.session.session import default_runner
from flyte_nb.types.registry import default_registry
from flyte_nb.unattended import headless

_MARK = "flyte-nb-report:"
_SOURCE = f"from flyte_nb.commands.compiling import print_report as _print\n_print({_MARK!r})\n"


def compile(options: argparse.Namespace) -> int:
    """Compile the targets and show the report; return the exit code. Nothing is sent.

    Raises:
        UsageError: files are to be written of a notebook, or there is no target.
    """
    targets = sorted_out(options.targets)
    if targets.notebooks and (options.closure_dir is not None or options.graph is not None):
        raise UsageError(
            "--closure-dir and --graph take modules and specs. In a notebook, write wf.graph().save(…)"
            " or session.compile(wf).closure."
        )
    documents = [_report_on_notebook(path) for path in targets.notebooks]
    if targets.has_code or targets.problems:
        documents.append(_report_on_code(options, targets))
    whole = _joined(documents)
    # A target that cannot be read is a mistake in the call: stderr, like every other mistake.
    wrong = [one["message"] for one in whole["problems"] if one["code"] == WRONG_TARGET]
    for message in wrong:
        complain(message)
    if options.output == "json" or whole["entities"] or len(wrong) < len(whole["problems"]):
        show(options, whole, _text(whole))
    return WRONG if wrong else DONE if whole["ok"] else FAILED


def print_report(mark: str) -> None:
    """Compile what the notebook defines and print the report after `mark`; called in its kernel."""
    from IPython.core.getipython import get_ipython  # optional: a terminal may have no IPython

    here = Here(None, namespace=vars(sys.modules["__main__"]), env=os.environ)
    report = compile_all(
        here.load(),
        Scope(main_module=here.notebook.name),
        default_registry(),
        data=default_runner().data,
    )
    shell: Any = get_ipython()
    # ipykernel compiles each cell under a file name of its own and keeps the cell's number by it.
    numbers = getattr(shell.compile, "_filename_map", {})
    document = document_of(report)
    for item in (*document["entities"], *document["problems"]):
        if item["file"] in numbers:
            item["file"] = f"cell [{numbers[item['file']]}]"
    sys.stdout.write(f"{mark}{json.dumps(document)}\n")


def _report_on_code(options: argparse.Namespace, targets: Targets) -> "dict[str, Any]":
    found = load(targets, version=options.version or "")
    report = compile_all(
        found.entities,
        scope_of(options),
        default_registry(),
        data=default_runner().data,
        lookup=lookup_in(session_of(options).client) if options.remote else None,
        problems=found.problems,
    )
    document = document_of(report, with_digests=options.output == "json")
    written = []
    if options.closure_dir is not None and report.ok:
        written += write_closures(report, options.closure_dir)
    if options.graph is not None:
        written += draw_graphs(report, options.graph)
    if written:
        document["written"] = written
    return document


def _report_on_notebook(path: Path) -> "dict[str, Any]":
    try:
        notebook = headless.read(path)
    except UsageError as error:
        problem = problem_document(wrong_target(error))
        return {"entities": [], "problems": [problem], "elapsed_s": 0.0}
    outcome = headless.execute(
        notebook, folder=path.resolve().parent, name=tidy(path.stem), extra=[_SOURCE]
    )
    for text in headless.texts(outcome.notebook.cells[-1]):
        for line in text.splitlines():
            if line.startswith(_MARK):
                document: dict[str, Any] = json.loads(line[len(_MARK) :])
                for item in (*document["entities"], *document["problems"]):
                    item["file"] = f"{path}:{item['file']}" if item["file"] else str(path)
                return document
    hint = "Correct the cell. The cells after it were not executed."
    problem = problem_document(Problem("CellFailed", outcome.error.strip(), hint=hint))
    return {"entities": [], "problems": [{**problem, "file": str(path)}], "elapsed_s": 0.0}


def _joined(documents: "list[dict[str, Any]]") -> "dict[str, Any]":
    entities = [one for document in documents for one in document["entities"]]
    problems = [one for document in documents for one in document["problems"]]
    counts = {
        "entities": len(entities),
        "ok": sum(one["state"] == "ok" for one in entities),
        "problems": len(problems),
    }
    written = [name for document in documents for name in document.get("written", ())]
    return {
        "format": 1,
        "ok": not problems,
        "counts": counts,
        "entities": entities,
        "problems": problems,
        **({"written": written} if written else {}),
        "elapsed_s": round(sum(document["elapsed_s"] for document in documents), 6),
    }


def _text(document: "dict[str, Any]") -> str:
    lines = [_entity_line(one) for one in document["entities"]]
    # Targets that cannot be read are on stderr already.
    lines += [_problem_line(one) for one in document["problems"] if one["code"] != WRONG_TARGET]
    lines += [f"written   {name}" for name in document.get("written", ())]
    counts = document["counts"]
    if not counts["entities"] and not counts["problems"]:
        lines.append("Nothing is defined there.")
    else:
        problems = counts["problems"]
        lines.append(
            f"{counts['ok']} of {counts['entities']} compiled,"
            f" {problems or 'no'} {'problem' if problems == 1 else 'problems'},"
            f" {document['elapsed_s']:.2f} s"
        )
    return "\n".join(lines)


def _entity_line(entity: "dict[str, Any]") -> str:
    count = entity["nodes"]
    note = f"{count} {'node' if count == 1 else 'nodes'}" if count else ""
    if entity["state"] == BLOCKED:
        note = "what it uses does not compile"
    line = f"{entity['state']:<10}{entity['resource_type']:<12}{entity['name']}  {note}"
    return line.rstrip()


def _problem_line(problem: "dict[str, Any]") -> str:
    """Return e.g. `pipeline.py:12: train.n0.x: The input x is missing. Write x=…. [ParameterNotBound]`."""
    line = f":{problem['line']}" if problem["line"] else ""
    place = f"{problem['file']}{line}" if problem["file"] else ""
    subject = ".".join(
        part for part in (problem["entity"], problem["node_id"], problem["variable"]) if part
    )
    text = f"{problem['message']} {problem['hint']}".rstrip()
    return ": ".join(part for part in (place, subject, f"{text} [{problem['code']}]") if part)
