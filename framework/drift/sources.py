"""Finds the setting behind each finding: the file, line and column that a person would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from framework.core.diagnostics import Position
from framework.core.errors import FrameworkError
from framework.drift.report import Finding, FindingKind
from framework.engines.base import Request
from framework.plan import StackPlan

# Each field is explained by experiments that take some milliseconds. A mass change is explained by
# its file alone.
_MOST_EXPLAINED = 200


def add_sources(
    findings: Sequence[Finding], request: Request, plan: StackPlan | None
) -> list[Finding]:
    """Returns the findings with the positions of the settings behind them, as far as known."""
    planned = {model.name for model in plan.models} if plan else set()
    models = {finding.model for finding in findings} & planned
    if not models:
        return list(findings)
    sources = _Sources(request, models)
    explained = 0
    result = []
    for finding in findings:
        source = None
        if finding.model in models and finding.kind is not FindingKind.FOREIGN:
            is_field = bool(finding.path) and explained < _MOST_EXPLAINED
            explained += is_field
            source = sources.find(finding, is_field=is_field)
        result.append(replace(finding, source=source))
    return result


class _Sources:
    def __init__(self, request: Request, models: set[str]) -> None:
        # Imported here: a clean check needs neither pydantic nor OmegaConf.
        from framework.catalog import load_catalog
        from framework.reports.rendered_fields import FieldExplainer

        catalog = load_catalog(request.root, request.stack, models=models)
        self._homes = {model.name: model.home for model in catalog.models}
        self._explainers = {model.name: FieldExplainer(catalog, model) for model in catalog.models}
        self._known: dict[tuple[str, str, str, str], Position | None] = {}

    def find(self, finding: Finding, *, is_field: bool) -> Position | None:
        """Returns the position of a field's setting, else the model's file."""
        home = self._homes.get(finding.model)
        file = Position(home, 1, 1) if home else None
        if not is_field or finding.model not in self._explainers:
            return file
        key = (finding.model, finding.object_kind, finding.object, finding.path)
        if key not in self._known:
            self._known[key] = self._explain(finding)
        return self._known[key] or file

    def _explain(self, finding: Finding) -> Position | None:
        name = finding.object.rpartition("/")[2]
        explainer = self._explainers[finding.model]
        try:
            found = explainer.explain(f"{finding.object_kind}/{name}.{finding.path}")
        except FrameworkError:
            # A field of a custom resource, or one that Kubernetes does not have.
            return None
        named = {key for field in found.fields for key in field.settings} or {*found.adds}
        positions = (setting.position for setting in found.settings if setting.key in named)
        return next((_parse(position) for position in positions if position), None)


def _parse(position: str) -> Position:
    path, line, column = position.rsplit(":", 2)
    return Position(path, int(line), int(column))
