"""Warns about fields that somebody writes again after each `up`, such as a controller.

Each `up` puts such a field back for a few seconds, and each check reports it again, until somebody
stops the controller or allows the field. A field counts as written again in two cases:
- the history has the finding from before the last `up` wrote the object, and the field was written
  after that `up`;
- without a history, a manager that is not kubectl wrote the field within a minute after the `up`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from framework.core.suggestions import list_names
from framework.drift.grouping import parse_time
from framework.drift.report import DriftReport, Finding, FindingKind

# A controller reacts within seconds. A person rarely changes a field so soon after an `up`.
_AT_ONCE = timedelta(minutes=1)
_MOST_NAMES = 3


def warn_about_returned(report: DriftReport, since: Mapping[str, datetime]) -> DriftReport:
    """Returns the report with a warning for each manager and field that comes back.

    `since` maps the ids of findings to the first check that found them.
    """
    returned: dict[tuple[str, FindingKind, str], list[str]] = {}
    for finding in report.findings:
        if finding.manager and _has_returned(finding, since.get(finding.id)):
            key = finding.manager, finding.kind, finding.path
            returned.setdefault(key, []).append(f"{finding.object_kind} {finding.object}")
    warnings = [
        _describe(manager, kind, path, names)
        for (manager, kind, path), names in sorted(returned.items())
    ]
    return replace(report, warnings=(*report.warnings, *warnings)) if warnings else report


def _has_returned(finding: Finding, first: datetime | None) -> bool:
    applied, written = parse_time(finding.applied), parse_time(finding.time)
    if applied is None or written is None or not finding.path:
        return False
    if first is not None and first < applied < written:
        return True
    # A script that runs kubectl looks the same as a person; only the history distinguishes them.
    is_person = finding.manager.startswith("kubectl")
    return not is_person and applied < written <= applied + _AT_ONCE


def _describe(manager: str, kind: FindingKind, path: str, names: list[str]) -> str:
    text = (
        f"warning: {list_names(names, _MOST_NAMES)}: {manager} wrote {path} again after the last "
        "`up`, and is likely to do so after the next one"
    )
    if kind is FindingKind.ADDED:
        return (
            f"{text}; stop {manager}, or allow it under drift.injectors of environment.yaml: "
            f'{{manager: "{manager}", path: "{path}", reason: ...}}'
        )
    return f"{text}; stop {manager}, keep its value with `take`, or accept the difference"
