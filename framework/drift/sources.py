"""Finds the setting behind each finding: the file, line and column that a person would change."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from framework.core.diagnostics import Position
from framework.core.errors import FrameworkError
from framework.core.field_paths import FieldPath
from framework.drift.report import Finding, FindingKind
from framework.engines.base import Request
from framework.plan import StackPlan

if TYPE_CHECKING:
    from framework.reports.rendered_fields import ExplainedFields

# To explain one part of an object, such as its spec, the model is planned some hundred times, which
# takes about a second. Of a mass change the first objects are explained, the others by their file.
_MOST_EXPLAINED = 4


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
        from framework.reports.rendered_fields import FieldExplainer

        catalog = load_catalog(request.root, request.stack, models=models)
        self._homes = {model.name: model.home for model in catalog.models}
        self._explainers = {model.name: FieldExplainer(catalog, model) for model in catalog.models}
        self._explained: dict[str, ExplainedFields | None] = {}

    def find(self, finding: Finding) -> Position | None:
        """Returns the position of a field's setting, else that of the model's file."""
        home = self._homes.get(finding.model)
        file = Position(home, 1, 1) if home else None
        # A whole object has no setting of its own, so the model's file is the place to look at.
        explained = self._explain(finding) if finding.path and home else None
        if explained is None:
            return file
        path = FieldPath.parse(finding.path)
        keys = {
            key
            for field in explained.fields
            if (found := FieldPath.parse(field.field)).is_within(path) or path.is_within(found)
            for key in field.settings
        }
        positions = (setting.position for setting in explained.settings if setting.key in keys)
        return next((_parse(position) for position in positions if position), file)

    def _explain(self, finding: Finding) -> ExplainedFields | None:
        """Explains the part of an object that the field is in, once for all fields in it."""
        name = finding.object.rpartition("/")[2]
        part = f"{finding.object_kind}/{name}.{FieldPath.parse(finding.path).steps[0]}"
        if part not in self._explained:
            explained = None
            if len(self._explained) < _MOST_EXPLAINED:
                # A custom resource may have a field that nothing in the plan explains.
                with suppress(FrameworkError):
                    explained = self._explainers[finding.model].explain(part)
            self._explained[part] = explained
        return self._explained[part]


def _parse(position: str) -> Position:
    path, line, column = position.rsplit(":", 2)
    return Position(path, int(line), int(column))
