"""What every engine does.

Kept apart from the engines so that the command line drives either of them through one interface.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from framework.core.changes import Preview, Progress, Result
from framework.core.stack import Stack


@dataclass(frozen=True)
class NamedCluster:
    """The cluster that an environment names: the path of a kubeconfig, and a context in it."""

    kubeconfig: str
    context: str


@dataclass(frozen=True)
class Request:
    """Which stack an engine is asked to work on.

    `root` is the folder of Pulumi.yaml. `components` narrows to the components of these logical
    names and their children; None means the whole stack. `cluster` is what the stack's environment
    names now; None takes the cluster from the program and the state alone.
    """

    root: Path
    stack: Stack
    components: frozenset[str] | None = None
    cluster: NamedCluster | None = None


@dataclass(frozen=True)
class Recorded:
    """What is recorded of a stack: names of its components, number of its Kubernetes objects, and
    the inputs of its providers by URN."""

    components: frozenset[str]
    objects: int
    providers: Mapping[str, Mapping[str, Any]]


Confirm = Callable[[Preview], bool]
OnProgress = Callable[[Progress], None]


class Engine(Protocol):
    """One way to bring a stack to what its program says. Errors: EngineError, StateError,
    ClusterError; a rollout that fails is no error but a Failure of the Result."""

    name: str

    def preview(self, request: Request) -> Preview:
        """What `up` would change; writes nothing."""

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Preview, ask `confirm` (not when nothing changes), apply. None when `confirm` refused."""

    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Bring the recorded state to what the cluster has; the cluster is not written."""

    def drift(self, request: Request) -> Preview:
        """Live objects against recorded state: `old` is recorded, `new` is live. Writes nothing."""

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Delete everything of the stack, in reverse order; refused while anything is protected."""

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """The stack's recorded outputs; needs neither the program nor the cluster."""

    def recorded(self, request: Request) -> Recorded:
        """What is recorded; needs neither the program nor the cluster."""
