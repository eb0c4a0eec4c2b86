"""Finds the setting behind each finding: the file, line and column that a person would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from framework.core.diagnostics import Position
from framework.core.field_paths import FieldPath
from framework.drift.report import Finding, FindingKind
from framework.engines.base import Request
from framework.plan import StackPlan


def add_sources(
    findings: Sequence[Finding], request: Request, plan: StackPlan | None
) -> list[Finding]:
    """Returns the findings with the positions of the settings behind them, as far as known.

    Of a field without a setting it is the model's file, without a line.
    """
    planned = {model.name for model in plan.models} if plan else set()
    models = {finding.model for finding in findings} & planned
    if not models:
        return list(findings)
    # Imported here: a clean check needs neither pydantic nor OmegaConf.
    from framework.catalog import load_catalog
    from framework.reports.positions import SettingFinder

    catalog = load_catalog(request.root, request.stack, models=models)
    loaded = {model.name: model for model in catalog.models}
    settings = SettingFinder(catalog)

    def find(finding: Finding) -> Position | None:
        model = loaded.get(finding.model)
        if model is None or finding.kind is FindingKind.FOREIGN:
            return None
        name = f"{finding.object_kind}/{finding.object.rpartition('/')[2]}"
        found = settings.find(model, name, FieldPath.parse(finding.path))
        if not found:
            # A whole object has no setting of its own, so the model's file is the place to look at.
            return Position(model.home, 0, 0)
        path, line, column = found.rsplit(":", 2)
        return Position(path, int(line), int(column))

    return [replace(finding, source=find(finding)) for finding in findings]
