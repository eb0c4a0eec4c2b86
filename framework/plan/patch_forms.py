"""The forms that the API asks of names, images and labels, and which fields exclude one another.

Kept apart from the fields, which the API's definitions list: these rules they leave unsaid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from framework.plan.kubernetes_fields import FieldType
from framework.plan.strategic import PatchDiagnostic, Path
from framework.settings.names import (
    AnnotationKey,
    EnvName,
    Form,
    LabelKey,
    LabelValue,
    ShortName,
)

# A value of the patch as a message may show it: REDACTED where it may be secret.
Show = Callable[[Path, Any], str]

_FORMS = {
    ("Container", "name"): get_args(ShortName)[1],
    ("Container", "image"): Form(r"\S+", "an image, without spaces"),
    ("ContainerPort", "name"): Form(
        "(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        "a port's name: at most 15 lower-case letters, digits and '-', one of them a letter",
        15,
    ),
    ("EnvVar", "name"): get_args(EnvName)[1],
    ("Volume", "name"): get_args(ShortName)[1],
}
# Of the mappings in these fields: the form of a key, and of a value.
_LABELS = (get_args(LabelKey)[1], get_args(LabelValue)[1])
_MAPPINGS = {
    "labels": _LABELS,
    "matchLabels": _LABELS,
    "nodeSelector": _LABELS,
    "annotations": (get_args(AnnotationKey)[1], None),
}
_ONE_OF = {
    "Probe": ("handler", ("exec", "grpc", "httpGet", "tcpSocket")),
    "LifecycleHandler": ("handler", ("exec", "httpGet", "sleep", "tcpSocket")),
    "EnvVar": ("value", ("value", "valueFrom")),
}


def choose_one(of: FieldType) -> tuple[str, tuple[str, ...]]:
    """What a definition has one of, and the fields that are one: ("handler", ("exec", ...))."""
    if of.name == "Volume":
        return "source", tuple(name for name in of.fields if name != "name")
    return _ONE_OF.get(of.name, ("", ()))


def find_form_diagnostics(
    definition: str, field: str, value: Any, at: Path, show: Show
) -> Iterator[PatchDiagnostic]:
    """The flaw of one field's value, where it is text and the field asks a form."""
    form = _FORMS.get((definition, field))
    if form and isinstance(value, str) and not _has_form(value, form):
        yield PatchDiagnostic(at, f"is {show(at, value)}; expected {form.expected}")


def find_key_diagnostics(
    value: Mapping[str, Any], at: Path, show: Show
) -> Iterator[PatchDiagnostic]:
    """Keys, and values, that a mapping of labels or annotations may not have."""
    of_key, of_value = _MAPPINGS.get(str(at[-1]) if at else "", (None, None))
    for key, child in value.items():
        here = (*at, key)
        if child is None or key.startswith("$"):
            continue
        if of_key and not _has_form(key, of_key):
            yield PatchDiagnostic(here, f"is no such key; expected {of_key.expected}", at_key=True)
        elif of_value and isinstance(child, str) and not _has_form(child, of_value):
            yield PatchDiagnostic(here, f"is {show(here, child)}; expected {of_value.expected}")


def _has_form(text: str, form: Form) -> bool:
    fits = re.fullmatch(form.pattern, text) is not None
    return fits and not 0 < form.longest < len(text)
