"""Writes manifests for kubectl: as one YAML stream, or as a folder with one file per object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from framework.core.errors import UsageError
from framework.plan import Manifest

# The list of files that a render wrote. Without the extension .yaml, `kubectl apply -R -f FOLDER`
# does not read it.
_RECORD = ".modelcatalog-render"
# Text that PyYAML writes without quotes, because PyYAML reads it back as text, but that kubectl's
# reader (YAML 1.1 in Go) or a YAML 1.2 reader takes for a number, a boolean or a date:
# 1e3, 09, 0o17, y, 07:30, 2001-1-1.
_AMBIGUOUS = re.compile(
    r"[yYnN]|[-+]?([\d_]+\.?[\d_]*|\.[\d_]*)?([eE][-+]?[\d_]+)?|[-+]?0[xXoObB][\da-fA-F_]+"
    r"|[-+]?\d+(:\d+)+(\.\d*)?|\d{4}-\d\d?-\d\d?([Tt\s].*)?"
)
# YAML 1.1 takes these for the end of a line, YAML 1.2 does not.
_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")


def render_manifests(manifests: Sequence[Mapping[str, Any]], encoding: str = "utf-8") -> str:
    """Returns a multi-document YAML in the given order; the same input gives the same bytes.

    Texts that `encoding` does not have are written with escapes, so that a reader gets the same
    manifests.
    """
    text = _dump(manifests, allow_unicode=True)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return _dump(manifests, allow_unicode=False)
    return text


def _dump(manifests: Sequence[Mapping[str, Any]], *, allow_unicode: bool) -> str:
    import yaml

    # CSafeDumper writes the same bytes as SafeDumper in a fifth of the time, but exists only where
    # PyYAML was built with libyaml.
    class PlainDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        # Writes repeated values out: a reader of manifests expects no anchors (&id001).
        def ignore_aliases(self, data: Any) -> bool:
            return True

        def represent_text(self, text: str) -> Any:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style=_choose_quotes(text))

    PlainDumper.add_representer(str, PlainDumper.represent_text)
    text: str = yaml.dump_all(
        manifests,
        Dumper=PlainDumper,
        sort_keys=False,
        explicit_start=True,
        allow_unicode=allow_unicode,
    )
    return text


# Cached because manifests repeat the same few words.
@lru_cache(maxsize=4096)
def _choose_quotes(text: str) -> str | None:
    """Returns the quotes that a text needs; None lets PyYAML decide."""
    if _AMBIGUOUS.fullmatch(text):
        return "'"
    return '"' if _LINE_BREAKS.search(text) else None


def write_folder(
    folder: Path, environment: str, files: Mapping[str, Manifest], models: frozenset[str] | None
) -> list[str]:
    """Writes one file per object and removes the files of the previous render that are outdated.

    `files` maps paths below `folder` to manifests. `models` limits the removal to the folders of
    these models; None removes all that is outdated. Files that no render wrote are never touched.
    Returns the removed paths, sorted. Errors: UsageError if the folder contains anything else.
    """
    previous = _read_record(folder, environment)
    # The record is written before the first file, so that an interrupted render can run again.
    _write_record(folder, environment, {*previous, *files})
    for path, manifest in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(render_manifests([manifest.object]), encoding="utf-8", newline="\n")
    kept = {path for path in previous if models is not None and path.split("/")[0] not in models}
    removed = sorted(previous - kept - files.keys())
    for path in removed:
        file = folder / path
        file.unlink(missing_ok=True)
        if file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()
    _write_record(folder, environment, {*kept, *files})
    return removed


def _read_record(folder: Path, environment: str) -> set[str]:
    """Returns the files that the last render wrote; UsageError for a folder that is not ours."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"OUT={folder} is a file; name a folder")
    record = folder / _RECORD
    if not record.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(
                f"OUT={folder} is not empty and does not contain an earlier render; nothing was "
                "written. Name a new or an empty folder"
            )
        return set()
    first, *paths = record.read_text(encoding="utf-8").splitlines() or [""]
    if first != environment:
        raise UsageError(
            f'OUT={folder} holds the render of "{first}", not of "{environment}"; nothing was '
            "written. Name a folder for each environment"
        )
    # The record may have been edited: a path outside the folder must never be removed.
    if outside := [path for path in paths if not _is_inside(path)]:
        raise UsageError(
            f"{record} lists {outside[0]}, which render never writes; nothing was written. "
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
