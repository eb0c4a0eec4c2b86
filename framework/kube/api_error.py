"""The exception for a request that the API server refused, built from the server's Status object.

The server's message quotes values of the refused object, so those of a Secret are redacted here.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from framework.core.errors import ClusterError
from framework.core.redaction import redact_text

# The server is overloaded, or the proxy in front of it gets no answer.
_OUTAGES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Cause:
    """One cause of a refusal. `field` is the server's own path (`spec.selector`), or ""."""

    reason: str
    field: str
    message: str


class ApiError(ClusterError):
    """The server refused a request. `message` is the server's own, which names the fields."""

    def __init__(
        self,
        where: str,
        status: int,
        reason: str,
        message: str,
        causes: tuple[Cause, ...] = (),
    ) -> None:
        self.where, self.status, self.reason = where, status, reason
        self.message, self.causes = message, causes
        super().__init__(self._compose())

    def _compose(self) -> str:
        if self.namespace_terminating:
            return (
                f"{self.where}: its Namespace is being deleted and accepts no new objects; "
                "wait until it is gone, then run the same command again"
            )
        if self.status == 401:
            return (
                f"{self.where}: the server does not accept the credentials of this context "
                f"({self.message}); log in again, or check the kubeconfig"
            )
        label = f"HTTP {self.status} {self.reason}".strip()
        if self.is_outage:
            return (
                f"{self.where}: the API server does not serve requests now: {self.message} "
                f"({label}); run the same command again when it does"
            )
        return f"{self.where}: {self.message} ({label})"

    @property
    def is_outage(self) -> bool:
        """True if the server, or a proxy in front of it, could not serve any request.

        The client has repeated the request for a while. A webhook that does not answer is not an
        outage: the server then returns 500, and may accept other objects.
        """
        return self.status in _OUTAGES

    @property
    def concerns_all_objects(self) -> bool:
        """True for an outage and for refused credentials, which no single object causes."""
        return self.is_outage or self.status == 401

    @property
    def namespace_terminating(self) -> bool:
        """True when the object's Namespace is being deleted."""
        return any(cause.reason == "NamespaceTerminating" for cause in self.causes)

    @property
    def missing_namespace(self) -> bool:
        """True when the Namespace of the object does not exist."""
        return self.status == 404 and self.message.startswith("namespaces ")

    @property
    def is_concurrent_write(self) -> bool:
        """True if somebody else wrote the object, or its quota, at the same time.

        The same request may then succeed. A conflict of field managers names the fields as causes.
        """
        return self.status == 409 and self.reason == "Conflict" and not self.causes

    @property
    def immutable_fields(self) -> tuple[str, ...]:
        """The fields the server refuses to change in place; () for any other refusal."""
        if self.status != 422:
            return ()
        # The reason is FieldValueInvalid or FieldValueForbidden, as for any invalid value. Only
        # the messages of apimachinery's validation (validate.go, objectmeta.go) tell them apart.
        return tuple(
            cause.field
            for cause in self.causes
            if "immutable" in cause.message
            or "may not change once set" in cause.message
            or "updates to " in cause.message
        )


def build_api_error(
    where: str, status: int, body: bytes, sent: Mapping[str, Any] | None = None
) -> ApiError:
    """Builds the exception for a refused request.

    `sent` is the object in the request. If it is a Secret, its values are redacted in the messages.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    text = str(answer.get("message") or body[:300].decode(errors="replace").strip())
    details = answer.get("details") or {}
    secrets = tuple(_secret_texts(sent or {}))
    causes = tuple(
        Cause(c.get("reason", ""), c.get("field", ""), redact_text(c.get("message", ""), secrets))
        for c in details.get("causes") or ()
    )
    return ApiError(
        where, status, str(answer.get("reason") or ""), redact_text(text, secrets), causes
    )


def _secret_texts(sent: Mapping[str, Any]) -> Iterator[str]:
    if sent.get("kind") != "Secret":
        return
    for part in ("data", "stringData"):
        for value in (sent.get(part) or {}).values():
            yield str(value)
            try:
                yield base64.b64decode(str(value), validate=True).decode()
            except (binascii.Error, ValueError):
                continue
