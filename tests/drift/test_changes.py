"""Every kind of out-of-band change is found, named right, and put back by either engine."""

from __future__ import annotations

import random
import time

import pytest

from framework.drift import FindingKind
from tests.drift.bench import Bench, describe
from tests.drift.changes import BY_NAME, CHANGES, OutOfBand

pytestmark = pytest.mark.cluster
SEED = 1126
# Of each kind of finding one, so that `make test` sees all of them.
SAMPLE = ("container", "port-number", "autoscaled-to-0", "foreign-Deployment-impostor")
_SHOWN_S = 10.0
# The CLI applies our port beside that of the other manager, and both have one name. It replaces no
# object whose inputs are the same.
REFUSED_BY_CLI = ("port-number", "config-immutable")


def check_found(bench: Bench, *changes: OutOfBand) -> None:
    """Fails unless the report has what these changes do, and nothing else."""
    expected = {text for change in changes for text in change.finds}
    managers = {change.manager for change in changes}
    # The Deployment controller replaces a Pod that was taken away from it.
    until = time.monotonic() + _SHOWN_S
    while True:
        report = bench.check()
        found = {describe(finding) for finding in report.findings}
        if found == expected or time.monotonic() > until:
            break
        time.sleep(0.5)
    assert found == expected
    # A removed field leaves no manager behind.
    assert {finding.manager for finding in report.findings} - {""} == managers - {""}
    assert (report.problems, report.pending, report.warnings) == ((), (), ())


def put_back(bench: Bench, engine: str, *changes: OutOfBand) -> None:
    """Undoes what is foreign, runs `up`, and fails unless nothing differs any more."""
    for change in changes:
        bench.undo(change)
    bench.up(engine)
    report = bench.check()
    assert [describe(finding) for finding in report.findings] == []
    assert report.clean


@pytest.mark.parametrize("name", SAMPLE)
def test_change_is_found_and_put_back(bench: Bench, name: str) -> None:
    change = BY_NAME[name]
    change.make(bench.world)
    check_found(bench, change)
    put_back(bench, "embedded", change)


@pytest.mark.grid
@pytest.mark.pulumi_cli
@pytest.mark.parametrize("engine", ["embedded", "cli"])
@pytest.mark.parametrize("name", [change.name for change in CHANGES])
def test_every_change_is_found_and_put_back(bench: Bench, name: str, engine: str) -> None:
    if name in REFUSED_BY_CLI and engine == "cli":
        pytest.skip("the command is refused: README, nightly drift check")
    change = BY_NAME[name]
    change.make(bench.world)
    check_found(bench, change)
    put_back(bench, engine, change)


def choose_together(seed: int) -> list[OutOfBand]:
    """Returns changes of different objects, chosen by the seed."""
    chosen: dict[str, OutOfBand] = {}
    for change in random.Random(seed).sample(CHANGES, 12):
        objects = {text.split(" ")[1] for text in change.finds}
        touched = {
            other
            for found in chosen.values()
            for other in (text.split(" ")[1] for text in found.finds)
        }
        if not objects & touched:
            chosen[change.name] = change
    return list(chosen.values())


@pytest.mark.grid
@pytest.mark.pulumi_cli
@pytest.mark.parametrize("number", range(20))
def test_changes_together_are_found_and_put_back(bench: Bench, number: int) -> None:
    changes = [c for c in choose_together(SEED + number) if c.name not in REFUSED_BY_CLI]
    for change in changes:
        change.make(bench.world)
    check_found(bench, *changes)
    put_back(bench, ("embedded", "cli")[number % 2], *changes)


@pytest.mark.grid
@pytest.mark.pulumi_cli
def test_immutable_object_is_refused_by_the_cli_and_replaced_by_the_embedded_engine(
    bench: Bench,
) -> None:
    change = BY_NAME["config-immutable"]
    change.make(bench.world)
    for verb in ("preview", "up"):
        shown = bench.project.run(verb, "dev", "--engine", "cli")
        text = " ".join((shown.stdout + shown.stderr).split())
        assert "and the Pulumi CLI does not replace it" in text
        assert shown.returncode == 1
    check_found(bench, change)
    put_back(bench, "embedded", change)


@pytest.mark.grid
def test_deleted_namespace_is_one_finding(bench: Bench) -> None:
    bench.world.delete("Namespace", "")
    (finding,) = bench.check().findings
    assert (finding.kind, finding.object_kind) == (FindingKind.MISSING, "Namespace")
    bench.renew_volume()
    bench.up()
    assert bench.check().clean
