"""Renders diagnostics: each with its line of the file and a caret, or as GitHub annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from framework.core.diagnostics import DiagnosticGroup
from framework.core.redaction import is_secret
from framework.core.secret_names import is_secret_name
from framework.output.text import render_count, render_wrapped, screen_width

# Returns the lines of a file below the root; () if it cannot be read.
ReadLines = Callable[[str], Sequence[str]]
# What the carets underline: a key up to its colon, or a value up to the end of its line.
_TOKEN = re.compile(r"[\w./-]+(?=:(?:\s|$))|\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|[^\s,\]}#:][^,\]}#]*|.")
_WORD = re.compile(r"[\w-]+")
# Names such as rbac.authorization.k8s.io, which contain words of secrets.
_API_GROUP = re.compile(r"\b(?:[a-z]+\.)+k8s\.io\b")


def read_lines(root: Path) -> ReadLines:
    """Returns a reader of the files below `root`, which reads each file once."""
    cache: dict[str, Sequence[str]] = {}

    def read(path: str) -> Sequence[str]:
        if path not in cache:
            try:
                text = (root / path).read_text(encoding="utf-8", errors="replace")
                # Not splitlines(): it would count U+2028 as a line break, which editors do not.
                cache[path] = text.split("\n")
            except OSError:
                cache[path] = ()
        return cache[path]

    return read


def render_diagnostics(groups: Sequence[DiagnosticGroup], lines: ReadLines) -> str:
    """Renders each diagnostic, followed by its line of the file and a caret."""
    return "\n".join(f"{_render_head(group)}{_render_source(group, lines)}" for group in groups)


def _render_head(group: DiagnosticGroup) -> str:
    severity = "  warning" if group.diagnostic.code.is_warning else ""
    layer = name_layer(group.diagnostic.path)
    # The name of the layer explains why one file causes errors in several models.
    shown_layer = f"  [{layer}]" if group.other_models and layer else ""
    return render_wrapped(f"{group}{severity}{shown_layer}", then="    ")


def _render_source(group: DiagnosticGroup, lines: ReadLines) -> str:
    diagnostic = group.diagnostic
    source = lines(diagnostic.path)
    if diagnostic.redacted or not 0 < diagnostic.line <= len(source):
        return ""
    line = source[diagnostic.line - 1].replace("\t", " ").rstrip("\r")
    words = _WORD.findall(_API_GROUP.sub("", line))
    if not line.strip() or any(map(is_secret_name, words)) or is_secret((), line):
        return ""
    token = _TOKEN.match(line, diagnostic.column - 1)
    width = max(1, len(token.group().rstrip()) if token else 1)
    number = f"{diagnostic.line:>5} | "
    room = screen_width() - len(number)
    # Cuts a long line so that the column is in the middle of what is shown.
    start = max(0, min(diagnostic.column - 1 - room // 2, len(line) - room))
    offset = diagnostic.column - 1 - start
    margin = " " * (len(number) - 2) + "| " + " " * offset
    carets = "^" * min(width, room - offset)
    return f"\n{number}{line[start : start + room]}\n{margin}{carets}"


def name_layer(path: str) -> str:
    """Returns the layer of a file: `profile triton`, `environment prod`; "" for a model's own."""
    match path.removesuffix(".yaml").split("/"):
        case ["catalog", "_defaults"]:
            return "defaults of every model"
        case ["catalog", "_profiles", name]:
            return f"profile {name}"
        case ["environments", name, "environment"]:
            return f"environment {name}"
        case ["environments", name, "models", _]:
            return f"overlay of {name}"
    return ""


def render_annotations(groups: Sequence[DiagnosticGroup], prefix: str = "") -> str:
    """Renders workflow commands, which GitHub shows as annotations in a pull request.

    `prefix` is the folder of the project in its repository: GitHub names files from the top.
    Syntax: docs.github.com, "Workflow commands for GitHub Actions".
    """
    return "\n".join(_render_annotation(group, prefix) for group in groups)


def _render_annotation(group: DiagnosticGroup, prefix: str) -> str:
    diagnostic = group.diagnostic
    kind = "warning" if diagnostic.code.is_warning else "error"
    properties = {
        "file": f"{prefix}{diagnostic.path}",
        "line": max(1, diagnostic.line),
        "col": max(1, diagnostic.column),
        "title": f"{diagnostic.code} {diagnostic.code.meaning}",
    }
    text = ",".join(f"{key}={_escape(str(value), ':,')}" for key, value in properties.items())
    models = f" (in {', '.join(group.other_models)})" if group.other_models else ""
    return f"::{kind} {text}::{_escape(diagnostic.message + models, '')}"


def _escape(text: str, more: str) -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def render_summary(errors: int, warnings: int, files: int, scope: str) -> str:
    """Returns `2 errors, 1 warning in 41 files (13 models, prod).`"""
    counts = [render_count(errors, "error") if errors else "No errors"]
    counts += [render_count(warnings, "warning")] if warnings else []
    return f"{', '.join(counts)} in {render_count(files, 'file')} ({scope})."
