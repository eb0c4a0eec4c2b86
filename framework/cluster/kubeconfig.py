"""Writes the kubeconfig files: the administrator's, and one for each component.

Kept apart because the administrator's is the local cluster's only public face. It stands alone in
`.cluster/kubeconfig` and is never merged into the user's own.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path

from framework.cluster.layout import Layout

CONTEXT = "local"


def build_kubeconfig(layout: Layout, file: str, server: str) -> str:
    """A kubeconfig of the identity `file`, as JSON, which is YAML; keys are embedded.

    Embedded, because not every client resolves relative paths against the file, and absolute ones
    would break when the checkout moves.
    """
    user = {
        "client-certificate-data": _encode(layout.certificate(file)),
        "client-key-data": _encode(layout.key(file)),
    }
    cluster = {
        "server": server,
        "certificate-authority-data": _encode(layout.certificate("ca")),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
    }
    return json.dumps(config, indent=2) + "\n"


def write_private(path: Path, text: str) -> None:
    """Write `text` for the user's eyes only; an equal file stays untouched."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        path.chmod(0o600)
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def _encode(path: Path) -> str:
    return b64encode(path.read_bytes()).decode("ascii")
