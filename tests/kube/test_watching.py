"""Shared watches, on a real server and with failures that a real one rarely has."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.watching import Queue, SharedWatch, Watches
from tests.kube.objects import config_map


def item(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}}


class ScriptedClient:
    """Answers each list and each watch with the next of those given, then blocks until closed."""

    def __init__(self, lists: list[list[str]], watches: list[Any]) -> None:
        self._lists, self._watches = lists, watches
        self._end = threading.Event()
        self.versions: list[str] = []

    @property
    def closed(self) -> bool:
        return self._end.is_set()

    def close(self) -> None:
        self._end.set()

    def list_with_version(self, *what: str) -> tuple[list[Any], str]:
        return [item(name, "1") for name in self._lists.pop(0)], "5"

    def watch(self, *what: str, resource_version: str, **more: Any) -> Iterator[Any]:
        self.versions.append(resource_version)
        if not self._watches:
            self._end.wait(10)
            return
        script = self._watches.pop(0)
        if isinstance(script, Exception):
            raise script
        for event in script:
            if isinstance(event, Exception):
                raise event
            yield event


def watch_of(client: ScriptedClient) -> SharedWatch:
    return SharedWatch(client, "v1", "ConfigMap", "ml")  # type: ignore[arg-type]


def test_watch_continues_at_its_last_version() -> None:
    events = [("ADDED", item("a", "7")), ("BOOKMARK", item("", "9"))]
    client = ScriptedClient([[]], [events, [("DELETED", item("a", "11"))]])
    with watch_of(client).subscribed("a") as queue:
        assert queue.get(timeout=5) == item("a", "7")
        assert queue.get(timeout=5) is None
        client.close()
    assert client.versions[:2] == ["5", "9"]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ApiError("watch", 410, "Expired", "too old"), id="too-old"),
        pytest.param(ApiError("watch", 500, "Internal", "etcd"), id="server-error"),
        pytest.param(ClusterError("connection reset"), id="connection-reset"),
        pytest.param(json.JSONDecodeError("Unterminated string", "{", 1), id="cut-line"),
        pytest.param(RuntimeError("generator didn't yield"), id="unexpected"),
        pytest.param([("ADDED", {"metadata": {}})], id="event-without-version"),
    ],
)
def test_missed_events_are_delivered_after_a_failure(failure: Exception) -> None:
    client = ScriptedClient([["a", "b"], ["b"]], [failure])
    with watch_of(client).subscribed("a") as queue:
        assert queue.get(timeout=5) == item("a", "1")
        assert queue.get(timeout=5) is None
        client.close()


def test_error_that_stays_reaches_the_subscriber(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.kube.watching.RETRY_S", 0)
    client = ScriptedClient([["a"]], [ClusterError("refused")] * 30)
    with watch_of(client).subscribed("a") as queue:
        queue.get(timeout=5)
        error = queue.get(timeout=5)
    assert isinstance(error, ClusterError)


def test_failures_between_events_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.kube.watching.RETRY_S", 0)
    broken = [[("MODIFIED", item("a", str(n))), ClusterError("cut")] for n in range(30)]
    client = ScriptedClient([["a"]] * 31, broken)
    with watch_of(client).subscribed("a") as queue:
        events = [queue.get(timeout=5) for _ in range(61)]
        client.close()
    assert not any(isinstance(event, ClusterError) for event in events)


def test_unexpected_error_reaches_every_subscriber(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.kube.watching.RETRY_S", 0)
    client = ScriptedClient([["a"]] * 40, [KeyError("type")] * 40)
    watch = watch_of(client)
    with watch.subscribed("a") as first, watch.subscribed("b") as second:
        assert "KeyError" in str(next_error(first))
        assert "KeyError" in str(next_error(second))


def next_error(queue: Queue) -> object:
    while not is_error(event := queue.get(timeout=5)):
        pass
    return event


def is_error(event: object) -> bool:
    return isinstance(event, ClusterError)


@pytest.mark.parametrize("status", [403, 405])
def test_missing_permission_reaches_the_subscriber_at_once(status: int) -> None:
    refusal = ApiError("watch of ConfigMap in ml", status, "Forbidden", 'cannot watch "configmaps"')
    client = ScriptedClient([["a"]], [refusal])
    with watch_of(client).subscribed("a") as queue:
        queue.get(timeout=5)
        assert queue.get(timeout=5) is refusal


def test_closed_client_wakes_the_subscribers() -> None:
    client = ScriptedClient([["a"]], [])
    with watch_of(client).subscribed("a") as queue:
        queue.get(timeout=5)
        client.close()
        assert is_error(queue.get(timeout=5))


def test_subscriber_after_a_failure_starts_a_new_watch() -> None:
    client = ScriptedClient([["a"], ["a"]], [ApiError("watch", 403, "Forbidden", "no")])
    watch = watch_of(client)
    with watch.subscribed("a") as queue:
        queue.get(timeout=5)
        assert is_error(queue.get(timeout=5))
    with watch.subscribed("a") as queue:
        assert queue.get(timeout=5) == item("a", "1")
        client.close()


@pytest.mark.cluster
def test_subscribers_share_one_watch(kube: KubeClient, namespace: str) -> None:
    watches = Watches(kube)
    objects = [config_map(namespace, f"settings-{i}") for i in range(2)]
    kube.create(objects[0], manager="tests")
    before = threading.active_count()
    with (
        watches.for_object(objects[0]).subscribed("settings-0") as first,
        watches.for_object(objects[1]).subscribed("settings-1") as last,
    ):
        assert first.get(timeout=10)["data"] == {"LOG_LEVEL": "info"}  # type: ignore[index]
        kube.create(objects[1], manager="tests")
        assert last.get(timeout=10)["metadata"]["name"] == "settings-1"  # type: ignore[index]
        kube.delete("v1", "ConfigMap", "settings-1", namespace, propagation="Background")
        assert last.get(timeout=10) is None
        assert threading.active_count() == before + 1
