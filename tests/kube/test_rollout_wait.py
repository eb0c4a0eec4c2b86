"""Waits for a rollout with a watch that is silent, broken or late, or whose object was replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from framework.core.errors import ClusterError, EngineError
from framework.kube.waiting import RolloutWait, WaitStoppedError
from framework.kube.watching import Queue
from tests.kube.objects import FakeReads

Object = dict[str, Any]


def live(version: int, available: int = 2, uid: str = "u", **labels: str) -> Object:
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
    metadata = {"name": "m", "namespace": "ml", "uid": uid, "generation": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "resourceVersion": str(version), "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "m"}}},
        "status": {**status, "availableReplicas": available},
    }


class FakeWatch:
    """Delivers these events and then nothing more."""

    def __init__(self, *events: Object | ClusterError | None) -> None:
        self.queue: Queue = SimpleQueue()
        for event in events:
            self.queue.put(event)

    @contextmanager
    def subscribed(self, name: str) -> Iterator[Queue]:
        yield self.queue


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TICK_S", "SILENT_S", "READ_S"):
        monkeypatch.setattr(f"framework.kube.waiting.{name}", 0.01)


def wait(
    client: FakeReads,
    *events: Object | ClusterError | None,
    applied: Object | None = None,
    seconds: float = 5,
    on_counts: Callable[[Any], None] = lambda counts: None,
) -> Object:
    waiting = RolloutWait(
        client,  # type: ignore[arg-type]
        applied or live(10, available=0),
        seconds,
        on_counts,
        threading.Event(),
    )
    return waiting.run(FakeWatch(*events))  # type: ignore[arg-type]


AWAY = ClusterError("the API server does not answer")


def test_silent_watch_does_not_hold_up_a_finished_rollout() -> None:
    assert wait(FakeReads(live(12))) == live(12)


@pytest.mark.parametrize("events", [(AWAY,), (live(11, 1), AWAY)], ids=["at once", "later"])
def test_broken_watch_is_replaced_by_reads(events: tuple[Any, ...]) -> None:
    assert wait(FakeReads(live(11, 1), live(12)), *events) == live(12)


def test_server_that_comes_back_does_not_fail_the_rollout() -> None:
    assert wait(FakeReads(AWAY, AWAY, AWAY, live(12)), AWAY) == live(12)


def test_server_that_stays_away_fails_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.kube.waiting.NO_ANSWER_S", 0.1)
    with pytest.raises(ClusterError, match="does not answer"):
        wait(FakeReads(AWAY), AWAY)


@pytest.mark.parametrize("found", [None, live(12, uid="other")], ids=["gone", "replaced"])
def test_deployment_that_was_deleted_fails_the_wait(found: Object | None) -> None:
    with pytest.raises(EngineError, match="it was deleted in the meantime"):
        wait(FakeReads(found), live(11, 1), None)


def test_deletion_of_the_object_before_a_replacement_is_ignored() -> None:
    assert wait(FakeReads(live(12)), live(5, uid="old"), None) == live(12)


def test_event_from_before_the_apply_is_ignored() -> None:
    applied = live(10, team="ml")
    found = wait(FakeReads(live(10, team="ml")), live(9), applied=applied)
    assert found["metadata"]["labels"] == {"team": "ml"}


def test_event_from_before_the_last_read_is_ignored() -> None:
    client = FakeReads(live(12, 1))
    available: list[int] = []
    with pytest.raises(EngineError, match="did not roll out"):
        wait(
            client,
            None,
            live(11, 2),
            seconds=0.3,
            on_counts=lambda counts: available.append(counts.available),
        )
    assert set(available) == {1}


def test_versions_that_cannot_be_compared_are_read_once_more() -> None:
    event, newest = live(0), live(0, team="ml")
    for item, version in ((event, "x"), (newest, "y")):
        item["metadata"]["resourceVersion"] = version
    client = FakeReads(newest)
    assert wait(client, event, applied=live(10, available=0)) == newest
    assert client.reads == 1


def test_reads_of_a_quiet_rollout_become_fewer() -> None:
    client = FakeReads(live(11, 1))
    with pytest.raises(EngineError, match="did not roll out within 1s"):
        wait(client, live(11, 1), seconds=1)
    assert client.reads < 10


def test_closed_client_stops_the_wait() -> None:
    client = FakeReads(live(11, 1))
    threading.Timer(0.1, lambda: setattr(client, "closed", True)).start()
    began = time.monotonic()
    with pytest.raises(WaitStoppedError):
        wait(client)
    assert time.monotonic() - began < 2
