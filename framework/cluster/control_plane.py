"""The components of the control plane: their order, flags, configuration files and kubeconfigs.

A comment explains each flag that differs from its upstream default. Nothing is started here.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.cluster.layout import LOOPBACK, SERVICE_RANGE, Layout

CONTEXT = "local"
STAGES = Path(__file__).with_name("stages")
# The default client-side limit of 20 requests per second makes a rollout of a hundred models slow.
# The API server's own priority and fairness still protects it.
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

# The flags of a component, and its configuration files by path.
_Flags = tuple[dict[str, object], dict[Path, str]]


@dataclass(frozen=True)
class Component:
    """One process of the control plane; a GET of the path `health` yields 200 when it is ready."""

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
    """The command line of a component, and the configuration files that it reads, by path."""

    command: tuple[str, ...]
    files: Mapping[Path, str]

    @property
    def fingerprint(self) -> str:
        """A digest of the command line and the files. If it changes, the component is restarted."""
        parts = (*self.command, *self.files.values())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class ControlPlane:
    """Builds the launches of one cluster's components from its paths, ports and binaries."""

    layout: Layout
    ports: Mapping[str, int]
    binaries: Path

    @property
    def server(self) -> str:
        """The address of the API server."""
        return f"https://{LOOPBACK}:{self.ports['apiserver']}"

    def launch(self, name: str) -> Launch:
        """Returns the launch of a component. Its certificates must exist: it may embed them."""
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
            # Not `unsafe-no-fsync`: it makes rollouts 10 % faster (measured), but a power cut
            # would destroy the cluster's data.
            "log-level": "warn",
        }
        return flags, {}

    def _apiserver(self) -> _Flags:
        flags = {
            "bind-address": LOOPBACK,
            "secure-port": self.ports["apiserver"],
            # The default is the address of an outward interface, and the API server does not
            # start on a machine that has none.
            "advertise-address": LOOPBACK,
            # The API server would publish its address in the Endpoints of the Service
            # `kubernetes`, but loopback addresses are not allowed there. No container runs that
            # would use this Service.
            "endpoint-reconciler-type": "none",
            "etcd-servers": f"https://{LOOPBACK}:{self.ports['etcd']}",
            "etcd-cafile": self.layout.certificate("etcd-ca"),
            "etcd-certfile": self.layout.certificate("apiserver-etcd"),
            "etcd-keyfile": self.layout.key("apiserver-etcd"),
            "client-ca-file": self.layout.certificate("ca"),
            "tls-cert-file": self.layout.certificate("apiserver"),
            "tls-private-key-file": self.layout.key("apiserver"),
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            # The server derives the public key, with which it verifies tokens, from this one.
            "service-account-key-file": self.layout.key("service-account"),
            "service-account-signing-key-file": self.layout.key("service-account"),
            "service-cluster-ip-range": SERVICE_RANGE,
            # Other users of this machine get no access, not even to the health endpoints.
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
            # Without metrics the autoscaler only enforces its minimum and maximum. The default
            # of 15 s would make people wait for that.
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
            # There is only one scheduler. With leader election, a restarted one would wait until
            # the lease of its predecessor expires.
            "leaderElection": {"leaderElect": False},
            "enableProfiling": False,
            "enableContentionProfiling": False,
        }
        # A file, because the corresponding flags of the scheduler are deprecated.
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
        # Without `--authentication-kubeconfig` these servers answer health requests only.
        return {
            "bind-address": LOOPBACK,
            "secure-port": self.ports[name],
            "tls-cert-file": self.layout.certificate("loopback"),
            "tls-private-key-file": self.layout.key("loopback"),
        }


def build_kubeconfig(layout: Layout, file: str, server: str) -> str:
    """Returns the kubeconfig of an identity, as JSON, which is valid YAML.

    The keys are embedded: some clients do not resolve relative paths against the file, and absolute
    paths would break when the checkout is moved.
    """
    user = {
        "client-certificate-data": _encode(layout.certificate(file)),
        "client-key-data": _encode(layout.key(file)),
    }
    cluster = {
        "server": server,
        "certificate-authority-data": _encode(layout.certificate("ca")),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
    }
    return json.dumps(config, indent=2) + "\n"


def _encode(path: Path) -> str:
    return b64encode(path.read_bytes()).decode("ascii")
