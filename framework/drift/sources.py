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
    """Returns the findings with the positions of the settings behind them, as far as known."""
    planned = {model.name for model in plan.models} if plan else set()
    models = {finding.model for finding in findings} & planned
    if not models:
        return list(findings)
    sources = _Sources(request, models)
    return [
        replace(finding, source=sources.find(finding))
        if finding.model in models and finding.kind is not FindingKind.FOREIGN
        else finding
        for finding in findings
    ]


class _Sources:
    def __init__(self, request: Request, models: set[str]) -> None:
        # Imported here: a clean check needs neither pydantic nor OmegaConf.
        from framework.catalog import load_catalog
        from framework.reports.positions import SettingFinder

        catalog = load_catalog(request.root, request.stack, models=models)
        self._models = {model.name: model for model in catalog.models}
        self._settings = SettingFinder(catalog)

    def find(self, finding: Finding) -> Position | None:
        """Returns the position of a field's setting, else the model's file without a line."""
        model = self._models.get(finding.model)
        if model is None:
            return None
        name = f"{finding.object_kind}/{finding.object.rpartition('/')[2]}"
        # A whole object has no setting of its own, so the model's file is the place to look at.
        found = self._settings.find(model, name, FieldPath.parse(finding.path))
        return _parse(found) if found else Position(model.home, 0, 0)


def _parse(position: str) -> Position:
    path, line, column = position.rsplit(":", 2)
    return Position(path, int(line), int(column))
