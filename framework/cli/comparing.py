"""The verbs that compare: diff of two environments, diff since a commit, affected.

Kept apart from the other reading verbs because these read two catalogs at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from framework.catalog import list_environments, list_models
from framework.cli.selection import unknown_label
from framework.core.errors import UnknownNameError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.redaction import redact_text
from framework.kinds.naming import OWNER_LABEL
from framework.output.affected import render_affected
from framework.output.diff import render_across, render_since
from framework.output.diff_json import (
    describe_affected,
    describe_comparison,
    describe_since,
)
from framework.output.diff_markdown import render_across_markdown, render_since_markdown
from framework.reports.compare import compare_environments, compare_since
from framework.reports.sides import Side, Trees, load_side


def run_diff(root: Path, options: argparse.Namespace) -> int:
    """Two environments side by side, or what changed in one since a commit."""
    if (options.to is None) == (options.since is None):
        raise UsageError(
            "diff compares with another environment or with a commit: give exactly one of TO=prod "
            "and SINCE=main"
        )
    if options.format == "github":
        raise UsageError("diff has no annotations; use FORMAT=text or FORMAT=markdown")
    return _run_across(root, options) if options.since is None else _run_since(root, options)


def _run_across(root: Path, options: argparse.Namespace) -> int:
    if options.to == options.environment:
        raise UsageError(f"TO={options.to} is ENV itself; name another environment")
    known = list_environments(root)
    for name in (options.environment, options.to):
        if name not in known:
            raise UnknownNameError("environment", name, known)
    pattern = options.model
    only = frozenset({pattern}) if pattern in list_models(root) else None
    old, new = (load_side(root, name, only=only) for name in (options.environment, options.to))
    found = compare_environments(old, new, names=_choose_across(root, old, new, pattern))
    names = (old.environment, new.environment)
    if options.json:
        described = {"environment": names[0], "to": names[1], **describe_comparison(found)}
        report = json.dumps(described, indent=2)
    elif options.format == "markdown":
        report = render_across_markdown(found, names)
    else:
        report = render_across(found, names)
    print(redact_text(report, found.secrets))
    return _exit_code(options, clean=not found.has_differences)


def _run_since(root: Path, options: argparse.Namespace) -> int:
    def choose(trees: Trees, sides: tuple[Side, ...]) -> Collection[str]:
        return _choose_since(trees, sides, options.model)

    since = compare_since(
        root, options.since, options.environment, choose=choose if options.model else None
    )
    found = since.environments[0]
    if options.json:
        report = json.dumps(describe_since(found, since), indent=2)
    elif options.format == "markdown":
        report = render_since_markdown(found, since)
    else:
        report = render_since(found, since)
    print(redact_text(report, found.secrets))
    return 1 if found.has_errors else _exit_code(options, clean=not found.has_differences)


def run_affected(root: Path, options: argparse.Namespace) -> int:
    """The models and environments whose manifests a change touches."""
    if options.since is None:
        raise UsageError("affected compares with a commit: give SINCE=main, or another commit")
    since = compare_since(root, options.since, options.environment, why=options.why)
    if options.json:
        print(json.dumps(describe_affected(since, why=options.why), indent=2))
    else:
        print(render_affected(since, why=options.why))
    return 1 if since.has_errors else _exit_code(options, clean=not since.affected)


def _exit_code(options: argparse.Namespace, *, clean: bool) -> int:
    return ExitCode.DIFFERENCES if options.exit_code and not clean else 0


def _choose_across(root: Path, old: Side, new: Side, pattern: str | None) -> Collection[str] | None:
    if pattern is None:
        return None
    found = _match(pattern, old, new)
    if not found and "=" not in pattern and _match_names(pattern, list_models(root)):
        raise UsageError(
            f'model "{pattern}" runs neither in {old.environment} nor in {new.environment} '
            "(enabled: false); choose other environments"
        )
    if not found:
        raise _unknown(pattern, old, new)
    return found


def _choose_since(trees: Trees, sides: tuple[Side, ...], pattern: str) -> Collection[str]:
    """Only models whose files differ are loaded, so a label that none of them has is no fault.

    A model whose settings have faults may have any label.
    """
    if "=" in pattern:
        return _match(pattern, *sides).union(*(side.not_planned for side in sides))
    if found := _match_names(pattern, trees.list_models()):
        return found
    raise UnknownNameError("model", pattern, trees.list_models())


def _match(pattern: str, *sides: Side) -> frozenset[str]:
    if "=" not in pattern:
        return _match_names(pattern, {name for side in sides for name in side.models})
    return frozenset(
        name for side in sides for name in side.models if pattern in _labels(side, name)
    )


def _match_names(pattern: str, names: Collection[str]) -> frozenset[str]:
    return frozenset(name for name in names if fnmatchcase(name, pattern))


def _labels(side: Side, name: str) -> frozenset[str]:
    """What MODEL=label=value selects by, as it stands on the model's Deployment."""
    labels: dict[str, str] = {}
    for manifest in side.manifests[name]:
        if manifest["kind"] == "Deployment":
            labels = {**manifest["metadata"].get("labels", {}), **labels}
    return frozenset(
        f"{'owner' if key == OWNER_LABEL else key}={value}" for key, value in labels.items()
    )


def _unknown(pattern: str, *sides: Side) -> UnknownNameError:
    names = {name for side in sides for name in side.models}
    if "=" not in pattern:
        return UnknownNameError("model", pattern, names)
    known = {label for side in sides for name in side.models for label in _labels(side, name)}
    return unknown_label(pattern, known)
