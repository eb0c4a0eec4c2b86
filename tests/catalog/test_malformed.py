"""Every malformed input of the corpus: its code, its file, its line and its column, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import ConfigError
from framework.core.stack import Stack
from framework.plan import PlanStore
from tests.catalog.malformed import CASES, MARK, VALID, Case
from tests.trees import write_tree

Found = tuple[str, str, int, int]


def _write(root: Path, files: dict[str, str]) -> None:
    write_tree(root, files)


def _expected(case: Case) -> list[Found]:
    if MARK not in case.text:
        # The fault is the name of the file.
        return [(case.code, case.path, 0, 0)]
    parts = case.text.split(MARK)
    positions = ["".join(parts[:end]) for end in range(1, len(parts))]
    return [
        (case.code, case.path, text.count("\n") + 1, len(text) - text.rfind("\n"))
        for text in positions
    ]


def _find(root: Path) -> list[Found]:
    try:
        PlanStore(root).load_one(Stack.of("prod")).require()
    except ConfigError as error:
        return [(f.code, f.path, f.line, f.column) for f in error.diagnostics]
    return []


def test_the_catalog_without_malformed_input_has_no_errors(tmp_path: Path) -> None:
    _write(tmp_path, VALID)
    assert _find(tmp_path) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_malformed_input_is_reported_at_its_position(case: Case, tmp_path: Path) -> None:
    _write(tmp_path, {**VALID, case.path: case.text.replace(MARK, "")})
    assert _find(tmp_path) == _expected(case)


def test_the_corpus_is_large_and_has_no_duplicates() -> None:
    assert len(CASES) >= 150
    assert len({(case.path, case.text) for case in CASES}) == len(CASES)
