"""The components of the control plane: in which order they start, and with which flags.

Kept apart because it is the one place where a flag is written, and says why it is not the default.
It says how to launch a component; launching it is not done here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.cluster.kubeconfig import build_kubeconfig
from framework.cluster.layout import Layout
from framework.cluster.ports import LOOPBACK, SERVICE_RANGE

STAGES = Path(__file__).with_name("stages")
# The cluster has one user and one machine: clients that hold themselves back only make a rollout
# of a hundred models slow. The API server's own fairness still guards it.
_QPS, _BURST = 2000, 4000
_CONCURRENT_SYNCS = {
    "deployment": 40,
    "replicaset": 40,
    "service-endpoint": 20,
    "gc": 40,
    "namespace": 20,
    "disruption": 10,
    "horizontal-pod-autoscaler": 10,
    "resource-quota": 10,
}


_Flags = tuple[dict[str, object], dict[Path, str]]


@dataclass(frozen=True)
class Component:
    """One process of the control plane; `health` is the path that answers 200 once it is ready."""

    name: str
    ports: tuple[str, ...] = ()
    health: str = ""


COMPONENTS = (
    Component("etcd", ("etcd", "etcd-peer")),
    Component("kube-apiserver", ("apiserver",), "/readyz"),
    Component("kube-controller-manager", ("kube-controller-manager",), "/healthz"),
    Component("kube-scheduler", ("kube-scheduler",), "/readyz"),
    Component("kwok"),
)


@dataclass(frozen=True)
class Launch:
    """A command line, and the configuration files it reads, with their text."""

    command: tuple[str, ...]
    files: Mapping[Path, str]

    @property
    def fingerprint(self) -> str:
        """Differs wherever a process started by one launch is not what another would start."""
        parts = (*self.command, *self.files.values())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class ControlPlane:
    """How to launch one cluster's components, from its paths, its ports and its binaries."""

    layout: Layout
    ports: Mapping[str, int]
    binaries: Path

    @property
    def server(self) -> str:
        """The address of the API server."""
        return f"https://{LOOPBACK}:{self.ports['apiserver']}"

    def launch(self, name: str) -> Launch:
        """How to launch the component called `name`; the keys must have been made."""
        flags, files = {
            "etcd": self._etcd,
            "kube-apiserver": self._apiserver,
            "kube-controller-manager": self._controller_manager,
            "kube-scheduler": self._scheduler,
            "kwok": self._kwok,
        }[name]()
        command = (str(self.binaries / name), *(f"--{key}={value}" for key, value in flags.items()))
        return Launch(command, files)

    def _etcd(self) -> _Flags:
        client, peer = (f"https://{LOOPBACK}:{self.ports[name]}" for name in ("etcd", "etcd-peer"))
        flags = {
            "name": "local",
            "data-dir": self.layout.etcd,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"local={peer}",
            "client-cert-auth": "true",
            "trusted-ca-file": self.layout.certificate("etcd-ca"),
            "cert-file": self.layout.certificate("etcd"),
            "key-file": self.layout.key("etcd"),
            "peer-client-cert-auth": "true",
            "peer-trusted-ca-file": self.layout.certificate("etcd-ca"),
            "peer-cert-file": self.layout.certificate("etcd"),
            "peer-key-file": self.layout.key("etcd"),
            # Every write is on the disk before it is answered: leaving that out makes rollouts a
            # tenth faster (measured), and a power cut would cost the cluster.
            "log-level": "warn",
        }
        return flags, {}

    def _apiserver(self) -> _Flags:
        flags = {
            "bind-address": LOOPBACK,
            "secure-port": self.ports["apiserver"],
            # Else the address of some outward interface, and no start on a machine without one.
            "advertise-address": LOOPBACK,
            # An Endpoints object may not hold a loopback address, and no container would use it.
            "endpoint-reconciler-type": "none",
            "etcd-servers": f"https://{LOOPBACK}:{self.ports['etcd']}",
            "etcd-cafile": self.layout.certificate("etcd-ca"),
            "etcd-certfile": self.layout.certificate("apiserver-etcd"),
            "etcd-keyfile": self.layout.key("apiserver-etcd"),
            "client-ca-file": self.layout.certificate("ca"),
            "tls-cert-file": self.layout.certificate("apiserver"),
            "tls-private-key-file": self.layout.key("apiserver"),
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": self.layout.pki / "service-account.pub",
            "service-account-signing-key-file": self.layout.key("service-account"),
            "service-cluster-ip-range": SERVICE_RANGE,
            # Nobody else on this machine gets in, not even to ask for its health.
            "anonymous-auth": "false",
            "authorization-mode": "RBAC",
            "allow-privileged": "true",
            "profiling": "false",
            "max-requests-inflight": 1200,
            "max-mutating-requests-inflight": 600,
        }
        return flags, {}

    def _controller_manager(self) -> _Flags:
        syncs = {f"concurrent-{name}-syncs": count for name, count in _CONCURRENT_SYNCS.items()}
        kubeconfig, files = self._kubeconfig("kube-controller-manager")
        flags = {
            **self._serving("kube-controller-manager"),
            "kubeconfig": kubeconfig,
            "leader-elect": "false",
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self.layout.key("service-account"),
            "root-ca-file": self.layout.certificate("ca"),
            "profiling": "false",
            "kube-api-qps": _QPS,
            "kube-api-burst": _BURST,
            # The autoscaler finds no metrics here and enforces its bounds only; that, soon.
            "horizontal-pod-autoscaler-sync-period": "5s",
            **syncs,
        }
        return flags, files

    def _scheduler(self) -> _Flags:
        kubeconfig, files = self._kubeconfig("kube-scheduler")
        configuration = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig), "qps": _QPS, "burst": _BURST},
            # The only one there is: it need not wait for its predecessor's lease to run out.
            "leaderElection": {"leaderElect": False},
            "enableProfiling": False,
            "enableContentionProfiling": False,
        }
        # A file, because the scheduler's flags for the same are deprecated.
        path = self.layout.run / "kube-scheduler.json"
        files[path] = json.dumps(configuration, indent=2) + "\n"
        return {**self._serving("kube-scheduler"), "config": path}, files

    def _kwok(self) -> _Flags:
        kubeconfig, files = self._kubeconfig("kwok")
        path = self.layout.run / "kwok.yaml"
        texts = (path.read_text(encoding="utf-8") for path in sorted(STAGES.glob("*.yaml")))
        files[path] = "---\n".join(texts)
        return {"kubeconfig": kubeconfig, "config": path, "v": "WARN"}, files

    def _kubeconfig(self, name: str) -> tuple[Path, dict[Path, str]]:
        path = self.layout.run / f"{name}.kubeconfig"
        return path, {path: build_kubeconfig(self.layout, name, self.server)}

    def _serving(self, name: str) -> dict[str, object]:
        # Without an authentication kubeconfig nothing but the health page is served to anyone.
        return {
            "bind-address": LOOPBACK,
            "secure-port": self.ports[name],
            "tls-cert-file": self.layout.certificate("loopback"),
            "tls-private-key-file": self.layout.key("loopback"),
        }
