"""Writes a rule into `drift.accept` of an environment, for a difference that may stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framework.core.drift_rules import AcceptRule
from framework.edits.transaction import apply_valid_changes
from framework.edits.yaml_edit import Change, Edit, build_change
from framework.files import environment_path
from framework.files.document import load_document
from framework.layers.references import escape

_ACCEPT = ("drift", "accept")


def add_accept_rule(root: Path, environment: str, rule: AcceptRule) -> Change:
    """Adds a rule behind the others, and returns the change that was written.

    Errors: EditError if the file cannot be edited here, ConfigError if it has errors,
    InvalidEditError if it would have errors afterwards.
    """
    path = environment_path(environment)
    change = build_change(root, path, [_build_edit(root, path, rule)])
    with apply_valid_changes(root, [change], (), [environment]):
        return change


def _build_edit(root: Path, path: str, rule: AcceptRule) -> Edit:
    written: dict[str, Any] = {
        "kind": rule.kind,
        "model": rule.model,
        "object": rule.object,
        "path": rule.path,
        "change": rule.change,
        "danger": rule.danger,
        "live": rule.live,
        "reason": rule.reason,
        "until": rule.until.isoformat() if rule.until else None,
    }
    # An empty `live` is a value, that of an emptied variable. A `${` would be an interpolation.
    entry = {
        key: escape(value)
        for key, value in written.items()
        if value or (key == "live" and value is not None)
    }
    drift = load_document(root, path)[0].data.get("drift")
    rules = drift.get("accept") if isinstance(drift, dict) else None
    if isinstance(rules, list) and rules:
        # Adding one item leaves the comments of the others where they are.
        return Edit((*_ACCEPT, len(rules)), entry)
    return Edit(_ACCEPT, [entry])
