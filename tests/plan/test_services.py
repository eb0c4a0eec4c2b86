"""The Services of a model: names, ports and tracks, and names that only one object may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.plan import ModelPlan
from tests.plan.small_catalog import check, first_model, list_diagnostics, write_files

_PROXY = "sidecars: {proxy: {image: r/p:1, ports: {admin: %s}}}\n"
_SHARED = {"app.kubernetes.io/name": "a"}


def _plan(tmp_path: Path, text: str) -> ModelPlan:
    loaded = check(write_files(tmp_path, {"catalog/a.yaml": f"+{text}"}))
    assert list_diagnostics(loaded.errors) == []
    return first_model(loaded)


def _services(plan: ModelPlan) -> dict[str, dict[str, Any]]:
    return {m.name: m.object["spec"] for m in plan.manifests if m.kind == "Service"}


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        pytest.param("", {"http": (8080, "http")}, id="the model's ports"),
        pytest.param(_PROXY % "9901", {"http": (8080, "http")}, id="a sidecar's port is not in it"),
        pytest.param(
            _PROXY % "{containerPort: 9901, servicePort: 99}",
            {"http": (8080, "http"), "admin": (99, "admin")}, id="a sidecar's servicePort",
        ),
        pytest.param(
            "service: {ports: {web: {port: 80, targetPort: http}}}\n", {"web": (80, "http")},
            id="another name",
        ),
        pytest.param("service: {ports: {http: 80}}\n", {"http": (80, "http")}, id="number alone"),
        pytest.param(
            "ports: {metrics: 8081}\nservice: {ports: {http: {}}}\n", {"http": (8080, "http")},
            id="not every port",
        ),
        pytest.param(
            _PROXY % "9901" + "service: {ports: {web: {targetPort: admin}}}\n",
            {"web": (9901, "admin")}, id="a proxy in front of the model",
        ),
        pytest.param(
            "service: {ports: {web: {port: 80, targetPort: 8080}}}\n", {"web": (80, 8080)},
            id="a number as target",
        ),
    ],
)  # fmt: skip
def test_ports_of_the_service(
    text: str, ports: dict[str, tuple[int, str | int]], tmp_path: Path
) -> None:
    service = _services(_plan(tmp_path, text))["a"]
    assert {p["name"]: (p["port"], p["targetPort"]) for p in service["ports"]} == ports


def test_several_services_have_names_selectors_and_ports_of_their_own(tmp_path: Path) -> None:
    services = _services(
        _plan(
            tmp_path,
            "service: {name: chat}\nservices:\n  headless: {headless: true}\n"
            "  public: {name: chat-public, type: LoadBalancer, ports: {http: 80}}\n"
            "  stable: {track: stable}\n  canary: {track: canary}\n  unused: {enabled: false}\n",
        )
    )
    assert list(services) == ["chat", "a-canary", "a-headless", "chat-public", "a-stable"]
    assert services["chat"]["selector"] == services["a-headless"]["selector"] == _SHARED
    for track in ("stable", "canary"):
        selector = {**_SHARED, "modelcatalog/track": track}
        assert services[f"a-{track}"]["selector"] == selector
    assert services["a-headless"]["clusterIP"] == "None"
    assert services["chat-public"]["ports"][0]["port"] == 80


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("ingress: {host: x.com}\n", ("a", "http")),
        ("service: {name: chat}\ningress: {host: x.com}\n", ("chat", "http")),
        (
            "service: {ports: {web: {targetPort: http}}}\ningress: {host: x.com, port: web}\n",
            ("a", "web"),
        ),
        (
            "services: {public: {}}\ningress: {host: x.com, service: public}\n",
            ("a-public", "http"),
        ),
        (
            _PROXY % "{containerPort: 1, servicePort: 99}" + "ingress: {host: x.com, port: admin}",
            ("a", "admin"),
        ),
    ],
    ids=["default", "named Service", "named port", "another Service", "port of a sidecar"],
)
def test_ingress_sends_requests_to_the_service_and_its_port(
    text: str, backend: tuple[str, str], tmp_path: Path
) -> None:
    ingress = _plan(tmp_path, text).find("Ingress")
    assert ingress is not None
    service = ingress.object["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert (service["name"], service["port"]["name"]) == backend


@pytest.mark.parametrize(
    ("text", "patched"),
    [
        ("{Service: %s}", ["a", "a-public"]),
        ("{Service/public: %s}", ["a-public"]),
        ("{Service/a-public: %s}", ["a-public"]),
        ("{Service/a: %s}", ["a"]),
        # The key of one Service and the name of another: the key counts.
        ("{Service/own: %s}", ["own-2"]),
    ],
    ids=["all", "one by key", "one by name", "main by name", "key before name"],
)
def test_patch_applies_to_all_services_or_to_one(
    text: str, patched: list[str], tmp_path: Path
) -> None:
    patch = text % "{spec: {publishNotReadyAddresses: true}}"
    settings = "services: {public: {}}\n"
    if "own" in text:
        settings = "service: {name: own}\nservices: {own: {name: own-2}}\n"
    services = _services(_plan(tmp_path, f"{settings}patch: {patch}\n"))
    assert [n for n, spec in services.items() if "publishNotReadyAddresses" in spec] == patched


def test_patch_of_a_service_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    text = "services: {public: {}}\npatch: {Service/pubic: {spec: {type: ClusterIP}}}\n"
    [error] = check(write_files(tmp_path, {"catalog/a.yaml": f"+{text}"})).errors
    assert error.position == "catalog/a.yaml:5:9"
    assert error.message == (
        '"Service/pubic" is not an object of this model; expected one of Service, Service/a, '
        "Service/public"
    )


@pytest.mark.parametrize(
    ("a", "b", "position", "what"),
    [
        (
            "service: {name: chat}", "service: {name: chat}", "catalog/b.yaml:4:17",
            'model "a" claims Service "chat" too (catalog/a.yaml:4:17)',
        ),
        (
            "", "services: {x: {name: a}}", "catalog/b.yaml:4:22",
            'model "a" claims Service "a" too (catalog/a.yaml:1:1)',
        ),
        (
            "config: {name: c, mountPath: /c, files: {f: x}}",
            "config: {name: c, mountPath: /c, files: {f: x}}", "catalog/b.yaml:4:16",
            'model "a" claims ConfigMap "c" too (catalog/a.yaml:4:16)',
        ),
        (
            "service: {type: NodePort, ports: {http: {nodePort: 30080}}}",
            "service: {type: NodePort, ports: {http: {nodePort: 30080}}}", "catalog/b.yaml:4:52",
            'model "a" claims node port 30080 too (catalog/a.yaml:4:52)',
        ),
        (
            "", "service: {name: c}\nservices: {x: {name: b-y}, y: {}}", "catalog/b.yaml:5:31",
            'Service "b-y" exists twice in this model (catalog/b.yaml:5:22)',
        ),
        (
            "", f"services: {{{'x' * 62}: {{}}}}", "catalog/b.yaml:4:76",
            "has a name of 64 characters; expected at most 63",
        ),
    ],
    ids=["two names", "name of a model", "ConfigMap", "node port", "in one model", "too long"],
)  # fmt: skip
def test_a_name_belongs_to_one_object(
    a: str, b: str, position: str, what: str, tmp_path: Path
) -> None:
    changes = {"catalog/a.yaml": f"+{a}\n", "catalog/b.yaml": f"+{b}\n"}
    [error] = check(write_files(tmp_path, changes)).errors
    assert (error.position, what in error.message) == (position, True), error.message
