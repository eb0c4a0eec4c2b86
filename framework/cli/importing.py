"""The verb `import`: turns existing manifests into models of the catalog."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from framework.cli.prompts import ask_yes_no, is_terminal, split_words
from framework.core.commands import make_command
from framework.core.diagnostics import DiagnosticGroup, group_diagnostics
from framework.core.errors import FrameworkError, UnknownNameError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.stack import Stack
from framework.edits.importing.dry_run import compare_on_server
from framework.edits.importing.importer import (
    Imported,
    find_owner,
    import_manifests,
    propose_profile,
    use_profile,
)
from framework.edits.importing.manifests import Source, read_manifests
from framework.edits.importing.overlays import add_overlays, find_missing
from framework.edits.importing.profiles import count_lines
from framework.edits.importing.workloads import group_manifests
from framework.edits.new import check_profiles
from framework.edits.transaction import apply_changes
from framework.edits.yaml_edit import Change
from framework.files import list_environments
from framework.files.document import parse_document
from framework.output.diagnostics import read_lines, render_diagnostics
from framework.output.importing import DryRuns, render_errors, render_import
from framework.output.text import render_count
from framework.plan import PlanStore


def run_import(root: Path, options: argparse.Namespace) -> ExitCode:
    """Reads manifests, shows the entries they become and the proof, and writes them."""
    environments = _read_environments(root, options.environment)
    files = [*split_words(options.base), *split_words(options.file)]
    files += [w for w in " ".join(options.environment).split() if not _is_environment(root, w)]
    if not files:
        raise UsageError("import needs FILE: `make import FILE=manifests.yaml OWNER=team`")
    sources = read_manifests(files, sys.stdin.read() if "-" in files else "")
    profiles = split_words(options.profile) if options.profile is not None else None
    if profiles:
        check_profiles(root, profiles)
    result = import_manifests(
        root,
        sources,
        model=options.model,
        profiles=profiles,
        owner=_find_owner(options.owner, sources),
    )
    if failed := [model for model in result.models if model.errors]:
        raise FrameworkError(
            f"Nothing was written.\n{render_errors(failed)}\n"
            "Fix the manifests, or select other Deployments with MODEL=name or MODEL='glob*'."
        )
    profile, proposed = _propose_profile(root, result.models, options)
    add_overlays(root, result.models, {e: s or sources for e, s in environments.items()}, profile)
    if errors := [error for m in result.models for o in m.overlays for error in o.errors]:
        raise FrameworkError("Nothing was written.\n" + "\n".join(errors))
    files_to_write = _list_files(result.models, profile)
    _check_existing(root, files_to_write, replace=options.yes)
    leftovers = find_missing(result.models, result.leftovers, environments)
    dry_runs = _dry_run(root, result.models)
    names = {model.name for model in result.models}
    if options.json:
        from framework.output.importing_json import build_import_document
        from framework.output.json import render_json

        written = _write(root, files_to_write)
        groups = _find_errors(root, names)
        document = build_import_document(
            result.models, leftovers, dry_runs, proposed, list(written), groups
        )
        print(render_json(document))
        return ExitCode.FAILED if groups else ExitCode.DONE
    if proposed:
        print(f"{proposed} could hold settings that these models share: YES=1 writes it too\n")
    print(render_import(result.models, leftovers, dry_runs))
    question = f"\nWrite {', '.join(files_to_write)}? [y/N] "
    if not options.yes and is_terminal() and not ask_yes_no(question):
        print("Nothing was written.")
        return ExitCode.DONE
    print("".join(f"\n{verb} {path}" for path, verb in _write(root, files_to_write).items()))
    return _show_outcome(root, names)


def _is_environment(root: Path, word: str) -> bool:
    return "=" in word or word in list_environments(root)


def _read_environments(root: Path, words: Sequence[str]) -> dict[str, Sequence[Source]]:
    """Returns the manifests of each environment: of prod=folder, or none for prod alone."""
    known = list_environments(root)
    found: dict[str, Sequence[Source]] = {}
    for word in filter(partial(_is_environment, root), " ".join(words).split()):
        name, _, folder = word.partition("=")
        if name not in known:
            raise UnknownNameError("environment", name, known)
        found[name] = read_manifests([folder]) if folder else []
    return found


def _propose_profile(
    root: Path, models: Sequence[Imported], options: argparse.Namespace
) -> tuple[dict[str, str], str | None]:
    """Returns a profile that the models can share, by its path, if the user agrees.

    Otherwise, returns {} and its path; None if the models share too little.
    """
    name, shared = propose_profile(root, models)
    if not name:
        return {}, None
    path = f"catalog/_profiles/{name}.yaml"
    if not options.yes:
        if options.json or not is_terminal():
            return {}, path
        values = render_count(count_lines(shared), "value")
        if not ask_yes_no(f"Write {path} with {values} that these models share? [y/N] "):
            return {}, None
    return {path: use_profile(root, models, name, shared)}, None


def _list_files(models: Sequence[Imported], profile: Mapping[str, str]) -> dict[str, str]:
    entries = {model.path: model.text for model in models}
    overlays = {o.path: o.text for model in models for o in model.overlays if o.text}
    return {**profile, **entries, **overlays}


def _find_owner(owner: str | None, sources: Sequence[Source]) -> str | None:
    """Returns the given owner. Raises UsageError if there is none, and a manifest names none."""
    workloads = group_manifests(sources).workloads
    if owner is None and not all(map(find_owner, workloads)):
        names = ", ".join(w.name for w in workloads if not find_owner(w))
        raise UsageError(
            f"import needs OWNER: no label owner or team on {names}; "
            "`make import FILE=... OWNER=team-nlp`"
        )
    return owner


def _check_existing(root: Path, files: Mapping[str, str], *, replace: bool) -> None:
    taken = [path for path in files if (root / path).exists()]
    if taken and not replace:
        raise UsageError(
            f"{', '.join(taken)} exists already; nothing was written. Give the model another name "
            "with MODEL=, or replace the file with YES=1"
        )


def _dry_run(root: Path, models: Sequence[Imported]) -> DryRuns:
    """Compares on the local cluster if it is running; an import does not start it."""
    from framework.cluster.local import LocalCluster
    from framework.kube.client import KubeClient

    cluster = LocalCluster(root)
    if not cluster.exists or not cluster.status().running:
        return {}
    with KubeClient.connect(cluster.kubeconfig, "local") as client:
        return {
            model.name: compare_on_server(client, model.translation, model.plan)
            for model in models
            if model.plan is not None
        }


def _write(root: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Writes the files; returns "wrote" or "replaced" for each path."""
    changes, written = [], {}
    for path, text in files.items():
        old = (root / path).read_bytes() if (root / path).exists() else None
        changes.append(Change(path, old, text.encode(), parse_document(path, text)[0].data))
        written[path] = "wrote" if old is None else "replaced"
    with apply_changes(root, changes):
        pass
    return written


def _find_errors(root: Path, names: Collection[str]) -> list[DiagnosticGroup]:
    """Returns the errors that `validate` finds in the models."""
    stacks = [*map(Stack.of, list_environments(root))]
    plans = PlanStore(root).load(stacks, models=names).plans.values()
    return list(group_diagnostics(error for plan in plans for error in plan.errors))


def _show_outcome(root: Path, names: Collection[str]) -> ExitCode:
    """Prints the errors of the written models, or the next command."""
    if groups := _find_errors(root, names):
        print(f"\n{render_diagnostics(groups, read_lines(root))}\n")
        print("The files are written; correct these before `make up`.")
        return ExitCode.FAILED
    model = next(iter(names)) if len(names) == 1 else ""
    if environments := list_environments(root):
        print(f"next: {make_command('preview', environments[0], model)}")
    return ExitCode.DONE
