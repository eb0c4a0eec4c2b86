"""Criteria of a rollout and reasons of a failed one, without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from framework.kube.reasons import find_rollout_reason, render_selector
from framework.kube.waiting import (
    ProgressDeadline,
    deadline_exceeded_at,
    is_complete,
    rollout_counts,
)


def deployment(**status: Any) -> dict[str, Any]:
    counts = {"observedGeneration": 2, "updatedReplicas": 4, "replicas": 4, "availableReplicas": 4}
    return {
        "metadata": {"name": "sentiment", "namespace": "ml", "generation": 2, "uid": "d"},
        "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "x"}}},
        "status": {**counts, **status},
    }


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        pytest.param({}, True, id="all"),
        pytest.param({"observedGeneration": 1}, False, id="not-observed"),
        pytest.param({"updatedReplicas": 3}, False, id="not-updated"),
        pytest.param({"replicas": 5}, False, id="old-pod-left"),
        pytest.param({"availableReplicas": 3}, False, id="not-available"),
    ],
)
def test_rollout_is_complete_when_every_count_is_reached(
    status: dict[str, Any], complete: bool
) -> None:
    assert is_complete(deployment(**status)) is complete


def test_counts_of_an_older_generation_are_not_updated() -> None:
    assert rollout_counts(deployment(observedGeneration=1)).updated == 0


def test_deadline_exceeded_at_returns_the_time_of_the_condition() -> None:
    verdict = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "lastUpdateTime": "t1",
    }
    assert deadline_exceeded_at(deployment(conditions=[verdict])) == "t1"
    assert deadline_exceeded_at(deployment()) == ""


def give_up(time: str) -> dict[str, Any]:
    return {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": time}


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("framework.kube.waiting.time", made)
    return made


@pytest.mark.parametrize(
    ("verdict", "exceeded"),
    [
        pytest.param(give_up("t1"), False, id="verdict from before the apply"),
        pytest.param(give_up("t2"), True, id="new verdict"),
    ],
)
def test_only_a_new_verdict_counts(verdict: dict[str, Any], exceeded: bool) -> None:
    deadline = ProgressDeadline(deployment(conditions=[give_up("t1")]))
    assert deadline.is_exceeded(deployment(conditions=[verdict])) is exceeded


def test_verdict_on_an_older_generation_does_not_count() -> None:
    live = deployment(observedGeneration=1, conditions=[give_up("t2")])
    assert not ProgressDeadline(deployment()).is_exceeded(live)


def test_progress_deadline_is_measured_since_the_last_progress(clock: Clock) -> None:
    stuck = deployment(availableReplicas=2)
    stuck["spec"]["progressDeadlineSeconds"] = 10
    moved = {**stuck, "status": {**stuck["status"], "readyReplicas": 3}}
    deadline = ProgressDeadline(stuck)
    assert not deadline.is_exceeded(stuck)
    clock.now += 11
    assert not deadline.is_exceeded(moved)
    clock.now += 11
    assert not deadline.is_exceeded(moved)
    clock.now += 2
    assert deadline.is_exceeded(moved)


def owned(uid: str, owner: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": uid, "uid": uid, "ownerReferences": [{"uid": owner}]}
    return {"metadata": metadata, **more}


def replica_set(uid: str, revision: int, **status: Any) -> dict[str, Any]:
    found = owned(uid, "d", status=status)
    found["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(revision)}
    return found


def pod(name: str = "sentiment-7c9-x2k4p", **status: Any) -> dict[str, Any]:
    container = {"name": "model", "image": "docker.io/seldonio/mlserver:1.7.O"}
    return owned(name, "new", spec={"containers": [container]}, status=status)


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {
        "containerStatuses": [{"name": "model", "state": {"waiting": {"reason": reason}}, **more}]
    }


class FakeLists:
    """Answers `list_objects` from the given lists."""

    def __init__(self, replica_sets: list[Any], pods: list[Any], *events: Any) -> None:
        self._lists = {"ReplicaSet": replica_sets, "Pod": pods, "Event": list(events)}

    def list_objects(
        self, api_version: str, kind: str, namespace: str, **selectors: str
    ) -> list[Any]:
        return self._lists[kind]


OLD = replica_set("old", 9, readyReplicas=4)
NEW = replica_set("new", 10)
UNSCHEDULED: dict[str, Any] = {
    "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "0/8 nodes are available."}
    ]
}
SERVING = "; 4 of 4 old Pods still serve"


@pytest.mark.parametrize(
    ("sets", "pods", "reason"),
    [
        pytest.param(
            [OLD, NEW],
            [pod(**waiting("ImagePullBackOff"))],
            f'ImagePullBackOff "mlserver:1.7.O" on sentiment-7c9-x2k4p{SERVING}',
            id="image",
        ),
        pytest.param(
            [OLD, NEW],
            [
                pod(
                    **waiting(
                        "CrashLoopBackOff",
                        lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                    )
                )
            ],
            'CrashLoopBackOff "mlserver:1.7.O" on sentiment-7c9-x2k4p (exit code 137, OOMKilled)'
            + SERVING,
            id="crash-loop",
        ),
        pytest.param(
            [NEW],
            [pod(**UNSCHEDULED)],
            "sentiment-7c9-x2k4p cannot be scheduled: 0/8 nodes are available",
            id="unschedulable-first-rollout",
        ),
        pytest.param(
            [
                replica_set(
                    "new",
                    10,
                    conditions=[
                        {
                            "type": "ReplicaFailure",
                            "status": "True",
                            "message": "pods is forbidden: exceeded quota: gpu.",
                        }
                    ],
                ),
                OLD,
            ],
            [],
            "ReplicaSet new cannot make Pods: pods is forbidden: exceeded quota: gpu" + SERVING,
            id="quota",
        ),
        pytest.param(
            [replica_set("old", 9), replica_set("new", 10, readyReplicas=3)],
            [pod(**UNSCHEDULED)],
            "sentiment-7c9-x2k4p cannot be scheduled: 0/8 nodes are available; 3 of 4 Pods serve",
            id="scale-up-after-a-rollout",
        ),
        pytest.param(
            [replica_set("new", 10, readyReplicas=3)],
            [pod(**UNSCHEDULED)],
            "sentiment-7c9-x2k4p cannot be scheduled: 0/8 nodes are available; 3 of 4 Pods serve",
            id="scale-up-of-the-first-replica-set",
        ),
        pytest.param(
            [OLD, NEW],
            [pod(**waiting("ContainerCreating"))],
            f"sentiment-7c9-x2k4p not ready yet, no failure reported{SERVING}",
            id="coming-up",
        ),
        pytest.param(
            [NEW],
            [pod(phase="Running")],
            "sentiment-7c9-x2k4p runs but its probes do not pass, no failure reported",
            id="probes",
        ),
        pytest.param(
            [],
            [],
            "the Deployment controller has made no ReplicaSet; is it running?",
            id="no-controller",
        ),
    ],
)
def test_reason_names_the_failure_and_the_pods_that_serve(
    sets: list[Any], pods: list[Any], reason: str
) -> None:
    assert find_rollout_reason(FakeLists(sets, pods), deployment()) == reason  # type: ignore[arg-type]


def test_warning_event_is_the_reason_where_no_status_has_one() -> None:
    event = {"reason": "FailedMount", "message": "MountVolume.SetUp failed:\n no such ConfigMap"}
    fake = FakeLists([NEW], [pod(**waiting("ContainerCreating"))], event)
    assert find_rollout_reason(fake, deployment()) == (  # type: ignore[arg-type]
        "FailedMount on sentiment-7c9-x2k4p: MountVolume.SetUp failed: no such ConfigMap"
    )


def test_selector_is_rendered_as_a_query() -> None:
    terms = [
        {"key": "track", "operator": "In", "values": ["stable", "canary"]},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"app": "x"}, "matchExpressions": terms}
    assert render_selector(selector) == "app=x,track in (stable,canary),!old"
