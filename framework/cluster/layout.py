"""The files of one local cluster, all below `<root>/.cluster/`, and its ports."""

from __future__ import annotations

import json
import random
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from framework.cluster.processes import Process, find_listener
from framework.core.atomic_files import write_atomically
from framework.core.errors import LocalClusterError

PORT_NAMES = ("apiserver", "etcd", "etcd-peer", "kube-controller-manager", "kube-scheduler")
LOOPBACK = "127.0.0.1"
# Must not overlap with the Pods' range in stages/kwok.yaml. The first address of the range belongs
# to the Service `kubernetes`.
SERVICE_RANGE, API_SERVICE_ADDRESS = "10.96.0.0/16", "10.96.0.1"
# Below the range that Linux uses for outgoing connections (32768 and up), which could otherwise
# occupy a chosen port while the cluster is stopped.
_CANDIDATES = range(20000, 32000)
_RELEASE_S = 3.0


@dataclass(frozen=True)
class Layout:
    """The paths below one cluster's directory."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, with the single context `local`."""
        return self.directory / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates, readable by the user only."""
        return self.directory / "pki"

    @property
    def etcd(self) -> Path:
        """The data of etcd: everything that is stored in the cluster."""
        return self.directory / "etcd"

    @property
    def run(self) -> Path:
        """Pid files and the components' configuration, written at every start."""
        return self.directory / "run"

    @property
    def logs(self) -> Path:
        """One log per component, and the log of its previous run."""
        return self.directory / "logs"

    @property
    def ports(self) -> Path:
        """The chosen ports, as JSON."""
        return self.directory / "ports.json"

    @property
    def lock(self) -> Path:
        """Held while the cluster is started or stopped."""
        return self.directory / "lock"

    def certificate(self, file: str) -> Path:
        """Returns the certificate of an identity or an authority."""
        return self.pki / f"{file}.crt"

    def key(self, file: str) -> Path:
        """Returns the private key of an identity, or of `service-account`."""
        return self.pki / f"{file}.key"

    def process(self, name: str) -> Process:
        """Returns the process of a component."""
        return Process(name, self.run / f"{name}.pid", self.logs / f"{name}.log")

    def create(self) -> None:
        """Creates the directories, readable by the user only."""
        for path in (self.directory, self.etcd, self.run, self.logs):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)


def ensure_ports(path: Path) -> dict[str, int]:
    """Returns the ports stored in `path`; chooses free ones and stores them the first time.

    Ports never change by themselves: Pulumi would take an API server with another address for
    another cluster, and replace every object in it.
    """
    stored = load_ports(path)
    if stored:
        return stored
    ports = dict(zip(PORT_NAMES, _choose(len(PORT_NAMES)), strict=True))
    write_private(path, json.dumps(ports, indent=2) + "\n")
    return ports


def load_ports(path: Path) -> dict[str, int]:
    """Returns the ports stored in `path`, an empty dictionary if it does not exist.

    Raises LocalClusterError if the file contains anything else.
    """
    try:
        ports = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        ports = None
    if not isinstance(ports, dict) or not all(type(ports.get(n)) is int for n in PORT_NAMES):
        raise LocalClusterError(
            f"{path}: does not contain the ports of the local cluster; expected a JSON object with "
            f"{', '.join(PORT_NAMES)}; delete the file, so that new ports are chosen"
        )
    return {name: ports[name] for name in PORT_NAMES}


def require_free(component: str, port: int, path: Path) -> None:
    """Raises LocalClusterError, which names the process, if a process keeps listening on `port`."""
    # The kernel closes the sockets of a killed component a moment after its command line is gone,
    # so the port of the process that is to be replaced may still be in use.
    until = time.monotonic() + _RELEASE_S
    while not (is_free := _is_free(port)) and time.monotonic() < until:
        time.sleep(0.05)
    if is_free:
        return
    raise LocalClusterError(
        f"local cluster: {component} cannot listen on {LOOPBACK}:{port}, used by "
        f"{find_listener(port) or 'a process of another user'}; stop that process and run "
        f"`make cluster-up` again, or delete {path}, so that other ports are chosen: stacks "
        "deployed here will then see a new address"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        # As the components do: a connection that was just closed does not occupy the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            sock.bind((LOOPBACK, port))
            return True
    return False


def write_private(path: Path, text: str) -> None:
    """Writes a file that only the user can read; leaves a file with the same text unchanged."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        path.chmod(0o600)
        return
    write_atomically(path, text.encode(), 0o600)


def _choose(count: int) -> list[int]:
    # Random, so that the clusters of two checkouts rarely compete for the same ports. No other
    # output depends on the choice.
    generator = random.SystemRandom()
    chosen: list[int] = []
    with ExitStack() as held:
        for port in generator.sample(_CANDIDATES, 500):
            if len(chosen) == count:
                return chosen
            sock = held.enter_context(socket.socket())
            with suppress(OSError):
                sock.bind((LOOPBACK, port))
                chosen.append(port)
    raise LocalClusterError(
        f"local cluster: fewer than {count} free ports between {_CANDIDATES.start} and "
        f"{_CANDIDATES.stop}; stop the processes that use them and start again"
    )
