"""The faults of a catalog: each with its line of the file and a caret, or for machines.

Kept apart from finding them. A line that may hold a secret is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from framework.core.diagnostics import Code, DiagnosticGroup
from framework.core.redaction import is_secret_key
from framework.output.text import WIDTH, render_count, render_wrapped

# Reads one file's lines; () where it cannot be read.
Lines = Callable[[str], Sequence[str]]
# A key up to its colon, or a value as far as it goes on this line.
_TOKEN = re.compile(r"[\w./-]+(?=:(?:\s|$))|\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|[^\s,\]}#:][^,\]}#]*|.")
# Of no one line.
_OF_A_FILE = frozenset(
    {
        Code.UNREADABLE,
        Code.FILE_NAME,
        Code.UNKNOWN_MODEL,
        Code.UNUSED_PROFILE,
        Code.DISABLED_OVERLAY,
    }
)
_WORD = re.compile(r"[\w-]+")


def read_lines(root: Path) -> Lines:
    """Reads lines below `root`, each file once."""
    known: dict[str, Sequence[str]] = {}

    def lines(path: str) -> Sequence[str]:
        if path not in known:
            try:
                known[path] = (
                    (root / path).read_text(encoding="utf-8", errors="replace").split("\n")
                )
            except OSError:
                known[path] = ()
        return known[path]

    return lines


def render_diagnostics(groups: Sequence[DiagnosticGroup], lines: Lines) -> str:
    """Every fault, then the lines it stands on."""
    return "\n".join(f"{_render_head(group)}{_render_source(group, lines)}" for group in groups)


def _render_head(group: DiagnosticGroup) -> str:
    severity = "  warning" if group.diagnostic.code.is_warning else ""
    layer = name_layer(group.diagnostic.path)
    # Where a fault surfaced in other files than it stands in, the layer says why.
    shown = f"  [{layer}]" if group.models and layer else ""
    return render_wrapped(f"{group}{severity}{shown}", then="    ")


def _render_source(group: DiagnosticGroup, lines: Lines) -> str:
    diagnostic = group.diagnostic
    source = lines(diagnostic.path)
    if (
        diagnostic.redacted
        or diagnostic.code in _OF_A_FILE
        or not 0 < diagnostic.line <= len(source)
    ):
        return ""
    line = source[diagnostic.line - 1].replace("\t", " ").rstrip("\r")
    if not line.strip() or is_secret_key(_WORD.findall(line)):
        return ""
    found = _TOKEN.match(line, diagnostic.column - 1)
    width = max(1, len(found.group().rstrip()) if found else 1)
    number = f"{diagnostic.line:>5} | "
    room = WIDTH - len(number)
    # A long line is cut around the place.
    start = max(0, min(diagnostic.column - 1 - room // 2, len(line) - room))
    margin = " " * (len(number) - 2) + "| " + " " * (diagnostic.column - 1 - start)
    carets = "^" * min(width, room - (diagnostic.column - 1 - start))
    return f"\n{number}{line[start : start + room]}\n{margin}{carets}"


def name_layer(path: str) -> str:
    """What a file is to a model: `profile triton`, `environment prod`; "" for its own file."""
    parts = path.removesuffix(".yaml").split("/")
    match parts:
        case ["catalog", "_defaults"]:
            return "defaults of every model"
        case ["catalog", "_profiles", name]:
            return f"profile {name}"
        case ["environments", name, "environment"]:
            return f"environment {name}"
        case ["environments", name, "models", _]:
            return f"overlay of {name}"
    return ""


def render_annotations(groups: Sequence[DiagnosticGroup]) -> str:
    """Workflow commands that GitHub shows as annotations on a pull request's lines."""
    return "\n".join(map(_render_annotation, groups))


def _render_annotation(group: DiagnosticGroup) -> str:
    diagnostic = group.diagnostic
    kind = "warning" if diagnostic.code.is_warning else "error"
    position = {
        "file": diagnostic.path,
        "line": max(1, diagnostic.line),
        "col": max(1, diagnostic.column),
    }
    properties = ",".join(
        f"{key}={_escape(str(value), ':,')}"
        for key, value in {
            **position,
            "title": f"{diagnostic.code} {diagnostic.code.meaning}",
        }.items()
    )
    surfaced = f" (in {', '.join(group.models)})" if group.models else ""
    return f"::{kind} {properties}::{_escape(diagnostic.message + surfaced, '')}"


def _escape(text: str, more: str) -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def describe_diagnostic(group: DiagnosticGroup) -> dict[str, Any]:
    """One fault for machines."""
    diagnostic = group.diagnostic
    return {
        "path": diagnostic.path,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "code": diagnostic.code.value,
        "meaning": diagnostic.code.meaning,
        "severity": "warning" if diagnostic.code.is_warning else "error",
        "message": diagnostic.message,
        "layer": name_layer(diagnostic.path) or "model",
        "models": list(group.models),
    }


def render_summary(diagnostics: int, warnings: int, files: int, where: str) -> str:
    """`2 faults, 1 warning in 41 files (13 models, prod).`"""
    found = [render_count(diagnostics, "fault")] if diagnostics else ["No faults"]
    found += [render_count(warnings, "warning")] if warnings else []
    return f"{', '.join(found)} in {render_count(files, 'file')} ({where})."
