"""The errors a user can meet, as one tree.

    FrameworkError            any fault; exit code 1
    ├── UsageError            the command line is wrong; exit code 2
    ├── ConfigError           one or more faults in the YAML files, each with its place
    ├── EditError             one or more values that cannot be changed in place
    ├── ClusterError          a cluster cannot be reached, or is not the one expected
    │   ├── LocalClusterError the local control plane cannot be built or started
    │   ├── OtherClusterError an environment names another cluster than its stack is on
    │   ├── ClusterMadeAgainError           the recorded cluster was made again
    │   └── RecordedClusterUnreachableError the recorded cluster cannot be compared
    ├── StateError            the stack's recorded state cannot be used
    │   └── StateFileError    one file of it is damaged, or cannot be read or written
    ├── EngineError           an engine cannot do what the program asks
    ├── ConsentError          what takes something away needs a yes that nobody gave
    └── ProtectedError        an environment is protected against what was asked

Kept apart so that every layer may raise one and only the command line catches them. A message says
where, what is wrong, what is allowed, and what to do next; classes compose it from typed fields,
and nothing below the command line prints, colours or exits.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from framework.core.diagnostics import Diagnostic, distinct_diagnostics, group_diagnostics
from framework.core.stack import Stack
from framework.core.suggestions import MOST_LISTED, list_names


class FrameworkError(Exception):
    """Any fault the user can mend; `str()` is the whole message."""

    exit_code = 1


class UsageError(FrameworkError):
    """The command line asks for something that does not exist or does not fit."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name given on the command line that nothing has; names the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = get_close_matches(name, self.known, n=3)
        if near and len(self.known) > MOST_LISTED:
            super().__init__(f'no {kind} is called "{name}"; did you mean {" or ".join(near)}?')
            return
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        listed = list_names(self.known) or "none"
        super().__init__(f'no {kind} is called "{name}"; {hint}known: {listed}')


class ConfigError(FrameworkError):
    """Every fault found in the YAML files in one run, sorted by file and line."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = distinct_diagnostics(diagnostics)
        super().__init__("\n".join(map(str, group_diagnostics(self.diagnostics))))


class EditError(FrameworkError):
    """What cannot be changed in the YAML files, each with where it stands; nothing was written."""

    def __init__(self, *refusals: tuple[object, str]) -> None:
        self.refusals = refusals
        super().__init__("\n".join(f"{where}: {message}" for where, message in refusals))


class ClusterError(FrameworkError):
    """A cluster cannot be reached, is not the one expected, or holds what is not ours."""


class LocalClusterError(ClusterError):
    """The local control plane cannot be built, started or stopped."""


class StateError(FrameworkError):
    """The stack's recorded state cannot be read, or is in another command's hands."""


class StateFileError(StateError):
    """A file of the recorded state is damaged, or cannot be read or written."""

    def __init__(self, path: object, problem: str, remedy: str = "") -> None:
        self.path, self.problem, self.remedy = path, problem, remedy
        super().__init__(f"{path}: {problem}" + (f"; {remedy}" if remedy else ""))


class EngineError(FrameworkError):
    """An engine cannot do what the program asks of it."""


class ConsentError(FrameworkError):
    """`count` of the changes take something away, and there is no terminal to ask at. `model` is
    what the command was narrowed to, as it was given; "" for nothing."""

    def __init__(self, verb: str, environment: str, count: int, model: str = "") -> None:
        self.verb, self.environment, self.count, self.model = verb, environment, count, model
        does = "delete or replace objects, or take them over"
        does = "rewrite the recorded state" if verb == "refresh" else does
        narrowed = f" MODEL={model}" if model else ""
        super().__init__(
            f"{environment}: {count} of these changes {does}; without a terminal that needs YES=1. "
            f"Nothing was changed; next: `make {verb} ENV={environment}{narrowed} YES=1`"
        )


class OtherClusterError(ClusterError):
    """The environment names another cluster than its stack is deployed on.

    `recorded` and `named` describe the clusters; `record` is the file that says which is recorded.
    """

    def __init__(self, stack: Stack, recorded: str, named: str, record: str = "") -> None:
        self.stack, self.recorded, self.named, self.record = stack, recorded, named, record
        gone = (
            f" If the recorded cluster is gone for good, remove {record}, then run "
            f"`make refresh ENV={stack.environment} YES=1`, which forgets what was deployed on it."
            if record
            else ""
        )
        super().__init__(
            f"stack {stack}: its environment names another cluster than the one it is deployed on; "
            "nothing was done.\n"
            f"recorded: {recorded}\n"
            f"named:    {named}\n"
            "Set `cluster` in environment.yaml back to the recorded cluster. To move the stack, "
            f"run `make destroy ENV={stack.environment}` there first, then change `cluster`.{gone}"
        )


class ClusterMadeAgainError(ClusterError):
    """The recorded cluster was made again: the same address, another kube-system UID."""

    def __init__(self, stack: Stack, recorded: str, named: str) -> None:
        self.stack, self.recorded, self.named = stack, recorded, named
        super().__init__(
            f"stack {stack}: the cluster was made again since the last deployment (its kube-system "
            "Namespace has another UID), so what is recorded is gone; nothing was done.\n"
            f"recorded: {recorded}\n"
            f"found:    {named}\n"
            f"next: `make refresh ENV={stack.environment} YES=1`, which forgets what is gone, then "
            f"`make up ENV={stack.environment}`"
        )


class RecordedClusterUnreachableError(ClusterError):
    """The environment names a cluster by other names, and the recorded one does not answer."""

    def __init__(self, stack: Stack, recorded: str, named: str, reason: str) -> None:
        self.stack, self.recorded, self.named, self.reason = stack, recorded, named, reason
        super().__init__(
            f"stack {stack}: its environment names another kubeconfig or context than the one it "
            "is deployed with, and whether both lead to the same cluster cannot be checked; "
            "nothing was done.\n"
            f"recorded: {recorded}: {reason}\n"
            f"named:    {named}\n"
            "Set `cluster` in environment.yaml back to the recorded names, or make the recorded "
            "cluster reachable, then run the same command again"
        )


class ProtectedError(FrameworkError):
    """The environment says `protect: true`, and destroy was asked for."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        super().__init__(
            f"environments/{environment}/environment.yaml: {environment} is protected, so destroy "
            "refuses; nothing was deleted. To delete it all the same, set protect: false there, "
            f"run `make up ENV={environment}`, then destroy"
        )
