"""Where one checkout's local cluster keeps what: everything below `<root>/.cluster/`.

Kept apart so that each file's place is written once; the modules that fill the files get this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framework.cluster.processes import Process

FOLDER = ".cluster"
"""The cluster's directory below a project's root."""


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
        """Keys and certificates; nobody but the user may enter."""
        return self.directory / "pki"

    @property
    def etcd(self) -> Path:
        """etcd's data: the cluster itself."""
        return self.directory / "etcd"

    @property
    def run(self) -> Path:
        """Pid files and the components' own configuration, remade at every start."""
        return self.directory / "run"

    @property
    def logs(self) -> Path:
        """One log for each component, and the one of the start before."""
        return self.directory / "logs"

    @property
    def ports(self) -> Path:
        """The ports, chosen once."""
        return self.directory / "ports.json"

    @property
    def lock(self) -> Path:
        """Held while the cluster is started or stopped."""
        return self.directory / "lock"

    def certificate(self, file: str) -> Path:
        """The certificate of an identity or an authority of the PKI."""
        return self.pki / f"{file}.crt"

    def key(self, file: str) -> Path:
        """The private key of an identity of the PKI."""
        return self.pki / f"{file}.key"

    def process(self, name: str) -> Process:
        """The process of the component called `name`."""
        return Process(name, self.run / f"{name}.pid", self.logs / f"{name}.log")

    def create(self) -> None:
        """Make the directories, closed to everyone else."""
        for path in (self.directory, self.etcd, self.run, self.logs):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
