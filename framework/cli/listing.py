"""The verb list: the models, a line each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from framework.cli.selection import match_names, unknown_label
from framework.core.diagnostics import group_diagnostics
from framework.core.errors import UnknownNameError
from framework.files import environment_names, find_catalog
from framework.output.diagnostics import describe_diagnostic, read_lines, render_diagnostics
from framework.output.listing import render_listing
from framework.plan import ModelPlan, StackPlan
from framework.plan.partial import load_partial
from framework.reports.listing import ListedModel, build_listing


def run_list(root: Path, options: argparse.Namespace) -> int:
    """The models, of one environment or of all; a fault costs no more than its models."""
    environments = [options.environment] if options.environment else environment_names(root)
    only, profile = match_names(root, options.model), options.profile
    if profile is not None and profile not in (known := find_catalog(root).profiles):
        raise UnknownNameError("profile", profile, known)
    found = {name: load_partial(root, name, only=only) for name in environments}
    groups = group_diagnostics(
        diagnostic for one in found.values() for diagnostic in one.diagnostics
    )
    plans = {name: one.plan for name, one in found.items() if one.plan}
    label = options.model if only is None else None

    def wanted(model: ModelPlan) -> bool:
        return _has_label(model, label) and profile in (None, *model.profiles)

    models = build_listing(plans, wanted if label or profile else None)
    if label and not groups and not any(_has_label(one, label) for one in _all_models(plans)):
        pairs = {pair for model in _all_models(plans) for pair in model.labels.items()}
        raise unknown_label(label, map("=".join, pairs))
    if options.json:
        diagnostics = [describe_diagnostic(group) for group in groups]
        print(json.dumps({"models": [*map(_describe, models)], "faults": diagnostics}, indent=2))
        return 1 if groups else 0
    if models:
        print(render_listing(models))
    elif not groups:
        print(f"no model that runs in {' or '.join(environments)} is one of these")
    if groups:
        told = render_diagnostics(groups, read_lines(root))
        print(f"{told}\n\nmodels whose settings have faults are not listed", file=sys.stderr)
    return 1 if groups else 0


def _all_models(plans: Mapping[str, StackPlan]) -> list[ModelPlan]:
    return [model for plan in plans.values() for model in plan.models]


def _has_label(model: ModelPlan, label: str | None) -> bool:
    key, _, value = (label or "").partition("=")
    return label is None or model.labels.get(key) == value


def _describe(model: ListedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "owners": list(model.owners),
        "profiles": list(model.profiles),
        "environments": {
            name: _camel(asdict(one)) if one else None for name, one in model.environments.items()
        },
    }


def _camel(presence: dict[str, Any]) -> dict[str, Any]:
    return {"maxReplicas" if key == "max_replicas" else key: presence[key] for key in presence}
