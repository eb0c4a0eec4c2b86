"""Every kind of out-of-band change is found, named right, and put back by either engine.

A round makes one or more changes in each copy of the models, checks once, puts back, and checks
again. So one check and one `up` serve a dozen changes, and each change is alone in its copy.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from framework.drift import DriftReport, FindingKind
from tests.drift.changes import BY_NAME, CHANGES, OutOfBand
from tests.drift.deployed_project import DeployedProject, Differences, read_differences

pytestmark = pytest.mark.cluster
SEED = 1126
Round = Mapping[str, Sequence[OutOfBand]]
# One change for each kind of finding, each of a different object: the sample of `make test`.
SAMPLE = (
    "container", "port-number", "autoscaled-to-0", "foreign-Deployment-impostor",
    "foreign-EndpointSlice-thief", "debugged-pod",
)  # fmt: skip
COPIES = "abcdefghijkl"
ENGINES = ("embedded", "cli")
_SHOWN_S = 20.0
IN_NAMESPACE = "Namespace/"


def plan_single_rounds(copies: str) -> list[Round]:
    """Returns rounds with all changes, one in each copy."""
    return [
        {copy: [change] for copy, change in zip(copies, CHANGES[at:], strict=False)}
        for at in range(0, len(CHANGES), len(copies))
    ]


def plan_random_round(seed: int, copies: str) -> Round:
    """Returns a round with random changes of different objects in each copy."""
    chance = random.Random(seed)
    return {copy: list(_choose_together(chance)) for copy in copies}


def _choose_together(chance: random.Random) -> Iterator[OutOfBand]:
    touched: set[str] = set()
    for change in chance.sample(CHANGES, 12):
        # A deleted Deployment has no Pods that could be changed, too.
        objects = {name.replace("Pod/", "Deployment/").rstrip("*") for name in change.objects}
        # All copies share the Namespace.
        if not objects & touched and IN_NAMESPACE not in objects:
            touched |= objects
            yield change


def make_changes(deployed: DeployedProject, changes: Round) -> None:
    for copy, ordered in changes.items():
        for change in ordered:
            change.make(deployed.worlds[copy])


def build_expected(changes: Round) -> dict[str, Differences]:
    """Returns the differences that a check must find in each copy."""
    expected = {}
    for copy, ordered in changes.items():
        own = "" if any(IN_NAMESPACE in change.objects for change in ordered) else copy
        expected[own] = Differences(
            frozenset(text for change in ordered for text in change.finds),
            frozenset({change.manager for change in ordered} - {""}),
        )
    return expected


def check_found(deployed: DeployedProject, changes: Round) -> None:
    """Fails unless the report has what these changes do, and nothing else."""
    expected = build_expected(changes)
    report = wait_for(deployed, expected)
    found = read_differences(report.findings)
    names = {copy: [change.name for change in ordered] for copy, ordered in changes.items()}
    wrong = {
        copy: (names.get(copy), expected.get(copy), found.get(copy))
        for copy in expected.keys() | found.keys()
        if expected.get(copy) != found.get(copy)
    }
    assert wrong == {}
    assert (report.problems, report.pending, report.warnings) == ((), (), ())


def wait_for(deployed: DeployedProject, expected: Mapping[str, Differences]) -> DriftReport:
    """Returns the first report with these differences, or the last one before the time is up.

    Not all that follows from a change is there at once: the Deployment controller replaces a Pod
    that was taken away from it, and the one of a foreign Deployment creates its Pods.
    """
    until = time.monotonic() + _SHOWN_S
    while True:
        report = deployed.check()
        if read_differences(report.findings) == expected or time.monotonic() > until:
            return report
        time.sleep(0.5)


def put_back(deployed: DeployedProject, engine: str) -> None:
    """Deletes what is foreign, runs `up`, and fails unless nothing differs any more."""
    deployed.delete_foreign()
    deployed.up(engine)
    report = deployed.check_settled()
    assert read_differences(report.findings) == {}
    assert report.clean


def run_round(deployed: DeployedProject, changes: Round, engine: str) -> None:
    """Makes the changes, checks, puts back and checks again."""
    try:
        make_changes(deployed, changes)
        check_found(deployed, changes)
    except BaseException as failure:
        # The next round starts from here. What fails now follows from the failure above, and must
        # not be shown in its place.
        try:
            put_back(deployed, engine)
        except Exception as exc:
            failure.add_note(f"and was not put back: {exc}")
        raise
    put_back(deployed, engine)


def test_sample_of_changes_is_found_and_put_back(deployed: DeployedProject) -> None:
    run_round(deployed, {"a": [BY_NAME[name] for name in SAMPLE]}, "embedded")


@pytest.mark.grid
@pytest.mark.pulumi_cli
@pytest.mark.parametrize(
    ("number", "engine"),
    [
        # A group for each engine, because each worker deploys a project of its own.
        pytest.param(number, engine, marks=pytest.mark.xdist_group(f"drift-{engine}"))
        for engine in ENGINES
        for number in range(len(plan_single_rounds(COPIES)))
    ],
)
def test_every_change_is_found_and_put_back(
    fleet: DeployedProject, number: int, engine: str
) -> None:
    run_round(fleet, plan_single_rounds(COPIES)[number], engine)


@pytest.mark.grid
@pytest.mark.pulumi_cli
@pytest.mark.parametrize(
    ("number", "engine"),
    [
        pytest.param(number, engine, marks=pytest.mark.xdist_group(f"drift-{engine}"))
        for number, engine in enumerate(ENGINES * 3)
    ],
)
def test_changes_together_are_found_and_put_back(
    fleet: DeployedProject, number: int, engine: str
) -> None:
    run_round(fleet, plan_random_round(SEED + number, COPIES), engine)


@pytest.mark.grid
@pytest.mark.xdist_group("drift-embedded")
def test_deleted_namespace_is_one_finding(fleet: DeployedProject) -> None:
    fleet.kube.delete("v1", "Namespace", fleet.namespace)
    (finding,) = fleet.check().findings
    assert (finding.kind, finding.object_kind) == (FindingKind.MISSING, "Namespace")
    fleet.create_volumes()
    fleet.up()
    assert fleet.check().clean
