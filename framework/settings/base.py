"""The base of every settings class, and the scalar types that YAML people write in several ways.

Kept apart so that the camelCase of YAML and the snake_case of Python meet in one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from framework.core.diagnostics import SettingDiagnostic


class Settings(BaseModel):
    """A frozen mapping of settings; keys are camelCase in YAML, unknown keys are faults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        # A class's validator is built when it is first used, and few are used by themselves: so
        # defaults are constructed, since `Probes()` would build one.
        defer_build=True,
    )


class SettingDiagnosticsError(ValueError):
    """Every flaw of one mapping; a ValueError, for pydantic to carry."""

    def __init__(self, diagnostics: tuple[SettingDiagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))


class Checked(Settings):
    """Settings that can contradict each other, each sound by itself."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Every contradiction."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _check_diagnostics(self) -> Self:
        if diagnostics := tuple(self.find_diagnostics()):
            raise SettingDiagnosticsError(diagnostics)
        return self


_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_PERCENTAGE = re.compile(r"\d{1,3}%")
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
# Said by validators, and by editors of what a pattern refuses.
_NO_QUANTITY = 'expected a Kubernetes quantity such as "500m", 2 or "4Gi" (quote a fraction)'
_NO_INT_OR_PERCENT = 'expected a whole number or a percentage such as "25%"'
_NO_ENV_TEXT = 'expected text; quote it, as in "true" or "1.10"'
_NO_DNS_LABEL = "expected lower-case letters, digits and '-', at most 63 characters"
_NO_PORT_NAME = "expected a port name: lower-case letters, digits, '-', at most 15 characters"


def _check_quantity(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        raise ValueError(_NO_QUANTITY)
    return text


def _check_int_or_percent(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not whole and not (isinstance(value, str) and _PERCENTAGE.fullmatch(value)):
        raise ValueError(_NO_INT_OR_PERCENT)
    return value


def _check_env_text(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError(_NO_ENV_TEXT)
    return str(value) if isinstance(value, int) else value


def _check_dns_label(value: str) -> str:
    if not _DNS_LABEL.fullmatch(value):
        raise ValueError(_NO_DNS_LABEL)
    return value


def _check_port_name(value: str) -> str:
    if not _PORT_NAME.fullmatch(value):
        raise ValueError(_NO_PORT_NAME)
    return value


# `format` names the kind in schemas and in the reference; what a validator in Python decides cannot
# be derived, so a test holds each of these schemas to its validator.
Quantity = Annotated[
    str,
    BeforeValidator(_check_quantity),
    WithJsonSchema(
        {
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": f"^{_QUANTITY.pattern}$",
            "patternErrorMessage": _NO_QUANTITY,
            "format": "quantity",
        }
    ),
]
IntOrPercent = Annotated[
    int | str,
    BeforeValidator(_check_int_or_percent),
    WithJsonSchema(
        {
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": f"^{_PERCENTAGE.pattern}$",
            "patternErrorMessage": _NO_INT_OR_PERCENT,
            "format": "int-or-percent",
        }
    ),
]
EnvText = Annotated[
    str,
    BeforeValidator(_check_env_text),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "patternErrorMessage": _NO_ENV_TEXT,
            "format": "env-text",
        }
    ),
]
DnsLabel = Annotated[
    str,
    AfterValidator(_check_dns_label),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_DNS_LABEL.pattern}$",
            "patternErrorMessage": _NO_DNS_LABEL,
        }
    ),
]
PortName = Annotated[
    str,
    AfterValidator(_check_port_name),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_PORT_NAME.pattern}$",
            "patternErrorMessage": _NO_PORT_NAME,
            "format": "port-name",
        }
    ),
]
PortNumber = Annotated[int, Field(ge=1, le=65535, json_schema_extra={"format": "port-number"})]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
# Strict mode refuses a list for a tuple; the items stay strict.
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Mappings = Annotated[tuple[dict[str, Any], ...], Field(strict=False)]
