"""The verb explain: where a setting or a rendered field comes from.

Kept apart from the reports: this chooses which one is asked for, and how it is printed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.catalog import Catalog, list_models, load_catalog
from framework.cli.overriding import build_layers
from framework.cli.selection import does_not_run
from framework.core.errors import UnknownNameError, UsageError
from framework.core.redaction import find_secret_texts, redact_text
from framework.output.explain import render_explained, render_fields
from framework.reports.explain import ExplainedSetting, Explainer, is_field

if TYPE_CHECKING:
    from framework.reports.rendered_fields import ExplainedFields


def run_explain(root: Path, options: argparse.Namespace) -> int:
    """Where the settings of one model, or the fields of its objects, come from."""
    catalog = _load_one(root, options)
    model, key = catalog.models[0], options.key
    head = {"model": model.name, "environment": catalog.environment_name}
    if key is not None and is_field(key):
        from framework.reports.rendered_fields import explain_fields

        fields = explain_fields(catalog, model, key)
        shown = {**head, **_describe_fields(fields)} if options.json else render_fields(fields)
    else:
        found = Explainer(catalog, model).find(key)
        described = {**head, "settings": [*map(_describe, found)]}
        shown = described if options.json else render_explained(found, whole=key is None)
    report = json.dumps(shown, indent=2) if options.json else str(shown)
    merged = [one.data for one in (model.merged, model.candidate_merged) if one]
    print(redact_text(report, find_secret_texts(merged)))
    return 0


def _load_one(root: Path, options: argparse.Namespace) -> Catalog:
    name, environment = options.model, options.environment
    known = list_models(root)
    if name is None:
        raise UsageError(
            f"explain needs one model: `make explain ENV={environment} MODEL=...`; "
            f"`make list ENV={environment}` names them"
        )
    if name not in known:
        raise UnknownNameError("model", name, known)
    catalog = load_catalog(root, environment, only={name}, last=build_layers(options.set))
    if not catalog.models:
        raise does_not_run(name, environment, str(catalog.disabled_at.get(name, "")))
    return catalog


def _describe(one: ExplainedSetting) -> dict[str, Any]:
    return {
        "key": one.key,
        "value": one.value,
        "position": one.position,
        "default": one.default,
        "overrode": [asdict(old) for old in one.overrode],
        "interpolations": [asdict(text) for text in one.interpolations],
        "reads": list(one.reads),
    }


def _describe_fields(found: ExplainedFields) -> dict[str, Any]:
    return {
        "object": asdict(found.object),
        "needs": list(found.needs),
        "fields": [
            {"field": one.field, "value": one.value, "settings": list(one.settings)}
            for one in found.fields
        ],
        "adds": list(found.adds),
        "settings": [*map(_describe, found.settings)],
    }
