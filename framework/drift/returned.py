"""Warns about fields that somebody writes again after each `up`, such as a controller.

Each `up` puts such a field back for a few seconds, and each check reports it again, until somebody
stops the controller or allows the field. There are two kinds of evidence:
- the history has the finding from before the last `up` wrote the object, and the field was written
  after that `up`: it has come back;
- without a history, a manager wrote the field within a minute after the `up`: it may come back. The
  clients that people work with, such as kubectl and k9s, do not count then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from framework.core.suggestions import list_names
from framework.drift.grouping import parse_time
from framework.drift.report import DriftReport, FindingKind

# A controller reacts within seconds. A person rarely changes a field so soon after an `up`.
_AT_ONCE = timedelta(minutes=1)
# Lens and its forks write as `node-fetch`, and consoles in a browser as `Mozilla`. A script that
# runs kubectl looks the same as a person, and only the history distinguishes them. Not Rancher: its
# controllers and its users write under one name.
_INTERACTIVE = re.compile(
    r"kubectl|(k9s|node-fetch|mozilla|(open|free)?lens|headlamp|(kubernetes-)?dashboard)\b",
    re.IGNORECASE,
)
_MAX_NAMES = 3
# The manager, the kind of finding and the path.
_Key = tuple[str, FindingKind, str]


def warn_about_returned(report: DriftReport, since: Mapping[str, datetime]) -> DriftReport:
    """Returns the report with a warning for each manager and field that comes back.

    `since` maps the ids of findings to the first check that found them.
    """
    returned: dict[_Key, list[str]] = {}
    proven: set[_Key] = set()
    for finding in report.findings:
        applied, written = parse_time(finding.applied), parse_time(finding.time)
        if not finding.manager or not finding.path or applied is None or written is None:
            continue
        # The times of managedFields have whole seconds, and a controller reacts within one. If the
        # value was written before `up` in that second, `up` has put it back, and it is not a
        # finding.
        if written < applied:
            continue
        first = since.get(finding.id)
        has_returned = first is not None and first < applied
        is_person = _INTERACTIVE.match(finding.manager)
        if has_returned or (not is_person and written <= applied + _AT_ONCE):
            key = finding.manager, finding.kind, finding.path
            returned.setdefault(key, []).append(finding.label)
            proven |= {key} if has_returned else set()
    warnings = [
        _describe(key, names, is_proven=key in proven) for key, names in sorted(returned.items())
    ]
    return replace(report, warnings=(*report.warnings, *warnings))


def _describe(key: _Key, names: list[str], *, is_proven: bool) -> str:
    manager, kind, path = key
    text = f"warning: {list_names(names, _MAX_NAMES)}: {manager} wrote {path}"
    if is_proven:
        text += " again after the last `up`, and is likely to do so after the next one; "
    else:
        text += (
            " within a minute after the last `up`, so it may come back after the next one; if "
            f"{manager} is a controller, "
        )
    if kind is FindingKind.ADDED:
        # Imported here: each check would load the YAML editor for a warning that is rare.
        from framework.edits.yaml_text import render_inline

        return (
            f"{text}stop it, or allow it under drift.injectors of environment.yaml: "
            + render_inline({"manager": manager, "path": path, "reason": "say why"})
        )
    return f"{text}stop it, keep its value with `take`, or accept the difference"
