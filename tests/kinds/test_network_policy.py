"""Forms of a peer in allowFrom and allowTo: what each opens, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.settings.reserved import NAMESPACE_LABEL
from tests.plan.small_catalog import check, first_model, write_files

A, PROFILE = "catalog/a.yaml", "catalog/_profiles/server.yaml"
LABEL = NAMESPACE_LABEL
NAMED = {"namespaceSelector": {"matchLabels": {LABEL: "n"}}}
TEAM = {"namespaceSelector": {"matchLabels": {"team": "t"}}}
APP = {"podSelector": {"matchLabels": {"app": "x"}}}

# None is a rule without peers, which Kubernetes opens to everyone.
PEERS: list[tuple[str, dict[str, Any] | None]] = [
    ("pods: {}", {"podSelector": {}}),
    ("pods: {app: x}", APP),
    ("pods: {app: null}", {"podSelector": {}}),
    ("namespace: n", NAMED),
    ("namespace: n, pods: {}", {**NAMED, "podSelector": {}}),
    ("namespace: n, pods: {app: x}", {**NAMED, **APP}),
    ("namespace: null, pods: {app: x}", APP),
    ("namespaceLabels: {team: t}", TEAM),
    ("namespaceLabels: {team: t}, pods: {app: x}", {**TEAM, **APP}),
    ("namespaceLabels: {}", {"namespaceSelector": {}}),
    ("namespaceLabels: {}, pods: {app: x}", {"namespaceSelector": {}, **APP}),
    ("namespaceLabels: {team: t}, namespace: n",
     {"namespaceSelector": {"matchLabels": {"team": "t", LABEL: "n"}}}),
    (f"namespaceLabels: {{{LABEL}: n}}, namespace: n", NAMED),
    ("cidr: 10.0.0.0/8", {"ipBlock": {"cidr": "10.0.0.0/8"}}),
    ("cidr: 0.0.0.0/0, except: [10.0.0.0/8]",
     {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}),
    ("anyone: true", None),
    ("anyone: false, pods: {}", {"podSelector": {}}),
]  # fmt: skip
NO_PEERS = "networkPolicy.{}.p names no peers; give namespace, namespaceLabels, pods or cidr, or"
TWO_PEERS = "networkPolicy.{}.p.anyone is true, and the peer also names"
REFUSED = [
    ("ports: [80]", NO_PEERS),
    ("", NO_PEERS),
    ("pods: null, ports: [80]", NO_PEERS),
    ("namespace: null", NO_PEERS),
    ("anyone: false, ports: [80]", NO_PEERS),
    ("anyone: true, pods: {}", TWO_PEERS),
    ("anyone: true, namespace: n", TWO_PEERS),
    ("anyone: true, namespaceLabels: {}", TWO_PEERS),
    ("anyone: true, cidr: 10.0.0.0/8", TWO_PEERS),
    ("pods: {}, cidr: 10.0.0.0/8", "networkPolicy.{}.p.cidr cannot be combined"),
    ("namespaceLabels: {}, cidr: 10.0.0.0/8", "networkPolicy.{}.p.cidr cannot be combined"),
    ("pods: {}, except: [10.0.0.0/8]", "networkPolicy.{}.p.except[0] is 10.0.0.0/8; expected"),
    (f"namespaceLabels: {{{LABEL}: m}}, namespace: n", "networkPolicy.{}.p.namespace is n, and"),
    ("pods: {}, ports: []", "networkPolicy.{}.p.ports is empty; expected at least one entry"),
]
DIRECTIONS = pytest.mark.parametrize(
    ("setting", "rules", "peers"), [("allowFrom", "ingress", "from"), ("allowTo", "egress", "to")]
)


@DIRECTIONS
@pytest.mark.parametrize(("written", "peer"), PEERS, ids=[peer[0] for peer in PEERS])
def test_a_peer_opens_what_is_written(
    tmp_path: Path, written: str, peer: Any, setting: str, rules: str, peers: str
) -> None:
    policy = f"networkPolicy: {{dns: false, {setting}: {{p: {{{written}, ports: [80]}}}}}}\n"
    loaded = check(write_files(tmp_path, {A: f"+{policy}"}))
    assert loaded.errors == ()
    manifest = first_model(loaded).find("NetworkPolicy")
    assert manifest is not None
    opened = {} if peer is None else {peers: [peer]}
    ports = [{"protocol": "TCP", "port": 80}]
    assert manifest.object["spec"][rules] == [{"ports": ports, **opened}]


@DIRECTIONS
@pytest.mark.parametrize(("written", "message"), REFUSED, ids=[peer[0] for peer in REFUSED])
def test_a_peer_that_opens_something_else_is_refused(
    tmp_path: Path, written: str, message: str, setting: str, rules: str, peers: str
) -> None:
    policy = f"networkPolicy: {{{setting}: {{p: {{{written}}}}}}}\n"
    [diagnostic] = check(write_files(tmp_path, {A: f"+{policy}"})).errors
    assert diagnostic.message.startswith(message.format(setting))


def test_an_overlay_that_removes_the_peers_opens_nothing(tmp_path: Path) -> None:
    profile = "+networkPolicy: {allowFrom: {p: {pods: {app: x}, ports: [http]}}}\n"
    overlay = "networkPolicy: {allowFrom: {p: {pods: null}}}\n"
    changes = {PROFILE: profile, "environments/prod/models/a.yaml": overlay}
    [diagnostic] = check(write_files(tmp_path, changes)).errors
    assert diagnostic.message.startswith("networkPolicy.allowFrom.p names no peers")
