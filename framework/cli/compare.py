"""The verbs that compare two catalogs: diff and affected."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from framework.catalog import list_models
from framework.core.errors import UnknownNameError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.redaction import redact_text
from framework.files import list_environments
from framework.kinds.naming import OWNER_LABEL
from framework.output.diff import render_affected, render_since
from framework.output.diff_environments import render_across
from framework.output.diff_markdown import render_across_markdown, render_since_markdown
from framework.plan.selection import ModelPattern, unknown_label
from framework.reports.compare import compare_environments, compare_since
from framework.reports.sides import Side, Trees, load_side


def run_diff(root: Path, options: argparse.Namespace) -> ExitCode:
    """Compares an environment with another one, or with itself at a commit."""
    if (options.to is None) == (options.since is None):
        raise UsageError(
            "diff compares with another environment or with a commit: give exactly one of TO=prod "
            "and SINCE=main"
        )
    return _run_across(root, options) if options.since is None else _run_since(root, options)


def _run_across(root: Path, options: argparse.Namespace) -> ExitCode:
    if options.to == options.environment:
        raise UsageError(f"TO={options.to} is ENV itself; name another environment")
    known = list_environments(root)
    for name in (options.environment, options.to):
        if name not in known:
            raise UnknownNameError("environment", name, known)
    pattern = options.model
    # A name needs one model. A glob or a label needs all, since labels may come from any layer.
    only = frozenset({pattern}) if pattern in list_models(root) else None
    old, new = (load_side(root, name, only=only) for name in (options.environment, options.to))
    comparison = compare_environments(old, new, names=_select_across(root, old, new, pattern))
    names = (old.environment, new.environment)
    if options.json:
        from framework.output.json import build_environment_diff, render_json

        report = render_json(build_environment_diff(comparison, names))
    elif options.format == "markdown":
        report = render_across_markdown(comparison, names)
    else:
        report = render_across(comparison, names)
    print(redact_text(report, comparison.secrets))
    return _exit_code(options, clean=not comparison.has_differences)


def _run_since(root: Path, options: argparse.Namespace) -> ExitCode:
    def select(trees: Trees, sides: tuple[Side, ...]) -> Collection[str]:
        return _select_since(trees, sides, options.model)

    since = compare_since(
        root, options.since, options.environment, choose=select if options.model else None
    )
    comparison = since.environments[0]
    if options.json:
        from framework.output.json import build_commit_diff, render_json

        report = render_json(build_commit_diff(comparison, since))
    elif options.format == "markdown":
        report = render_since_markdown(comparison, since)
    else:
        report = render_since(comparison, since)
    print(redact_text(report, comparison.secrets))
    return (
        ExitCode.FAILED
        if comparison.has_errors
        else _exit_code(options, clean=not comparison.has_differences)
    )


def run_affected(root: Path, options: argparse.Namespace) -> ExitCode:
    """Lists the models and environments whose manifests a change since a commit touches."""
    if options.since is None:
        raise UsageError("affected compares with a commit: give SINCE=main, or another commit")
    since = compare_since(root, options.since, options.environment, why=options.why)
    if options.json:
        from framework.output.json import build_affected, render_json

        print(render_json(build_affected(since, why=options.why)))
    else:
        print(render_affected(since, why=options.why))
    return ExitCode.FAILED if since.has_errors else _exit_code(options, clean=not since.affected)


def _exit_code(options: argparse.Namespace, *, clean: bool) -> ExitCode:
    return ExitCode.DIFFERENCES if options.exit_code and not clean else ExitCode.DONE


def _select_across(root: Path, old: Side, new: Side, pattern: str | None) -> Collection[str] | None:
    if pattern is None:
        return None
    names = _match(pattern, old, new)
    if not names and ModelPattern(pattern).filter_names(list_models(root)):
        raise UsageError(
            f'model "{pattern}" runs neither in {old.environment} nor in {new.environment} '
            "(enabled: false); choose other environments"
        )
    if not names:
        raise _unknown(pattern, old, new)
    return names


def _select_since(trees: Trees, sides: tuple[Side, ...], pattern: str) -> Collection[str]:
    """Returns the models that a pattern selects in either tree.

    Only models whose files differ are loaded. So a label that none of them has is not an error,
    and a model that cannot be planned is selected by every label: it may have it.
    """
    selected = ModelPattern(pattern)
    if selected.is_label:
        return _match(pattern, *sides).union(*(side.not_planned for side in sides))
    if names := selected.filter_names(trees.list_models()):
        return names
    raise UnknownNameError("model", pattern, trees.list_models())


def _match(pattern: str, *sides: Side) -> frozenset[str]:
    selected = ModelPattern(pattern)
    return frozenset(
        name
        for side in sides
        for name in side.models
        if selected.matches(name, _labels(side, name))
    )


def _labels(side: Side, name: str) -> dict[str, str]:
    """Returns the labels of a model and its owner, read from its Deployment's labels."""
    labels: dict[str, str] = {}
    for manifest in side.manifests[name]:
        if manifest["kind"] == "Deployment":
            labels = {**manifest["metadata"].get("labels", {}), **labels}
    return {"owner" if key == OWNER_LABEL else key: value for key, value in labels.items()}


def _unknown(pattern: str, *sides: Side) -> UnknownNameError:
    if not ModelPattern(pattern).is_label:
        return UnknownNameError("model", pattern, {name for side in sides for name in side.models})
    labels = [_labels(side, name) for side in sides for name in side.models]
    return unknown_label(pattern, ["=".join(pair) for pairs in labels for pair in pairs.items()])
