"""The verb that writes the JSON Schemas and the reference page."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from framework.output.text import render_table

# A list without lists or mappings in it; JSON's own texts have no line breaks.
_INNERMOST = re.compile(r"\[\n[^\[\]{}]*\n *\]")


def run_schema(root: Path, options: argparse.Namespace) -> int:
    """Write every file that follows from the settings classes; say which changed."""
    rows = []
    for path, text in build_files().items():
        file = root / path
        before = file.read_text(encoding="utf-8") if file.is_file() else None
        if before != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        rows.append((path, "new" if before is None else "same" if before == text else "changed"))
    print(render_table(rows))
    return 0


def build_files() -> dict[str, str]:
    """The text of each file, by its path; the same classes give the same bytes."""
    from framework.settings.json_schema import build_schemas
    from framework.settings.reference import render_reference

    schemas = {f"schemas/{name}": render_json(schema) for name, schema in build_schemas().items()}
    return {**schemas, "docs/settings.md": render_reference()}


def render_json(value: Any) -> str:
    """JSON with innermost lists on one line, so that a change is few lines of a diff."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    short = _INNERMOST.sub(lambda found: re.sub(r"\n *", " ", found[0]), text)
    return short + "\n"
