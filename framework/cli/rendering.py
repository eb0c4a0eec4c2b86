"""The verb render: the manifests of an environment, on the screen or as a folder of files.

Kept apart from the reports, which explain manifests: these are for kubectl and for other tools.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from framework.cli.overriding import build_layers
from framework.cli.selection import match_names, select_models
from framework.core.errors import UsageError
from framework.output.text import render_count
from framework.plan import Manifest, ModelPlan, StackPlan, load_plan

# No ending that `kubectl apply -R -f FOLDER` would read.
_RECORD = ".modelcatalog-render"
# Text that PyYAML writes plain, for it reads it as text, and that kubectl's reader or another takes
# for a number, a truth or a date: 1e3, 09, 0o17, y, 07:30, 2001-1-1.
_READ_OTHERWISE = re.compile(
    r"[yYnN]|[-+]?([\d_]+\.?[\d_]*|\.[\d_]*)?([eE][-+]?[\d_]+)?|[-+]?0[xXoObB][\da-fA-F_]+"
    r"|[-+]?\d+(:\d+)+(\.\d*)?|\d{4}-\d\d?-\d\d?([Tt\s].*)?"
)
# Ends a line in YAML 1.1 alone.
_BREAK = re.compile("[\x85\u2028\u2029]")


def run_render(root: Path, options: argparse.Namespace) -> int:
    """The manifests, as kubectl takes them."""
    only = match_names(root, options.model)
    last = build_layers(options.set)
    plan = load_plan(root, options.environment, only=only, last=last)
    models = select_models(plan, options.model)
    whole = options.model is None
    if options.out is not None:
        return _write_out(Path(options.out), plan, models, whole=whole, as_json=options.json)
    manifests = [m.object for model in models for m in model.manifests]
    if whole:
        manifests.insert(0, plan.namespace.object)
    print(json.dumps(manifests, indent=2) if options.json else render_manifests(manifests), end="")
    return 0


def render_manifests(manifests: Sequence[Mapping[str, Any]]) -> str:
    """One multi-document YAML, in the plan's order; the same input gives the same bytes."""
    import yaml

    # libyaml's, where PyYAML was built with it: the same bytes in a fifth of the time.
    class PlainDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        # Anchors are for machines; a reader wants repeated values written out.
        def ignore_aliases(self, data: Any) -> bool:
            return True

        def represent_text(self, text: str) -> Any:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style=_quotes_of(text))

    PlainDumper.add_representer(str, PlainDumper.represent_text)
    text: str = yaml.dump_all(
        manifests, Dumper=PlainDumper, sort_keys=False, explicit_start=True, allow_unicode=True
    )
    return text


# Manifests say the same few words over and over.
@lru_cache(maxsize=4096)
def _quotes_of(text: str) -> str | None:
    """The quotes that a text needs; None leaves it to PyYAML."""
    if _READ_OTHERWISE.fullmatch(text):
        return "'"
    return '"' if _BREAK.search(text) else None


def _write_out(
    folder: Path, plan: StackPlan, models: Sequence[ModelPlan], *, whole: bool, as_json: bool
) -> int:
    files = {_file_name(m, model.name): m for model in models for m in model.manifests}
    if whole:
        files[_file_name(plan.namespace)] = plan.namespace
    scope = None if whole else frozenset(model.name for model in models)
    try:
        removed = write_folder(folder, plan.stack.environment, files, scope)
    except OSError as exc:
        raise UsageError(f"OUT={folder} cannot be written: {exc.strerror or exc}") from exc
    if as_json:
        written = {"folder": str(folder), "files": sorted(files), "removed": removed}
        print(json.dumps(written, indent=2))
        return 0
    gone = f"; removed {render_count(len(removed), 'file')} of before" if removed else ""
    what = f"{render_count(len(files), 'object')} of {render_count(len(models), 'model')}"
    print(f"{plan.stack.environment}  {what} written to {folder}{gone}")
    return 0


def _file_name(manifest: Manifest, folder: str = "") -> str:
    name = f"{manifest.kind}-{manifest.name}.yaml".lower()
    return f"{folder}/{name}" if folder else name


def write_folder(
    folder: Path, environment: str, files: Mapping[str, Manifest], models: frozenset[str] | None
) -> list[str]:
    """Write the files and remove what an earlier render of ours wrote and this one does not.

    `models` narrows both to their folders, None is all. Returns the files removed, sorted.
    Errors: UsageError where the folder holds anything but such a render.
    """
    before = _read_record(folder, environment)
    # Before the first file, so that an interrupted render can be run again.
    _write_record(folder, environment, {*before, *files})
    for path, manifest in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render_manifests([manifest.object]), encoding="utf-8", newline="\n")
    kept = {path for path in before if models is not None and path.split("/")[0] not in models}
    removed = sorted(before - kept - files.keys())
    for path in removed:
        _remove(folder / path)
    _write_record(folder, environment, {*kept, *files})
    return removed


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    if file.parent.is_dir() and not any(file.parent.iterdir()):
        file.parent.rmdir()


def _read_record(folder: Path, environment: str) -> set[str]:
    """The files that the last render wrote there; refuses a folder that is not ours to change."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"OUT={folder} is a file; name a folder")
    record = folder / _RECORD
    if not record.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(
                f"OUT={folder} is not empty and holds no earlier render; nothing was written. "
                "Name a new or an empty folder"
            )
        return set()
    first, *paths = record.read_text(encoding="utf-8").splitlines() or [""]
    if first != environment:
        raise UsageError(
            f'OUT={folder} holds the render of "{first}", not of "{environment}"; nothing was '
            "written. Name a folder for each environment"
        )
    if outside := [path for path in paths if not _is_inside(path)]:
        raise UsageError(
            f"{record} names {outside[0]}, which no render writes; nothing was written. "
            "Name another folder"
        )
    return set(paths)


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return 1 <= len(parts) <= 2 and ".." not in parts and path.endswith(".yaml") and path[0] != "/"


def _write_record(folder: Path, environment: str, files: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in (environment, *sorted(files)))
    (folder / _RECORD).write_text(text, encoding="utf-8", newline="\n")
