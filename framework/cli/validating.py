"""The verb that checks: every fault and warning of every file, for people and for machines.

Kept apart from the other reading verbs because it alone goes on after a fault.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from framework.catalog import count_files, list_environments, list_models
from framework.cli.screens.faults import (
    describe_fault,
    read_lines,
    render_annotations,
    render_faults,
    render_summary,
)
from framework.cli.screens.text import render_count
from framework.errors import ConfigError, Fault, FaultGroup, UsageError, group_faults
from framework.plan import load_plan


def run_validate(root: Path, options: argparse.Namespace) -> int:
    """Every fault in every file, of one environment or of all."""
    environments = [options.environment] if options.environment else list(list_environments(root))
    if options.format == "markdown":
        raise UsageError("validate writes text or github; use FORMAT=github for annotations")
    groups = group_faults(find_all_faults(root, environments))
    warnings = sum(group.fault.code.is_warning for group in groups)
    faults = len(groups) - warnings
    if options.json:
        print(json.dumps(_describe(groups, environments), indent=2))
        return 1 if faults else 0
    if groups and options.format == "github":
        print(render_annotations(groups))
    elif groups:
        print(f"{render_faults(groups, read_lines(root))}\n")
    where = f"{render_count(len(list_models(root)), 'model')}, {', '.join(environments)}"
    print(render_summary(faults, warnings, count_files(root, environments), where))
    return 1 if faults else 0


def find_all_faults(root: Path, environments: Sequence[str]) -> list[Fault]:
    """What is wrong in each environment; a fault of a shared file stands in it once for each."""
    faults: list[Fault] = []
    for environment in environments:
        try:
            load_plan(root, environment)
        except ConfigError as error:
            faults += error.faults
    return faults


def _describe(groups: Sequence[FaultGroup], environments: Sequence[str]) -> dict[str, object]:
    return {
        "environments": list(environments),
        "faults": [describe_fault(group) for group in groups],
    }
