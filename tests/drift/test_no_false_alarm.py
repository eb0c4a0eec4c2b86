"""Nothing is reported after any sequence of `up` with either engine."""

from __future__ import annotations

import random

import pytest

from tests.drift.deployed_project import DeployedProject, read_differences

pytestmark = pytest.mark.cluster
SEED = 1126
_OVERLAYS = {
    "intent": [
        "{}",
        "replicas: 3",
        "replicas: 1\nrollout: {maxUnavailable: 0}",
        "env: {LOG_LEVEL: debug, WORKERS: 4}",
        "image: {tag: other}",
        "autoscaling: {minReplicas: 2, maxReplicas: 4, cpu: 70}",
        "canary: {candidate: {image: {tag: next}}}",
        "labels: {tier: gold}\nresources: {limits: {memory: 12Gi}}",
        "config: {files: {log4j2.properties: other}}",
        "networkPolicy: null",
        "objects: {reader: null}",
        "pod: {enableServiceLinks: false}",
    ],
    "fraud": [
        "{}",
        "autoscaling: null",
        "autoscaling: {minReplicas: 3}",
        "env: {DECISION_THRESHOLD: '0.5'}",
        "service: {type: NodePort}",
        "enabled: false",
        "terminationGracePeriodSeconds: 45",
    ],
    "text-embeddings": [
        "{}",
        "ingress: null",
        "ingress: {host: 'other.${name}.example.com'}",
        "image: {tag: cpu-1.6}",
        "resources: {requests: {cpu: 1000m}}",
    ],
}


def walk(deployed: DeployedProject, seed: int, steps: int, engines: tuple[str, ...]) -> None:
    """Changes a model of each copy, runs `up` and checks, again and again."""
    chance = random.Random(seed)
    for step in range(steps):
        engine = chance.choice(engines)
        chosen: dict[str, str] = {}
        for copy in deployed.worlds:
            model = chance.choice(sorted(_OVERLAYS))
            chosen[f"{model}-{copy}"] = chance.choice(_OVERLAYS[model])
        for name, overlay in chosen.items():
            deployed.project.write(f"environments/dev/models/{name}.yaml", f"{overlay}\n")
        before = deployed.check()
        assert (read_differences(before.findings), before.problems) == ({}, ()), (step, chosen)
        assert {*before.pending} <= chosen.keys()
        deployed.up(engine)
        report = deployed.check_settled()
        found = read_differences(report.findings)
        assert (found, report.problems, report.pending) == ({}, (), ()), (step, engine, chosen)
    for file in deployed.project.root.glob("environments/dev/models/*.yaml"):
        file.unlink()
    deployed.up()


def test_few_states_are_clean(deployed: DeployedProject) -> None:
    walk(deployed, SEED, 2, ("embedded",))


@pytest.mark.grid
@pytest.mark.pulumi_cli
@pytest.mark.xdist_group("drift-cli")
@pytest.mark.parametrize("number", range(3))
def test_states_are_clean(fleet: DeployedProject, number: int) -> None:
    # 7 steps of 12 copies: 252 states of a model with everything that belongs to it.
    walk(fleet, SEED + number, 7, ("embedded", "cli"))
