"""The plan file of PLAN=: builds, writes and reads it, and renders why it is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from framework.core.atomic_files import write_atomically
from framework.core.changes import (
    Change,
    Difference,
    FieldChange,
    Op,
    PlanInputs,
    Preview,
    ReviewedChange,
)
from framework.core.errors import PlanFileError
from framework.core.passphrase import SET_PASSPHRASE
from framework.engines.reviewed_plan import Digests, build_reviewed_change, key_change
from framework.output.changes import is_shown
from framework.output.json import build_document, build_preview, render_json
from framework.output.stack_documents import PlanDocument, PlannedChange
from framework.output.text import render_count, render_wrapped, shorten_path
from framework.output.values import render_field_changes
from framework.plan import StackPlan

FORMAT = 1
_MAX_FIELDS = 12
_MAX_OBJECTS = 30


def build_plan(
    preview: Preview,
    plan: StackPlan,
    inputs: PlanInputs,
    *,
    model: str | None,
    models: frozenset[str] | None,
    engine: str,
    created: str,
) -> PlanDocument:
    """Builds the document of a preview, without a checksum. `model` is the option MODEL."""
    shown = build_preview(preview, plan, engine)
    changed = [change for change in preview.changes if is_shown(change)]
    return build_document(
        PlanDocument,
        shown,
        format=FORMAT,
        checksum="",
        created=created,
        environment=plan.stack.environment,
        model=model,
        models=None if models is None else tuple(sorted(models)),
        changes=tuple(
            PlannedChange(**vars(item), type=change.type, takes_over=change.takes_over)
            for item, change in zip(shown.changes, changed, strict=True)
            if change.op is not Op.SAME
        ),
        unchanged=sum(change.op is Op.SAME for change in changed),
        inputs=inputs,
    )


def check_replaceable(path: Path) -> None:
    """Raises PlanFileError for an existing file that is not a plan: PLAN= may be a mistake."""
    if path.exists():
        try:
            _load(path)
        except PlanFileError as exc:
            remedy = "name another file, or remove this one"
            raise PlanFileError(path, "already exists and is not a plan", remedy) from exc


def write_plan(path: Path, document: PlanDocument, digests: Digests) -> None:
    """Writes the plan with its checksum. PlanFileError where it cannot be written."""
    # The checksum is of the JSON as `read_plan` gets it, with lists in place of tuples.
    data = json.loads(render_json(document))
    checksum = digests.compute_checksum(_without_checksum(data))
    text = render_json(replace(document, checksum=checksum))
    try:
        write_atomically(path, f"{text}\n".encode())
    except OSError as exc:
        remedy = "name a file in a folder that exists and can be written"
        raise PlanFileError(path, f"cannot be written ({exc.strerror})", remedy) from exc


def read_plan(path: Path, environment: str, passphrase: str) -> tuple[PlanDocument, Digests]:
    """Reads a plan of an environment, and returns it with what computes its digests.

    PlanFileError for a file that is not a plan, is damaged or edited, or of another format or
    environment.
    """
    data = _load(path)
    again = f"write it again with `make preview ENV={environment} PLAN={path}`"
    if data["format"] != FORMAT:
        problem = f"has format {data['format']}, and this version reads format {FORMAT}"
        raise PlanFileError(path, problem, again)
    try:
        document = TypeAdapter(PlanDocument).validate_python(data)
    except ValidationError as exc:
        error = exc.errors()[0]
        where = ".".join(map(str, error["loc"]))
        problem = f"is damaged or was edited ({where}: {error['msg']})"
        raise PlanFileError(path, problem, again) from exc
    # Without the passphrase every digest would differ, and the file would look edited.
    if document.inputs.keyed and not passphrase:
        raise PlanFileError(
            path,
            "was written with a passphrase, which its digests need",
            f"{SET_PASSPHRASE} as it was then",
        )
    digests = Digests(document.inputs.salt, passphrase if document.inputs.keyed else "")
    if digests.compute_checksum(_without_checksum(data)) != document.checksum:
        other = ", or was written with another passphrase" if document.inputs.keyed else ""
        problem = f"is damaged or was edited{other}: its checksum does not match"
        raise PlanFileError(path, problem, again)
    if document.environment != environment:
        raise PlanFileError(
            path,
            f"is a plan of environment {document.environment}, not of {environment}",
            f"use ENV={document.environment}, or {again}",
        )
    return document, digests


def _load(path: Path) -> dict[str, Any]:
    remedy = "name a file that `preview` with PLAN= has written"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise PlanFileError(path, f"cannot be read ({exc.strerror})", remedy) from exc
    except ValueError as exc:
        raise PlanFileError(path, f"is not a plan: it is not JSON ({exc})", remedy) from exc
    if not isinstance(data, dict) or not {"format", "checksum", "inputs"} <= data.keys():
        raise PlanFileError(path, "is not a plan: it is other JSON", remedy)
    return data


def _without_checksum(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "checksum"}


def index_planned(document: PlanDocument) -> dict[str, ReviewedChange]:
    """Returns the changes of a plan by the key that `find_differences` takes."""
    return index_changes(
        Change(
            urn=item.urn,
            type=item.type,
            name=item.urn.rpartition("::")[2],
            op=item.op,
            object=item.object,
            fields=tuple(FieldChange(f.path, f.old, f.new) for f in item.fields),
            takes_over=item.takes_over,
        )
        for item in document.changes
    )


def index_changes(changes: Iterable[Change]) -> dict[str, ReviewedChange]:
    """Returns the changes of objects and providers by the key that `find_differences` takes."""
    return {
        key_change(change): build_reviewed_change(change)
        for change in changes
        if is_shown(change) and change.op is not Op.SAME
    }


# Rendering a refusal


def render_differences(differences: Iterable[Difference], *, clean: bool = False) -> str:
    """Renders what differs between a plan and now: an object, what changed of it, and how.

    `clean` is True where `up` would change nothing any more.
    """
    shown = list(differences)
    lines = []
    for difference in shown[:_MAX_OBJECTS]:
        sources = " and ".join(difference.sources)
        head = f"{difference.subject}: {_HEADS.get(difference.sources, f'{sources} changed')}"
        lines.append(render_wrapped(head, first="  ", then="    "))
        lines += [
            render_wrapped(line, first="    ", then="      ")
            for line in _render_change(difference.reviewed, difference.now)
        ]
    if len(shown) > _MAX_OBJECTS:
        lines.append(f"  and {len(shown) - _MAX_OBJECTS} more")
    if clean:
        lines.append("  now there is nothing to change: perhaps the plan was applied already")
    return "\n".join(lines)


_HEADS: dict[tuple[str, ...], str] = {
    ("code",): "code changed",
    ("catalog",): "its settings in the catalog changed",
    ("state",): "its record in the state changed: another command has worked on it",
    ("live object",): "the live object changed in the cluster",
}


def _render_change(reviewed: ReviewedChange | None, now: ReviewedChange | None) -> list[str]:
    if reviewed == now:
        return []
    before, after = (change.op.value if change else "no change" for change in (reviewed, now))
    lines = [f"plan: {before}; now: {after}"] if before != after else []
    planned = {field.path: field for field in reviewed.fields} if reviewed else {}
    current = {field.path: field for field in now.fields} if now else {}
    differing = sorted(
        path for path in planned.keys() | current.keys() if planned.get(path) != current.get(path)
    )
    for path in differing[:_MAX_FIELDS]:
        texts = iter(
            render_field_changes([found[path] for found in (planned, current) if path in found])
        )
        sides = (next(texts) if path in found else "no change" for found in (planned, current))
        lines.append("{}  plan: {}; now: {}".format(shorten_path(path), *sides))
    if len(differing) > _MAX_FIELDS:
        lines.append(f"and {len(differing) - _MAX_FIELDS} more fields")
    return lines


def describe_plan(document: PlanDocument) -> str:
    """Returns one line about a plan that is applied: how many changes, when it was written."""
    changes = render_count(len(document.changes), "change")
    return f"{changes}, written {document.created} with the {document.engine} engine"
