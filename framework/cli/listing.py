"""The verb list: the models, a line each."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from framework.catalog import list_environments, load_catalog
from framework.cli.screens.listing import render_listing
from framework.cli.selection import match_names
from framework.errors import UnknownNameError
from framework.reports.listing import ListedModel, build_listing


def run_list(root: Path, options: argparse.Namespace) -> int:
    """The models, of one environment or of all."""
    environments = [options.environment] if options.environment else list_environments(root)
    only = match_names(root, options.model)
    catalogs = {name: load_catalog(root, name, only=only) for name in environments}
    label = options.model if options.model is not None and only is None else None
    models = build_listing(catalogs, label)
    if label is not None and not models:
        labels = {
            f"{key}={value}"
            for catalog in catalogs.values()
            for model in catalog.models
            for key, value in model.labels.items()
        }
        raise UnknownNameError("label", label, labels)
    if options.json:
        print(json.dumps({"models": [*map(_describe, models)]}, indent=2))
    else:
        print(render_listing(models))
    return 0


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
