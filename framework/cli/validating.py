"""The verb that checks: every fault and warning of every file, for people and for machines.

Kept apart from the other reading verbs because it alone goes on after a fault.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from framework.core.diagnostics import DiagnosticGroup, group_diagnostics
from framework.core.errors import UsageError
from framework.files import count_files, environment_names, find_catalog
from framework.output.diagnostics import (
    describe_diagnostic,
    read_lines,
    render_annotations,
    render_diagnostics,
    render_summary,
)
from framework.output.text import render_count
from framework.plan import find_diagnostics


def run_validate(root: Path, options: argparse.Namespace) -> int:
    """Every fault in every file, of one environment or of all."""
    environments = [options.environment] if options.environment else list(environment_names(root))
    if options.format == "markdown":
        raise UsageError("validate writes text or github; use FORMAT=github for annotations")
    groups = group_diagnostics(
        find_diagnostics(root, environments, today=resolve_today(options.today))
    )
    warnings = sum(group.diagnostic.code.is_warning for group in groups)
    diagnostics = len(groups) - warnings
    if options.json:
        print(json.dumps(_describe(groups, environments), indent=2))
        return 1 if diagnostics else 0
    if groups and options.format == "github":
        print(render_annotations(groups))
    elif groups:
        print(f"{render_diagnostics(groups, read_lines(root))}\n")
    models = render_count(len(find_catalog(root).models), "model")
    where = f"{models}, {', '.join(environments)}"
    print(render_summary(diagnostics, warnings, count_files(root, environments), where))
    return 1 if diagnostics else 0


def resolve_today(text: str | None) -> date:
    """The day that waivers are held against: the one given, or this one. UsageError."""
    if text is None:
        return date.today()
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f'TODAY={text} is no day; write it as "2026-11-23"') from exc


def _describe(groups: Sequence[DiagnosticGroup], environments: Sequence[str]) -> dict[str, object]:
    return {
        "environments": list(environments),
        "faults": [describe_diagnostic(group) for group in groups],
    }
