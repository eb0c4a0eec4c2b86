"""The verb that checks: every fault and warning of every file, for people and for machines.

Kept apart from the other reading verbs because it alone goes on after a fault.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from framework.cli.screens.faults import (
    describe_fault,
    read_lines,
    render_annotations,
    render_faults,
    render_summary,
)
from framework.cli.screens.text import render_count
from framework.errors import FaultGroup, UsageError, group_faults
from framework.plan import find_faults
from framework.sources import count_files, environment_names, find_catalog


def run_validate(root: Path, options: argparse.Namespace) -> int:
    """Every fault in every file, of one environment or of all."""
    environments = [options.environment] if options.environment else list(environment_names(root))
    if options.format == "markdown":
        raise UsageError("validate writes text or github; use FORMAT=github for annotations")
    groups = group_faults(find_faults(root, environments, today=resolve_today(options.today)))
    warnings = sum(group.fault.code.is_warning for group in groups)
    faults = len(groups) - warnings
    if options.json:
        print(json.dumps(_describe(groups, environments), indent=2))
        return 1 if faults else 0
    if groups and options.format == "github":
        print(render_annotations(groups))
    elif groups:
        print(f"{render_faults(groups, read_lines(root))}\n")
    models = render_count(len(find_catalog(root).models), "model")
    where = f"{models}, {', '.join(environments)}"
    print(render_summary(faults, warnings, count_files(root, environments), where))
    return 1 if faults else 0


def resolve_today(text: str | None) -> date:
    """The day that waivers are held against: the one given, or this one. UsageError."""
    if text is None:
        return date.today()
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f'TODAY={text} is no day; write it as "2026-11-23"') from exc


def _describe(groups: Sequence[FaultGroup], environments: Sequence[str]) -> dict[str, object]:
    return {
        "environments": list(environments),
        "faults": [describe_fault(group) for group in groups],
    }
