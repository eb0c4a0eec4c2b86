"""Diagnostics: what is wrong in the user's files, with a code, a position and a message.

An error is a diagnostic that stops the command. A warning (MC9) is printed and stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from framework.core.suggestions import list_names

KeyPath = tuple[str | int, ...]
"""The path of a setting: keys of mappings are str, indexes of lists are int."""


class Code(StrEnum):
    """The code of each kind of diagnostic, for people who search and programs that filter.

    MC0 files and YAML, MC1 settings, MC2 merging, MC3 what cannot work, MC4 the whole environment
    and its policy, MC9 warnings. A code keeps its meaning: the code of a kind that no
    longer exists is not given to another kind.
    """

    def __new__(cls, value: str, meaning: str) -> Code:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    meaning: str

    UNREADABLE = "MC001", "a file or folder is missing or cannot be read"
    SYNTAX = "MC002", "the file is not valid YAML"
    DUPLICATE_KEY = "MC003", "a key is given twice in one mapping"
    AMBIGUOUS = "MC004", "a value that YAML parsers read differently, or that is not allowed"
    KEY_NOT_TEXT = "MC005", "a key that is not text"
    UNSUPPORTED_YAML = "MC006", "a tag, an anchor or a nesting depth that is not supported"
    FILE_NAME = "MC007", "a file or folder whose name or extension is not valid"
    UNKNOWN_MODEL = "MC031", "an overlay or a setting names a model that does not exist"
    UNKNOWN_PROFILE = "MC032", "a model lists a profile that does not exist, or lists it wrongly"
    MISPLACED_KEY = "MC033", "a key that is not allowed in this place"

    UNKNOWN_KEY = "MC101", "no setting has this name"
    MISSING_KEY = "MC102", "a required setting is missing"
    BAD_NAME = "MC103", "the name of a port, a volume or the like is not valid"
    BAD_VALUE = "MC104", "a value of the wrong type, form or range"
    INCONSISTENT = "MC105", "settings contradict each other"
    BAD_PATCH = "MC106", "a patch that cannot be applied, or changes what it must not change"
    BAD_OBJECT = "MC107", "an object that the API server would refuse, or that is not allowed"

    SHAPE_CONFLICT = "MC201", "layers give one key different shapes"
    BAD_INTERPOLATION = "MC202", "an interpolation that is incomplete or not allowed"
    MISSING_REFERENCE = "MC203", "an interpolation refers to a key that has no value"
    CIRCULAR_REFERENCE = "MC204", "interpolations refer to each other in a circle"

    BUDGET = "MC301", "a rolling-update budget that cannot work"
    SURGE_CAPACITY = "MC302", "an update needs more of a resource than the environment has"
    CANARY = "MC303", "a canary that leaves no room for the stable track, or cannot be sized"
    SERVER_VERSION = "MC304", "a feature newer than the environment's oldest server"
    RESERVED_LABEL = "MC305", "a label that the framework sets itself"

    NAME_CLASH = "MC401", "two models, or two environments, use one name"
    ROUTE_CLASH = "MC402", "two models use one host and path"
    CAPACITY = "MC403", "all models together need more than the environment has"
    POLICY = "MC404", "a rule of the environment's policy is broken"
    WAIVER = "MC405", "a waiver that is wrong, has expired or has no effect"
    PROMOTION = "MC406", "promotesTo names an unknown environment, or leads back to its start"

    UNUSED_PROFILE = "MC901", "a profile that no model lists"
    DISABLED_OVERLAY = "MC902", "an overlay for a model that does not run there"
    SAME_VALUE = "MC903", "an override that equals what it overrides"
    SHELL_VARIABLE = "MC904", "an interpolation with the name of a shell variable of the same text"
    UNKNOWN_VARIABLE = "MC905", "a $(VARIABLE) that the container does not have"

    @property
    def is_warning(self) -> bool:
        """True for the codes that are printed and stop nothing."""
        return self.value.startswith("MC9")


class Position(NamedTuple):
    """The position of a key or value in a file.

    `line` and `column` count from 1. Both are 0 if the position is the whole file.
    """

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path

    @property
    def short(self) -> str:
        """`file:line`, for reports that give one line to each setting."""
        return f"{self.path}:{self.line}" if self.line else self.path

    def diagnostic(self, code: Code, message: str, model: str = "") -> Diagnostic:
        """Returns a diagnostic at this position."""
        return Diagnostic(self.path, self.line, self.column, code, message, model)


@dataclass(frozen=True, order=True)
class Diagnostic:
    """One error or warning about one file.

    `line` and `column` count from 1. Both are 0 if the diagnostic is about the whole file. `model`
    is the model in which it was found, "" if it does not depend on a model. If `redacted` is True,
    the lines of the file may contain a secret and are not printed.
    """

    path: str
    line: int
    column: int
    code: Code
    message: str
    model: str = ""
    redacted: bool = False

    @property
    def position(self) -> str:
        """`file:line:column`, or the file alone."""
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


class SettingDiagnostic(NamedTuple):
    """A diagnostic about one setting, before its position in a file is known.

    `path` is the setting, relative to the mapping that was checked. `message` is printed after its
    name: "is 5; expected at most 3". `others` are the settings that it contradicts; the final
    message contains their positions. `at_key` is True if the key is wrong, not its value.
    """

    path: KeyPath
    message: str
    code: Code = Code.INCONSISTENT
    others: tuple[KeyPath, ...] = ()
    at_key: bool = False


def list_positions(settings: Mapping[str, Position], at: Position) -> str:
    """Returns the positions of the settings that a message at `at` names: ` (a at file:line)`.

    Returns "" if all are on the line of `at`, which is shown with the message.
    """
    others = {name: position.short for name, position in settings.items()}
    if set(others.values()) <= {at.short}:
        return ""
    return f" ({', '.join(f'{name} at {where}' for name, where in others.items())})"


@dataclass(frozen=True, order=True)
class DiagnosticGroup:
    """One diagnostic and all models in which it was found, none if it depends on no model."""

    diagnostic: Diagnostic
    models: tuple[str, ...]

    @property
    def other_models(self) -> tuple[str, ...]:
        """The models without the one that the path names already: `catalog/churn.yaml`."""
        folder, _, file = self.diagnostic.path.rpartition("/")
        if folder != "catalog" and not folder.endswith("/models"):
            return self.models
        return tuple(model for model in self.models if file != f"{model}.yaml")

    def __str__(self) -> str:
        models = f" (in {list_names(self.other_models)})" if self.other_models else ""
        diagnostic = self.diagnostic
        return f"{diagnostic.position}  {diagnostic.code}  {diagnostic.message}{models}"


def group_diagnostics(diagnostics: Iterable[Diagnostic]) -> list[DiagnosticGroup]:
    """Groups diagnostics that differ only in their model, sorted by file and line."""
    models: dict[Diagnostic, set[str]] = {}
    for diagnostic in diagnostics:
        models.setdefault(replace(diagnostic, model=""), set()).add(diagnostic.model)
    return sorted(
        DiagnosticGroup(diagnostic, tuple(sorted(names - {""})))
        for diagnostic, names in models.items()
    )


def distinct_diagnostics(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Returns the diagnostics sorted, without duplicates.

    If the same diagnostic was found with and without a model, only the one with the model is kept.
    """
    distinct = set(diagnostics)
    with_model = {replace(diagnostic, model="") for diagnostic in distinct if diagnostic.model}
    return tuple(sorted(d for d in distinct if d.model or d not in with_model))
