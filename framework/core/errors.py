"""The errors that users see. Only the command line turns them into messages and exit codes.

    FrameworkError            anything the user can fix; exit code 1
    ├── UsageError            the command line is wrong; exit code 2
    │   └── UnknownNameError  a name that does not exist: an environment, a model, a setting
    ├── ConfigError           the YAML files have errors; holds all diagnostics of a run
    ├── EditError             values in the YAML files cannot be changed in place
    ├── BuildError            a program of the local cluster, or of Pulumi, cannot be built
    ├── ClusterError          a cluster cannot be reached, or is not the expected one
    │   ├── LocalClusterError               the local control plane cannot be started
    │   ├── OtherClusterError               the environment names another cluster than its stack
    │   ├── ClusterRecreatedError           the cluster was recreated since the last deployment
    │   └── RecordedClusterUnreachableError the recorded cluster does not answer
    ├── StateError            the recorded state of a stack cannot be used, or is locked
    │   └── StateFileError    one of its files is damaged, or cannot be read or written
    ├── EngineError           an engine does not support what the program uses
    ├── PlanFileError         the file of PLAN= cannot be written, or is not the plan of this stack
    ├── PlanRefusedError      `up` would not do what the reviewed plan of PLAN= describes
    ├── ConsentError          changes need a confirmation, and no terminal is attached
    └── ProtectedError        `destroy` was called on a protected environment

A message names the place of the problem, what is wrong, what is allowed and what to do next. Each
class composes its message from typed fields. Nothing below the command line prints, colours or
exits.
"""

from __future__ import annotations

from collections.abc import Iterable

from framework.core.commands import make_command
from framework.core.diagnostics import Diagnostic, distinct_diagnostics, group_diagnostics
from framework.core.exit_codes import ExitCode
from framework.core.stack import Stack
from framework.core.suggestions import MAX_LISTED, list_names, near_misses


class FrameworkError(Exception):
    """An error that the user can fix; `str()` is the whole message."""

    exit_code = ExitCode.FAILED


class UsageError(FrameworkError):
    """The command line names something that does not exist, or combines options wrongly."""

    exit_code = ExitCode.USAGE


class UnknownNameError(UsageError):
    """A name on the command line that does not exist; the message suggests the nearest names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        # The order of a list has a meaning: environments are in the order of promotion.
        in_order = list(known) if isinstance(known, list | tuple) else sorted(known)
        self.kind, self.name, self.known = kind, name, in_order
        hint = " or ".join(near_misses(name, self.known, most=3))
        message = f'no {kind} is called "{name}"; ' + (f"did you mean {hint}? " if hint else "")
        if not hint or len(self.known) <= MAX_LISTED:
            message += f"known: {list_names(self.known) or 'none'}"
        super().__init__(message.rstrip())


class ConfigError(FrameworkError):
    """The errors in the YAML files, all of one run, sorted by file and line."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = distinct_diagnostics(diagnostics)
        super().__init__("\n".join(map(str, group_diagnostics(self.diagnostics))))


class EditError(FrameworkError):
    """Values that cannot be changed in the YAML files. Nothing was written.

    Each refusal is a position, or anything whose `str()` is one, and a message.
    """

    def __init__(self, *refusals: tuple[object, str]) -> None:
        self.refusals = refusals
        super().__init__("\n".join(f"{where}: {message}" for where, message in refusals))


class BuildError(FrameworkError):
    """A program of the local cluster, or of Pulumi, cannot be built from its pinned Go module."""


class ClusterError(FrameworkError):
    """A cluster cannot be reached, is not the expected one, or has objects of other owners."""


class LocalClusterError(ClusterError):
    """The local control plane cannot be started or stopped."""


class StateError(FrameworkError):
    """The recorded state of a stack cannot be read, or another command holds its lock."""


class StateFileError(StateError):
    """One file of the recorded state is damaged, or cannot be read or written."""

    def __init__(self, path: object, problem: str, remedy: str = "") -> None:
        self.path, self.problem, self.remedy = path, problem, remedy
        super().__init__(f"{path}: {problem}" + (f"; {remedy}" if remedy else ""))


class EngineError(FrameworkError):
    """An engine does not support what the program uses."""


class PlanFileError(FrameworkError):
    """The file of PLAN= cannot be written, or cannot be used for this stack as it is."""

    def __init__(self, path: object, problem: str, remedy: str) -> None:
        self.path, self.problem, self.remedy = path, problem, remedy
        super().__init__(f"{path}: {problem}; {remedy}")


class PlanRefusedError(FrameworkError):
    """`up` would no longer do what the reviewed plan at `path` describes.

    `report` names what has changed since, object by object. `model` is the MODEL option of the
    preview that wrote the plan; "" for the whole stack.
    """

    def __init__(self, path: object, environment: str, report: str, model: str = "") -> None:
        self.path, self.environment, self.report, self.model = path, environment, report, model
        preview = make_command("preview", environment, model)
        super().__init__(
            f"{path}: this plan is out of date, because something has changed since it was "
            f"written; nothing was applied.\n{report}\n"
            f"next: `{preview} PLAN={path}`, review it again, then "
            f"`make up ENV={environment} PLAN={path}`"
        )


class ConsentError(FrameworkError):
    """`count` changes need a confirmation, and no terminal is attached.

    `model` is the MODEL option as it was given; "" for none. `forced` is True beside FORCE=1.
    """

    def __init__(
        self, verb: str, environment: str, count: int, model: str = "", *, forced: bool = False
    ) -> None:
        self.verb, self.environment, self.count, self.model = verb, environment, count, model
        self.forced = forced
        effect = "delete or replace objects, or take them over"
        effect = "rewrite the recorded state" if verb == "refresh" else effect
        command = make_command(verb, environment, model) + (" FORCE=1" if forced else "")
        super().__init__(
            f"{environment}: {count} of these changes {effect}; this needs YES=1, because there is "
            f"no terminal to confirm it. Nothing was changed; next: `{command} YES=1`"
        )


class OtherClusterError(ClusterError):
    """The environment names another cluster than the one its stack is deployed on.

    `recorded` and `named` describe the two clusters; `record` is the file that holds the first.
    """

    def __init__(self, stack: Stack, recorded: str, named: str, record: str = "") -> None:
        self.stack, self.recorded, self.named, self.record = stack, recorded, named, record
        gone = (
            f" If the recorded cluster no longer exists, remove {record}, then run "
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


class ClusterRecreatedError(ClusterError):
    """The cluster was recreated: it has the same address, but another kube-system UID."""

    def __init__(self, stack: Stack, recorded: str, named: str) -> None:
        self.stack, self.recorded, self.named = stack, recorded, named
        super().__init__(
            f"stack {stack}: the cluster was recreated since the last deployment (its kube-system "
            "Namespace has another UID), so the recorded objects are gone; nothing was done.\n"
            f"recorded: {recorded}\n"
            f"found:    {named}\n"
            f"next: `make refresh ENV={stack.environment} YES=1`, which forgets them, then "
            f"`make up ENV={stack.environment}`"
        )


class RecordedClusterUnreachableError(ClusterError):
    """The environment names its cluster differently, and the recorded cluster does not answer."""

    def __init__(self, stack: Stack, recorded: str, named: str, reason: str) -> None:
        self.stack, self.recorded, self.named, self.reason = stack, recorded, named, reason
        super().__init__(
            f"stack {stack}: its environment names another kubeconfig or context than the one it "
            "is deployed with, and it is unknown whether both are the same cluster; "
            "nothing was done.\n"
            f"recorded: {recorded}: {reason}\n"
            f"named:    {named}\n"
            "Set `cluster` in environment.yaml back to the recorded names, or make the recorded "
            "cluster reachable, then run the same command again"
        )


class ProtectedError(FrameworkError):
    """`destroy` was called on an environment with `protect: true`."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        super().__init__(
            f"environments/{environment}/environment.yaml: {environment} is protected "
            "(`protect: true`), so nothing was deleted. To delete it anyway, set protect: false "
            f"there, run `make up ENV={environment}`, then `make destroy ENV={environment}`"
        )
