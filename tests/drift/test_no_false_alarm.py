"""Nothing is reported after any sequence of `up` with either engine."""

from __future__ import annotations

import random
import time

import pytest

from tests.drift.bench import Bench, describe

pytestmark = pytest.mark.cluster
SEED = 1126
STEPS = 10
# What an autoscaler or a controller does after `up` is not done at once.
_SETTLED_S = 5.0
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
        "ingress: {host: other.example.com}",
        "image: {tag: cpu-1.6}",
        "resources: {requests: {cpu: 1000m}}",
    ],
}


def walk(bench: Bench, seed: int, steps: int, engines: tuple[str, ...]) -> None:
    """Changes one model after another, and checks after each `up`."""
    chance = random.Random(seed)
    for step in range(steps):
        model = chance.choice(sorted(_OVERLAYS))
        overlay, engine = chance.choice(_OVERLAYS[model]), chance.choice(engines)
        bench.project.write(f"environments/dev/models/{model}.yaml", f"{overlay}\n")
        pending = set(bench.check().pending)
        assert pending <= {model}
        bench.up(engine)
        until = time.monotonic() + _SETTLED_S
        while not (report := bench.check()).clean and time.monotonic() < until:
            time.sleep(0.5)
        found = [describe(finding) for finding in report.findings]
        assert (found, report.problems, report.pending) == ([], (), ()), (step, model, overlay)
    for model in _OVERLAYS:
        bench.project.write(f"environments/dev/models/{model}.yaml", "{}\n")
    bench.up()


def test_few_states_are_clean(bench: Bench) -> None:
    walk(bench, SEED, 2, ("embedded",))


@pytest.mark.grid
@pytest.mark.pulumi_cli
@pytest.mark.parametrize("number", range(20))
def test_states_are_clean(bench: Bench, number: int) -> None:
    walk(bench, SEED + number, STEPS, ("embedded", "cli"))
