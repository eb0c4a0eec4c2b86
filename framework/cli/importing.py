"""The verb `import`: turns existing manifests into models of the catalog."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from framework.core.diagnostics import group_diagnostics
from framework.core.errors import FrameworkError, UsageError
from framework.core.stack import Stack
from framework.edits.importing.comparison import Difference
from framework.edits.importing.dry_run import compare_on_server
from framework.edits.importing.importer import Imported, find_owner, import_manifests
from framework.edits.importing.manifests import Source, read_manifests
from framework.edits.importing.workloads import group_manifests
from framework.edits.new import check_profiles
from framework.edits.transaction import apply_changes
from framework.edits.yaml_edit import Change
from framework.files import list_environments
from framework.files.document import parse_document
from framework.output.diagnostics import read_lines, render_diagnostics
from framework.output.importing import render_errors, render_import
from framework.plan import PlanStore

OnServer = dict[str, tuple[Sequence[Difference], Sequence[str]]]


def run_import(root: Path, options: argparse.Namespace) -> int:
    """Reads manifests, shows the entries they become and the proof, and writes them."""
    files = _split(options.file) + [word for word in options.environment if "=" not in word]
    if not files:
        raise UsageError("import needs FILE: `make import FILE=manifests.yaml OWNER=team`")
    sources = read_manifests(files, sys.stdin.read() if "-" in files else "")
    profiles = tuple(_split(options.profile)) if options.profile is not None else None
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
    _check_existing(root, result.models, replace=options.yes)
    print(render_import(result.models, result.leftovers, _dry_run(root, result.models)))
    if not _is_confirmed(result.models, options):
        print("Nothing was written.")
        return 0
    return _write(root, result.models)


def _split(text: str | None) -> list[str]:
    return [part for part in re.split(r"[,\s]+", text or "") if part]


def _find_owner(owner: str | None, sources: Sequence[Source]) -> str | None:
    """Returns the given owner. Raises UsageError if there is none, and a manifest names none."""
    workloads = group_manifests(sources).workloads
    if owner is None and not all(map(find_owner, workloads)):
        names = ", ".join(w.name for w in workloads if not find_owner(w))
        raise UsageError(
            f"import needs OWNER: no label owner or team says who owns {names}; "
            "`make import FILE=... OWNER=team-nlp`"
        )
    return owner


def _check_existing(root: Path, models: Sequence[Imported], *, replace: bool) -> None:
    taken = [model.path for model in models if (root / model.path).exists()]
    if taken and not replace:
        raise UsageError(
            f"{', '.join(taken)} exists already; nothing was written. Give the model another name "
            "with MODEL=, or replace the file with YES=1"
        )


def _dry_run(root: Path, models: Sequence[Imported]) -> OnServer:
    """Compares on the local cluster, if it runs: an import starts nothing."""
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


def _is_confirmed(models: Sequence[Imported], options: argparse.Namespace) -> bool:
    if options.yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        answer = input(f"\nWrite {', '.join(model.path for model in models)}? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        print()
        return False
    return answer.strip().lower() in ("y", "yes")


def _write(root: Path, models: Sequence[Imported]) -> int:
    """Writes the files. Returns 1 if `validate` finds errors in them afterwards."""
    changes = []
    for model in models:
        file = root / model.path
        old = file.read_bytes() if file.exists() else None
        data = parse_document(model.path, model.text)[0].data
        changes.append(Change(model.path, old, model.text.encode(), data))
        if old is not None:
            print(f"replaced {model.path}")
    with apply_changes(root, changes):
        pass
    names = {model.name for model in models}
    environments = list_environments(root)
    plans = PlanStore(root).load([*map(Stack.of, environments)], models=names).plans.values()
    groups = group_diagnostics(error for plan in plans for error in plan.errors)
    pattern = next(iter(names)) if len(names) == 1 else ""
    print(f"\nwrote {', '.join(sorted(model.path for model in models))}")
    if groups:
        print(f"\n{render_diagnostics(groups, read_lines(root))}\n")
        print("The files are written; correct these before `make up`.")
        return 1
    suffix = f" MODEL={pattern}" if pattern else ""
    if environments:
        print(f"next: make preview ENV={environments[0]}{suffix}")
    return 0
