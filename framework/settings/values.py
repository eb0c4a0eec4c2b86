"""The types of single values: names, paths, quantities and other texts of a certain form.

Each type has a validator, and a JSON Schema with the same rule for editors as far as a pattern can;
a test compares the two. The rules are those of the Kubernetes API server, and of image registries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

INT32_MAX = 2**31 - 1
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
    """Restricts text to a pattern; `expected` completes the message "expected ...".

    `longest` is the largest number of characters, 0 for no limit. `parse` raises ValueError for
    texts that the pattern allows but that are not valid. `format` names the type in the schemas and
    in the reference.
    """

    pattern: str
    expected: str
    longest: int = 0
    parse: Callable[[str], object] | None = None
    format: str = ""

    @cached_property
    def _matches(self) -> Callable[[str], object]:
        return re.compile(self.pattern).fullmatch

    def accepts(self, value: str) -> bool:
        """Returns True for a text of this form."""
        if not self._matches(value) or 0 < self.longest < len(value):
            return False
        try:
            if self.parse:
                self.parse(value)
        except ValueError:
            return False
        return True

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(value: str) -> str:
            if not self.accepts(value):
                raise ValueError(f"expected {self.expected}")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        written = {
            "pattern": f"^({self.pattern})$",
            "patternErrorMessage": f"expected {self.expected}",
            "maxLength": self.longest,
            "format": self.format,
        }
        return {**handler(schema), **{key: value for key, value in written.items() if value}}


@dataclass(frozen=True)
class Definition:
    """Marks a mapping that is written as a definition of the Kubernetes API, such as "Affinity".

    pydantic accepts any mapping here. framework.plan.raw_settings checks its fields, which come
    from lightkube-models: loading these takes longer than reading most catalogs.
    """

    name: str


# Both validators and editors show these texts.
_EXPECTED_QUANTITY = 'expected a Kubernetes quantity such as "500m", 2 or "4Gi" (quote a fraction)'
_EXPECTED_INT_OR_PERCENT = 'expected a whole number or a percentage such as "25%"'
_EXPECTED_PART = 'expected a whole number or a percentage up to "100%"'
EXPECTED_ENV_TEXT = 'expected text; quote it, as in "true" or "1.10"'
_EXPECTED_VARIABLE = 'expected text, a whole number, true or false; quote it, as in "1.10"'
_EXPECTED_FILE_MODE = 'expected a file mode in octal digits such as "0440", quoted'
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_PERCENTAGE = re.compile(r"\d{1,3}%")
_PART = re.compile(r"0*(\d{1,2}|100)%")


def _check_quantity(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        raise ValueError(_EXPECTED_QUANTITY)
    return text


def _check_int_or_percent(value: Any) -> Any:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT32_MAX
    if not is_count and not (isinstance(value, str) and _PERCENTAGE.fullmatch(value)):
        raise ValueError(_EXPECTED_INT_OR_PERCENT)
    return value


def _check_part_of_pods(value: Any) -> Any:
    if isinstance(_check_int_or_percent(value), str) and int(value[:-1]) > 100:
        raise ValueError(_EXPECTED_PART)
    return value


def _check_env_text(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError(EXPECTED_ENV_TEXT)
    return str(value) if isinstance(value, int) else value


def _check_variable(value: Any) -> Any:
    if not isinstance(value, str | int):
        raise ValueError(_EXPECTED_VARIABLE)
    return value


def _parse_address(value: str) -> None:
    """Refuses text that is not a valid address, and two forms that Kubernetes does not accept.

    These are addresses with a zone (`fe80::1%eth0`) and IPv4 in IPv6 (`::ffff:10.0.0.7`).
    """
    address = ip_address(value)
    if "%" in value or (isinstance(address, IPv6Address) and address.ipv4_mapped):
        raise ValueError


def _parse_range(value: str) -> None:
    """Refuses what is not a range; its address must be one that Kubernetes accepts."""
    ip_network(value, strict=False)
    _parse_address(value.partition("/")[0])


def _read_file_mode(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    if isinstance(value, str) and re.fullmatch("0?[0-7]{3}", value):
        return int(value, 8)
    raise ValueError(_EXPECTED_FILE_MODE)


def _int_or_percent(pattern: re.Pattern[str], expected: str) -> dict[str, Any]:
    """Returns the JSON Schema of a number, or of a text with this pattern."""
    return {
        "type": ["integer", "string"],
        "minimum": 0,
        "maximum": INT32_MAX,
        "pattern": f"^{pattern.pattern}$",
        "patternErrorMessage": expected,
        "format": "int-or-percent",
    }


_WITHOUT_NUL = Form("[^\0]*", "text without the character NUL")
# pydantic cannot derive a JSON Schema from a validator in Python, so each of these types has both.
Quantity = Annotated[
    str,
    BeforeValidator(_check_quantity),
    WithJsonSchema(
        {
            "type": ["integer", "string"],
            "minimum": 0,
            "pattern": f"^{_QUANTITY.pattern}$",
            "patternErrorMessage": _EXPECTED_QUANTITY,
            "format": "quantity",
        }
    ),
]
IntOrPercent = Annotated[
    int | str,
    BeforeValidator(_check_int_or_percent),
    WithJsonSchema(_int_or_percent(_PERCENTAGE, _EXPECTED_INT_OR_PERCENT)),
]
PartOfPods = Annotated[
    int | str,
    BeforeValidator(_check_part_of_pods),
    WithJsonSchema(_int_or_percent(_PART, _EXPECTED_PART)),
]
EnvText = Annotated[
    str,
    BeforeValidator(_check_env_text),
    _WITHOUT_NUL,
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "patternErrorMessage": EXPECTED_ENV_TEXT,
            "format": "env-text",
        }
    ),
]
# Interpolations reach no other names: `${variables.a.b}` would be the key b below a.
VariableName = Annotated[
    str, Form("[A-Za-z_][-A-Za-z0-9_]*", "a letter or '_', then letters, digits, '-' and '_'")
]
# Not a fraction, because YAML reads the version 1.10 as 1.1.
Variable = Annotated[
    str | int | bool,
    BeforeValidator(_check_variable),
    WithJsonSchema({"type": ["string", "integer", "boolean"], "format": "variable"}),
]
DnsLabel = Annotated[
    str,
    Form(
        "[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
        "lower-case letters, digits and '-', at most 63 characters",
    ),
]
PortName = Annotated[
    str,
    Form(
        "(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?",
        "a port name: lower-case letters, digits, '-', at most 15 characters",
        format="port-name",
    ),
]
PortNumber = Annotated[int, Field(ge=1, le=65535, json_schema_extra={"format": "port-number"})]
# Most numbers of the API are 32 bits wide. A larger one is refused, or wraps around in an apply.
Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
Positive = Annotated[int, Field(ge=1, le=INT32_MAX)]
# Strict mode refuses a list for a tuple; the items stay strict.
Texts = Annotated[tuple[Annotated[str, _WITHOUT_NUL], ...], Field(strict=False)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
_KEY = (
    "at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends, optionally "
    "after a DNS name and '/'"
)
LabelKey = Annotated[str, Form(_PREFIXED, f"a label's key: {_KEY}", 317)]
AnnotationKey = Annotated[str, Form(_PREFIXED, f"an annotation's key: {_KEY}", 317)]
LabelValue = Annotated[
    str,
    Form(
        f"({_QUALIFIED})?",
        "at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends",
    ),
]
Owner = Annotated[
    str,
    Form(
        _QUALIFIED,
        "a team: at most 63 letters, digits, '-', '_' and '.', because it becomes a label",
    ),
]
# Servers from 1.34 on take every printable character but '='; older ones and most shells do not.
EnvName = Annotated[
    str,
    Form(
        "[-._A-Za-z][-._A-Za-z0-9]*",
        "a variable's name: letters, digits, '_', '-' and '.', not starting with a digit",
    ),
]
EnvPrefix = Annotated[
    str,
    Form(
        "([-._A-Za-z][-._A-Za-z0-9]*)?",
        "letters, digits, '_', '-' and '.', not starting with a digit",
    ),
]
# For containers and volumes; unlike the name of a Service, these may begin with a digit.
ShortName = Annotated[
    str,
    Form(
        _LABEL,
        "lower-case letters, digits and '-', not starting or ending with '-', at most 63",
        63,
    ),
]
ObjectName = Annotated[
    str,
    Form(_SUBDOMAIN, "an object's name: lower-case letters, digits, '-' and '.', at most 253", 253),
]
_DNS_NAME = "a DNS name such as \"chat.example.com\": lower-case letters, digits, '-' and '.'"
HostName = Annotated[str, Form(rf"(?!\d+\.\d+\.\d+\.\d+$)(\*\.)?{_SUBDOMAIN}", _DNS_NAME, 253)]
DnsName = Annotated[str, Form(_SUBDOMAIN, _DNS_NAME, 253)]
ConfigKey = Annotated[
    str,
    Form(
        r"(?!\.$|\.\.)[-._a-zA-Z0-9]+",
        "a key: letters, digits, '-', '_' and '.', at most 253, not starting with '..'",
        253,
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
ImageTag = Annotated[
    str,
    Form(
        _TAG, "a tag: letters, digits, '_', '-' and '.', at most 128, not starting with '-' or '.'"
    ),
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
    str, Form("/[^:\0]*", "an absolute path, beginning with '/' and without ':'")
]
NodePath = Annotated[
    str,
    Form(
        r"/(?!(.*/)?\.\.(/|$))[^\0]*",
        "an absolute path on the node, beginning with '/' and without '..'",
    ),
]
UrlPath = Annotated[str, Form("/.*", "a path that begins with '/'")]
RelativePath = Annotated[
    str,
    Form(
        r"(?!/|\.\.(/|$))(?!.*/\.\.(/|$))[^\0]*",
        "a path below the volume, without '/' at the start and without '..'",
    ),
]
FilePath = Annotated[
    str,
    Form(
        r"(?!/|\.\.(/|$))(?!.*/\.\.(/|$))(?!\.\.)[^\0]+",
        "the path of a file below the volume, without '/' or '..' at the start and without '..'",
    ),
]
# A ResourceQuota names a device `requests.<device>`. So the server refuses a device that begins
# with `requests.`, or whose name with this prefix is longer than the key of a label.
_DEVICE = r"(.*kubernetes\.io/|(?!requests\.)[^/]{1,244}/)"
_RESOURCE = (
    f"cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMGT]i|(?={_DEVICE}){_SUBDOMAIN}/{_QUALIFIED}"
)
CapacityName = Annotated[
    str,
    Form(
        f"pods|{_RESOURCE}",
        "pods, cpu, memory, ephemeral-storage, or one like nvidia.com/gpu, without `requests.`",
    ),
]
ResourceName = Annotated[
    str,
    Form(
        _RESOURCE,
        "cpu, memory, ephemeral-storage, hugepages-<size>, or a device such as nvidia.com/gpu, "
        "without `requests.`",
    ),
]
PodField = Annotated[
    str,
    Form(
        rf"metadata\.(name|namespace|uid|(labels|annotations)\['{_PREFIXED}'\])"
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
_ADDRESS = "[0-9A-Fa-f.:]*[.:][0-9A-Fa-f.:]*"
Cidr = Annotated[
    str,
    Form(
        f"{_ADDRESS}/[0-9]{{1,3}}", 'a range of addresses such as "10.0.0.0/8"', parse=_parse_range
    ),
]
IpAddress = Annotated[str, Form(_ADDRESS, 'an IP address such as "10.0.0.7"', parse=_parse_address)]
AppProtocol = Annotated[
    str,
    Form(
        _PREFIXED,
        "a protocol such as http, or one with a DNS name and '/' before it, such as "
        "kubernetes.io/h2c",
        317,
    ),
]
IsoDate = Annotated[
    str,
    Form(r"\d{4}-\d{2}-\d{2}", 'a date such as "2026-12-31", quoted', parse=date.fromisoformat),
]
FileMode = Annotated[
    int,
    BeforeValidator(_read_file_mode),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": "^0?[0-7]{3}$",
            "patternErrorMessage": _EXPECTED_FILE_MODE,
            "minimum": 0,
            "maximum": 0o777,
            "format": "file-mode",
        }
    ),
]
