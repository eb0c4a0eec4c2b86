"""Measures `import` on the manifests below a folder: which fields become settings or patches.

    .venv/bin/python -m tools.measure_import FOLDER...

Each file is imported by itself. Placeholders of templates (`$PROJECT_ID`, `<IMAGE>`) are filled
where they make an image invalid, as envsubst would. Nothing is written.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from framework.core.errors import FrameworkError
from framework.edits.importing.importer import import_manifests
from framework.edits.importing.manifests import read_manifests
from framework.kinds.registry import KINDS

_ROOT = Path(__file__).resolve().parents[1]
_ENDINGS = (".yaml", ".yml", ".json")
_IMAGE = re.compile(r"(?m)^(\s*(?:- )?image:\s*)(.*)$")
_PLACEHOLDER = re.compile(r"\$\{?\w+\}?|<[^>]*>|\b[A-Z]+_[A-Z_]+\b")


def main(folders: list[str]) -> int:
    """Imports every file below the folders; prints the sums, and what is not expressed."""
    totals: Counter[str] = Counter()
    impossible: Counter[str] = Counter()
    patched: Counter[str] = Counter()
    for file in sorted(f for folder in folders for f in Path(folder).rglob("*")):
        if file.suffix in _ENDINGS and "kind: Deployment" in file.read_text(errors="replace"):
            _measure(file, totals, impossible, patched)
    _print(totals, impossible, patched)
    return 0


def _measure(
    file: Path, totals: Counter[str], impossible: Counter[str], patched: Counter[str]
) -> None:
    text = _IMAGE.sub(lambda m: m[1] + _PLACEHOLDER.sub("placeholder", m[2]), file.read_text())
    try:
        result = import_manifests(_ROOT, read_manifests(["-"], text), owner="team-import")
    except FrameworkError as error:
        totals["unreadable"] += 1
        print(f"{file}: {error}")
        return
    for model in result.models:
        totals["deployments"] += 1
        if model.errors:
            totals["invalid"] += 1
            print(f"{file}: {model.name}: {'; '.join(model.errors)}")
            continue
        proof = model.proof
        totals["setting"] += proof.by_setting
        totals["patch"] += proof.by_patch
        totals["impossible"] += proof.impossible
        totals["profiles"] += bool(model.profiles)
        totals["lines"] += model.lines
        for kind, patch in (model.entry.get("patch") or {}).items():
            patched.update(f"{kind} {name}" for name in _name_fields(patch))
        for difference in (*proof.remaining, *proof.added):
            impossible[difference.field] += 1
            print(f"{file}: {model.name}: {difference}")
        for source, reason in model.translation.unexpressed.items():
            totals[f"object left out: {source.kind}"] += 1
            if source.kind in {kind.name for kind in KINDS}:
                print(f"{file}: {source}: {reason}")


def _name_fields(patch: object, path: str = "") -> list[str]:
    if isinstance(patch, dict):
        return [n for k, v in patch.items() if k != "name" for n in _name_fields(v, f"{path}.{k}")]
    if isinstance(patch, list) and patch and isinstance(patch[0], dict):
        return [name for item in patch for name in _name_fields(item, path)]
    return [path]


def _print(totals: Counter[str], impossible: Counter[str], patched: Counter[str]) -> None:
    fields = totals["setting"] + totals["patch"] + totals["impossible"]
    print(f"\n{totals['deployments']} Deployments, {fields} fields", dict(totals))
    for name in ("setting", "patch", "impossible"):
        print(f"{name:<12}{totals[name]:>7}  {100 * totals[name] / max(fields, 1):6.2f} %")
    for title, counter in (("patched", patched), ("different", impossible)):
        print(f"\n{title}")
        for field, count in counter.most_common(40):
            print(f"  {count:>4}  {field}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
