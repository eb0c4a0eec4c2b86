"""Texts of a given form: names, keys and paths that the API server, or a registry, would refuse.

Kept apart from the scalars of base.py because every one is a pattern, a length and a sentence; one
class turns them into a validator and into JSON Schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIXED = rf"({_SUBDOMAIN}/)?{_QUALIFIED}"
# The grammar of distribution/reference, as container runtimes read it.
_COMPONENT = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY = r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]+)?"
_REPOSITORY = f"({_REGISTRY}/)?{_COMPONENT}(/{_COMPONENT})*"
_TAG = "[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"
_DIGEST = "sha256:[0-9a-f]{64}"


@dataclass(frozen=True)
class Form:
    """Makes a text setting one of this form; `expected` ends the fault's sentence."""

    pattern: str
    expected: str
    longest: int = 0

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        matches = re.compile(self.pattern).fullmatch

        def check(value: str) -> str:
            if not matches(value) or 0 < self.longest < len(value):
                raise ValueError(f"expected {self.expected}")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        longest = {"maxLength": self.longest} if self.longest else {}
        told = {"patternErrorMessage": f"expected {self.expected}"}
        return {**handler(schema), "pattern": f"^({self.pattern})$", **told, **longest}


# Said by validators, and by editors of what a pattern refuses.
_NO_CIDR = 'expected a range of addresses such as "10.0.0.0/8"'
_NO_ADDRESS = 'expected an IP address such as "10.0.0.7"'
_NO_DATE = 'expected a date such as "2026-12-31", quoted'
_NO_FILE_MODE = 'expected a file mode in octal digits such as "0440", quoted'
_ADDRESS = "[0-9A-Fa-f.:]*[.:][0-9A-Fa-f.:]*"


def _text_of(pattern: str, message: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "patternErrorMessage": message}


def _check_cidr(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError(_NO_CIDR) from None
    return value


def _check_address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError(_NO_ADDRESS) from None
    return value


def _check_date(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError(_NO_DATE) from None
    return value


def _read_file_mode(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    if isinstance(value, str) and re.fullmatch("0?[0-7]{3}", value):
        return int(value, 8)
    raise ValueError(_NO_FILE_MODE)


LabelKey = Annotated[
    str,
    Form(
        _PREFIXED,
        "a label's key: at most 63 letters, digits, '-', '_' and '.', a letter or digit at both "
        "ends, and before it perhaps a DNS name and '/'",
        317,
    ),
]
LabelValue = Annotated[
    str,
    Form(
        f"({_QUALIFIED})?",
        "at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends",
    ),
]
AnnotationKey = Annotated[
    str,
    Form(
        _PREFIXED,
        "an annotation's key: at most 63 letters, digits, '-', '_' and '.', a letter or digit at "
        "both ends, and before it perhaps a DNS name and '/'",
        317,
    ),
]
Owner = Annotated[
    str,
    Form(
        _QUALIFIED,
        "a team: at most 63 letters, digits, '-', '_' and '.', for it becomes a label",
    ),
]
EnvName = Annotated[
    str,
    Form(
        "[-._A-Za-z][-._A-Za-z0-9]*",
        "a variable's name: letters, digits, '_', '-' and '.', no digit first",
    ),
]
EnvPrefix = Annotated[
    str,
    Form("([-._A-Za-z][-._A-Za-z0-9]*)?", "letters, digits, '_', '-' and '.', no digit first"),
]
# Of containers and volumes; unlike a Service's, these may begin with a digit.
ShortName = Annotated[
    str,
    Form(
        _LABEL,
        "lower-case letters, digits and '-', none of it at an end, at most 63 characters",
        63,
    ),
]
ObjectName = Annotated[
    str,
    Form(_SUBDOMAIN, "an object's name: lower-case letters, digits, '-' and '.', at most 253", 253),
]
HostName = Annotated[
    str,
    Form(
        rf"(\*\.)?{_SUBDOMAIN}",
        "a DNS name such as \"chat.example.com\": lower-case letters, digits, '-' and '.'",
        253,
    ),
]
ConfigKey = Annotated[
    str,
    Form(
        r"(?!\.\.?$)[-._a-zA-Z0-9]+", "a key: letters, digits, '-', '_' and '.', at most 253", 253
    ),
]
HeaderName = Annotated[str, Form("[-A-Za-z0-9]+", "an HTTP header's name: letters, digits and '-'")]
Repository = Annotated[
    str,
    Form(
        _REPOSITORY,
        "a repository without tag or digest, in lower case, such as docker.io/seldonio/mlserver",
        255,
    ),
]
Tag = Annotated[
    str, Form(_TAG, "a tag: letters, digits, '_', '-' and '.', at most 128, '-' and '.' not first")
]
Digest = Annotated[str, Form(_DIGEST, '"sha256:" and 64 hex digits in lower case')]
ImageReference = Annotated[
    str,
    Form(
        f"{_REPOSITORY}(:{_TAG}(@{_DIGEST})?|@{_DIGEST})",
        "an image with tag or digest, such as docker.io/amazon/aws-cli:2.17.0",
    ),
]
AbsolutePath = Annotated[
    str, Form("/[^:]*", "an absolute path, beginning with '/' and without ':'")
]
UrlPath = Annotated[str, Form("/.*", "a path that begins with '/'")]
RelativePath = Annotated[
    str,
    Form(r"(?!/|\.\.(/|$))(?!.*/\.\.(/|$)).*", "a path below the volume: no '/' first and no '..'"),
]
_RESOURCE = f"cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMGT]i|{_SUBDOMAIN}/{_QUALIFIED}"
CapacityName = Annotated[
    str,
    Form(f"pods|{_RESOURCE}", "pods, cpu, memory, ephemeral-storage, or one like nvidia.com/gpu"),
]
ResourceName = Annotated[
    str,
    Form(
        _RESOURCE,
        "cpu, memory, ephemeral-storage, hugepages-<size>, or a device such as nvidia.com/gpu",
    ),
]
FieldPath = Annotated[
    str,
    Form(
        r"metadata\.(name|namespace|uid|(labels|annotations)\['[^']+'\])"
        r"|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?)",
        "metadata.name, .namespace, .uid, .labels['x'] or .annotations['x'], spec.nodeName or "
        ".serviceAccountName, status.podIP, .podIPs, .hostIP or .hostIPs",
    ),
]
ResourceField = Annotated[
    str,
    Form(
        r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMGT]i)",
        "limits or requests, '.', and cpu, memory, ephemeral-storage or hugepages-<size>",
    ),
]
Cidr = Annotated[
    str,
    AfterValidator(_check_cidr),
    WithJsonSchema(_text_of(rf"^{_ADDRESS}(/[0-9.]+)?$", _NO_CIDR)),
]
IpAddress = Annotated[
    str,
    AfterValidator(_check_address),
    WithJsonSchema(_text_of(f"^{_ADDRESS}(%.+)?$", _NO_ADDRESS)),
]
IsoDate = Annotated[
    str,
    AfterValidator(_check_date),
    WithJsonSchema(_text_of(r"^\d{4}-\d{2}-\d{2}$", _NO_DATE)),
]
FileMode = Annotated[
    int,
    BeforeValidator(_read_file_mode),
    WithJsonSchema(
        {
            **_text_of("^0?[0-7]{3}$", _NO_FILE_MODE),
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": 0o777,
            "format": "file-mode",
        }
    ),
]
