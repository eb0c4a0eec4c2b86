"""The base classes of all settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from framework.core.diagnostics import KeyPath, SettingDiagnostic


class Settings(BaseModel):
    """A frozen mapping of settings; keys are camelCase in YAML, unknown keys are errors.

    `replaces` has, for a key, the keys of earlier layers that it makes void when a later layer sets
    it: `tcpSocket` of a probe replaces an inherited `httpGet`. `forms` names all forms of a value
    of which this class is one, for the message about a key that it does not have.
    """

    replaces: ClassVar[Mapping[str, frozenset[str]]] = {}
    forms: ClassVar[str] = ""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # Without this, pydantic would read the text "2" as a number and 1 as true.
        strict=True,
        alias_generator=to_camel,
        # The validator of a class is built at its first use, and that takes longer than loading
        # the class. Most classes are only used inside Model, whose validator includes theirs. For
        # the same reason defaults are written `Probes.model_construct()`: `Probes()` would build
        # a validator at import.
        defer_build=True,
    )

    def __deepcopy__(self, memo: Mapping[int, object] | None = None) -> Self:
        """Returns the same settings: they never change.

        pydantic copies each default that has a mapping in it, for every model that uses it.
        """
        return self


class SettingDiagnosticsError(ValueError):
    """All diagnostics of one mapping. pydantic collects ValueErrors only, so it must be one."""

    def __init__(self, diagnostics: tuple[SettingDiagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))


class Checked(Settings):
    """Settings that may contradict each other, although each value is valid."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Yields a diagnostic for each contradiction."""
        raise NotImplementedError

    # pydantic calls this only if every single value is valid.
    @model_validator(mode="after")
    def _check_diagnostics(self) -> Self:
        if diagnostics := tuple(self.find_diagnostics()):
            raise SettingDiagnosticsError(diagnostics)
        return self


def one_of(*keys: str, options: tuple[str, ...] = ()) -> Mapping[str, frozenset[str]]:
    """Returns `replaces` for keys that exclude each other; `options` belong to one of them."""
    every = frozenset((*keys, *options))
    return {key: every - {key} for key in keys}


def find_not_one(
    settings: Settings, *names: str, path: KeyPath = ()
) -> Iterator[SettingDiagnostic]:
    """Yields an error unless exactly one of these fields is set; `path` leads to `settings`."""
    given = [to_camel(name) for name in names if getattr(settings, name) is not None]
    if len(given) != 1:
        *first, last = map(to_camel, names)
        message = f"has none of {', '.join(first)} and {last}; expected exactly one"
        if given:
            message = (
                f"has {' and '.join(given)}; expected exactly one; null removes an inherited one"
            )
        yield SettingDiagnostic(path, message, others=tuple((*path, name) for name in given))
