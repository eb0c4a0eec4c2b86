"""The journal keeps every finished step across a crash, and is folded into the checkpoint."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from framework.engines.state import files
from framework.engines.state.checkpoint import Checkpoint
from framework.engines.state.journal import Journal, fold, parse_journal

STACK = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"
MODEL = "urn:pulumi:dev::p::t:i:Model::m"


def _entry(urn: str, **more: Any) -> dict[str, Any]:
    return {"urn": urn, "custom": False, "type": urn.split("::")[2], **more}


def test_journal_written_by_many_threads_has_every_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: journal.append({"drop": str(n)}), range(300)))
    journal.close()
    assert {
        line["drop"] for line in parse_journal(files.read_bytes(tmp_path / "j"), tmp_path / "j")
    } == {str(n) for n in range(300)}


@pytest.mark.parametrize("cut", range(1, 20, 3))
def test_incomplete_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path / "j")
    journal.append({"set": _entry(STACK)})
    journal.append({"set": _entry(MODEL)})
    journal.close()
    text = (tmp_path / "j").read_text()
    (tmp_path / "j").write_text(text[:-cut])
    lines = parse_journal(files.read_bytes(tmp_path / "j"), tmp_path / "j")
    assert len(lines) == (2 if cut == 1 else 1)


def test_missing_journal_has_no_lines(tmp_path: Path) -> None:
    assert parse_journal(files.read_bytes(tmp_path / "j"), tmp_path / "j") == []


def test_fold_orders_resources_and_ends_operations() -> None:
    pending = {"resource": _entry(MODEL), "type": "creating"}
    lines = [
        {"begin": pending},
        {"set": _entry(MODEL, parent=STACK)},
        {"set": _entry(STACK)},
    ]
    folded = fold(Checkpoint("s"), lines)
    assert [resource.urn for resource in folded.resources] == [STACK, MODEL]
    assert folded.pending == (pending,)
    ended = fold(folded, [{"end": MODEL}, {"drop": MODEL}])
    assert [resource.urn for resource in ended.resources] == [STACK]
    assert ended.pending == ()


def test_fold_renames_every_reference() -> None:
    lines = [
        {"set": _entry(STACK)},
        {"set": _entry(MODEL, parent=STACK)},
        {"set": _entry(f"{MODEL}2", parent=MODEL, dependencies=[MODEL])},
        {"rename": {MODEL: f"{MODEL}-new"}},
    ]
    last = fold(Checkpoint("s"), lines).resources[-1]
    assert last.needs == (f"{MODEL}-new",)


def test_fold_drops_references_to_deleted_resources() -> None:
    lines = [
        {"set": _entry(STACK)},
        {"set": _entry(MODEL, dependencies=[STACK, f"{MODEL}-gone"])},
    ]
    assert fold(Checkpoint("s"), lines).resources[-1].needs == (STACK,)
