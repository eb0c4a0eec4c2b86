"""Renders a drift check as SARIF 2.1.0, for code scanning and editors.

A result is at the line of the catalog that defines the field. Where no line does, it is at
the file of the environment, without a line: code scanning drops results without a file.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from framework.core.diagnostics import Position
from framework.drift.grouping import Danger, describe_change, find_danger
from framework.drift.report import DriftReport, Finding, FindingKind, Verdict
from framework.drift.run import EXIT_CODES, DriftRun
from framework.files import environment_path
from framework.output.drift import build_change, render_rule, render_writer
from framework.output.text import render_visible
from framework.output.values import render_values

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Danger.SERVING: "error",
    Danger.BUDGET: "warning",
    Danger.SETTING: "warning",
    Danger.LABEL: "note",
}
_RULES = {
    FindingKind.CHANGED: ("FieldChanged", "A field that the stack sets has another value"),
    FindingKind.ADDED: ("FieldAdded", "Somebody added a field that the stack does not set"),
    FindingKind.MISSING: ("ObjectMissing", "An object of the stack is gone"),
    FindingKind.RECREATED: ("ObjectRecreated", "Somebody deleted an object and created it again"),
    FindingKind.FOREIGN: ("ForeignObject", "An object that no stack owns"),
}


def render_sarif(run: DriftRun, prefix: str = "") -> str:
    """Renders the check of an environment as one run of SARIF.

    `prefix` is the folder of the project in its repository, such as `models/`.
    """
    results = [
        _build_result(finding, report, prefix)
        for report in run.reports
        for finding in (*report.findings, *report.accepted)
    ]
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _build_driver()},
                # Results of another category stay when a new run is uploaded.
                "automationDetails": {"id": f"drift/{run.environment}/"},
                "columnKind": "unicodeCodePoints",
                "invocations": [_build_invocation(run)],
                "results": results,
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _build_driver() -> dict[str, Any]:
    return {
        "name": "modelcatalog drift",
        "rules": [
            {
                "id": f"drift/{kind}",
                "name": name,
                "shortDescription": {"text": f"{text}."},
                "help": {"text": "Put it back with `up`, or keep it with `take` or `accept`."},
            }
            for kind, (name, text) in _RULES.items()
        ],
    }


def _build_invocation(run: DriftRun) -> dict[str, Any]:
    problems = [
        *(f"{report.stack}: {problem}" for report in run.reports for problem in report.problems),
        *(f"{failed.stack}: {failed.reason}" for failed in run.failed),
    ]
    uncompared = [
        f"{report.stack}: {finding.label}: {report.explain_uncompared()}"
        for report in run.reports
        for finding in report.uncompared
    ]
    return {
        "executionSuccessful": run.verdict is not Verdict.FAILED,
        "exitCode": EXIT_CODES[run.verdict],
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": render_visible(text)}}
            for level, texts in (("error", problems), ("warning", uncompared))
            for text in texts
        ],
    }


def _build_result(finding: Finding, report: DriftReport, prefix: str) -> dict[str, Any]:
    home = Position(environment_path(report.stack.environment), 0, 0)
    name = f"{report.stack}/{finding.object_kind}/{finding.object}"
    name += f"/{finding.path}" if finding.path else ""
    result: dict[str, Any] = {
        "ruleId": f"drift/{finding.kind}",
        "ruleIndex": list(FindingKind).index(finding.kind),
        "level": _LEVELS[find_danger(finding)],
        "message": {"text": render_visible(_describe(finding, report))},
        "locations": [
            {
                "physicalLocation": _build_location(finding.source or home, prefix),
                "logicalLocations": [
                    {
                        "fullyQualifiedName": render_visible(name),
                        "kind": "resource",
                    }
                ],
            }
        ],
        # Code scanning recognizes the finding of an earlier night only by
        # `primaryLocationLineHash`. Without it, the upload takes a hash of the line's text, which
        # all findings of one line share.
        "partialFingerprints": {
            "primaryLocationLineHash": finding.id,
            "driftFinding/v1": finding.id,
        },
    }
    if finding.accepted_by:
        result["suppressions"] = [
            {"kind": "external", "justification": render_rule(finding.accepted_by)}
        ]
    return result


def _build_location(position: Position, prefix: str) -> dict[str, Any]:
    location: dict[str, Any] = {
        "artifactLocation": {"uri": quote(f"{prefix}{position.path}"), "uriBaseId": "%SRCROOT%"}
    }
    if position.line:
        location["region"] = {"startLine": position.line, "startColumn": position.column}
    return location


def _describe(finding: Finding, report: DriftReport) -> str:
    """Returns one line: the object, the change with its values, who and when."""
    what = describe_change(finding)
    if finding.path:
        change = build_change(finding)
        what = f"{finding.path} {render_values(change)}"
    elif finding.note:
        what = finding.note
    cause = render_writer(finding.manager, finding.time)
    by = f" (by {cause})" if cause else ""
    return f"{report.stack}: {finding.label}: {what}{by}"
