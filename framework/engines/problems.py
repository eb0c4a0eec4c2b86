"""Problems that keep `up` from writing: objects that the server refuses, or that others own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from framework.core.changes import Change, Preview, Problem, Severity
from framework.core.errors import ClusterError, EngineError
from framework.core.redaction import redact_text
from framework.core.suggestions import list_names
from framework.kube.adopting import CannotAdoptError, ManagedByToolError
from framework.kube.api_error import ApiError
from framework.kube.ownership import AlreadyExistsError

# Fields that the message of a policy or of a webhook names, with or without a leading dot.
_FIELD = re.compile(r"(?<![\w./-])\.?((?:spec|metadata|data)(?:\.[\w/-]+|\[[^\]\s]+\])+)")


class RefusedError(EngineError):
    """The preview found errors, so nothing was written. `preview` has the changes and problems."""

    def __init__(self, preview: Preview) -> None:
        self.preview = preview
        errors = [p for p in preview.problems if p.severity is Severity.ERROR]
        super().__init__("\n".join(map(str, errors)))


def check_problems(preview: Preview) -> None:
    """Raises RefusedError if the preview has an error."""
    if preview.refused:
        raise RefusedError(preview)


def is_refusal(exc: ClusterError) -> bool:
    """Returns True if the server refused one object, and other objects may be accepted.

    Rejected credentials and a server that does not serve requests concern all objects.
    """
    if isinstance(exc, ApiError):
        return exc.status != 401 and not exc.is_outage
    return isinstance(exc, AlreadyExistsError | CannotAdoptError | ManagedByToolError)


def build_refusal(exc: ClusterError, change: Change, secrets: Iterable[str]) -> Problem:
    """Builds the problem of an object that cannot be applied, in the words of the server."""
    name = f"{change.kind} {change.object or change.name}"
    message = redact_text(str(exc), secrets)
    if name not in message and change.name not in message:
        message = f"{name}: {message}"
    fields = tuple(dict.fromkeys(_find_fields(exc))) if isinstance(exc, ApiError) else ()
    return Problem(
        component=change.component,
        object=name,
        message=message,
        fields=fields,
        belongs_to_others=isinstance(exc, AlreadyExistsError),
    )


def build_kept_problem(change: Change) -> Problem:
    """Builds the problem of an object that stays in the cluster and cannot change in place.

    Its replacement would delete it, and with a claim the data of a volume.
    """
    name = f"{change.kind} {change.object or change.name}"
    fields = tuple(field.path for field in change.fields)
    cause = list_names(fields) if fields else change.note
    return Problem(
        component=change.component,
        object=name,
        message=f"{name} is kept (`keep: true`), and only a deletion could change it: {cause}",
        fields=fields,
        next_step=(
            "undo the change, or give the volume a new name; to delete the object and its data, "
            "set `keep: false` and run `up` before you change it"
        ),
    )


def _find_fields(exc: ApiError) -> Iterator[str]:
    """Yields the fields that a refusal names: those of its causes, then those in its text."""
    yield from (cause.field for cause in exc.causes if cause.field)
    yield from (match[1].rstrip(".:") for match in _FIELD.finditer(exc.message))
