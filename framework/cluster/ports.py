"""The local cluster's addresses: ports chosen once, kept in `ports.json`, checked before use.

Kept apart because the address of the API server must never move by itself: Pulumi would take the
moved cluster for another one and replace everything in it.
"""

from __future__ import annotations

import json
import random
import re
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from framework.core.errors import LocalClusterError

PORT_NAMES = ("apiserver", "etcd", "etcd-peer", "kube-controller-manager", "kube-scheduler")
LOOPBACK = "127.0.0.1"
# Apart from the Pods' range in stages/kwok.yaml; the first address is the Service `kubernetes`.
SERVICE_RANGE, API_SERVICE_ADDRESS = "10.96.0.0/16", "10.96.0.1"
# Below what Linux hands out to outgoing connections, which might else sit on a port of ours.
_CANDIDATES = range(20000, 32000)
_LISTEN = "0A"


def ensure_ports(path: Path) -> dict[str, int]:
    """The ports kept in `path`; free ones are chosen and kept where there are none yet."""
    kept = load_ports(path)
    if kept:
        return kept
    ports = dict(zip(PORT_NAMES, _choose(len(PORT_NAMES)), strict=True))
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(ports, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return ports


def load_ports(path: Path) -> dict[str, int]:
    """The ports kept in `path`, or none; LocalClusterError where the file holds anything else."""
    try:
        ports = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        ports = None
    if not isinstance(ports, dict) or not all(type(ports.get(n)) is int for n in PORT_NAMES):
        raise LocalClusterError(
            f"{path}: does not hold the ports of the local cluster; expected a JSON object with "
            f"{', '.join(PORT_NAMES)}; delete the file to have ports chosen anew"
        )
    return {name: ports[name] for name in PORT_NAMES}


def require_free(component: str, port: int, path: Path) -> None:
    """LocalClusterError that names who holds `port`, where anyone does."""
    if _is_free(port):
        return
    holder = find_listener(port)
    raise LocalClusterError(
        f"local cluster: {component} cannot listen on {LOOPBACK}:{port}, held by "
        f"{holder or 'a process that cannot be seen from here'}; end that process and run "
        f"`make cluster-up` again, or delete {path} to have other ports chosen: stacks deployed "
        "here will then see a new address"
    )


def find_listener(port: int) -> str:
    """`pid 123 (command)` of who listens on `port`; empty where /proc does not tell."""
    inodes = _listening_inodes(port)
    for folder in Path("/proc").glob("[0-9]*"):
        if inodes and inodes & _socket_inodes(folder):
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            return f"pid {folder.name} ({command.strip()[:120]})"
    return ""


def _choose(count: int) -> list[int]:
    # Nothing deterministic depends on them, and a random start keeps two checkouts apart.
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
        f"local cluster: no {count} free ports between {_CANDIDATES.start} and {_CANDIDATES.stop}; "
        "end what holds them and start again"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        # As the components do: a connection that has just ended must not count as a holder.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes


def _socket_inodes(folder: Path) -> set[str]:
    inodes: set[str] = set()
    # Other users' processes hide theirs, and a process may end while it is looked at.
    with suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with suppress(OSError):
                match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
                inodes.update(match.groups() if match else ())
    return inodes
