"""Pulumi.yaml and a stack's settings, read as the CLI reads them.

Owns where a project's program, backend and configuration are. Kept apart from the state because
reading verbs need it without any.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from framework.engines.embedded.secrets import PassphraseCipher, read_passphrase
from framework.errors import StateError


@dataclass(frozen=True)
class Project:
    """What Pulumi.yaml says, with paths made absolute."""

    root: Path
    name: str
    settings_dir: Path
    program: Path
    backend_url: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StackConfig:
    """A stack's configuration by full key; `secret_keys` are those whose value is a secret."""

    values: Mapping[str, str] = field(repr=False)
    secret_keys: frozenset[str] = frozenset()


def load_project(root: Path) -> Project:
    """The project of a folder. StateError when Pulumi.yaml is missing or says too little."""
    path = root / "Pulumi.yaml"
    document = _load_yaml(path)
    if not document.get("name"):
        raise StateError(f"{path}: a project needs `name`; see Pulumi.yaml of this repository")
    runtime = document.get("runtime")
    runtime = runtime.get("name") if isinstance(runtime, Mapping) else runtime
    if runtime != "python":
        raise StateError(f'{path}: runtime "{runtime}" needs the pulumi CLI; allowed: python')
    backend = document.get("backend") or {}
    url = os.environ.get("PULUMI_BACKEND_URL") or backend.get("url") or ""
    main = root / document.get("main", ".")
    return Project(
        root=root,
        name=str(document["name"]),
        settings_dir=root / document.get("stackConfigDir", "."),
        program=main / "__main__.py" if main.is_dir() else main,
        backend_url=url,
        config=document.get("config") or {},
    )


def settings_path(project: Project, stack: str) -> Path:
    """The file of a stack's settings, which need not exist."""
    return project.settings_dir / f"Pulumi.{stack}.yaml"


def read_salt(project: Project, stack: str) -> str:
    """The encryptionsalt of the stack's settings, "" for none."""
    return str(_load_yaml(settings_path(project, stack), missing_ok=True).get("encryptionsalt", ""))


def write_salt(project: Project, stack: str, salt: str) -> None:
    """Add the salt to the stack's settings: without it the CLI would make one of its own."""
    path = settings_path(project, stack)
    text = path.read_text() if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"encryptionsalt: {salt}\n{text}")


def load_config(project: Project, stack: str) -> StackConfig:
    """The stack's configuration over the project's defaults, secrets decrypted."""
    settings = _load_yaml(settings_path(project, stack), missing_ok=True)
    values: dict[str, str] = {}
    for key, value in project.config.items():
        default = value.get("default", value.get("value")) if isinstance(value, Mapping) else value
        if default is not None:
            values[_full_key(project, key)] = _config_text(default)
    secret: set[str] = set()
    cipher: PassphraseCipher | None = None
    for key, value in (settings.get("config") or {}).items():
        full = _full_key(project, key)
        if isinstance(value, Mapping) and set(value) == {"secure"}:
            cipher = cipher or PassphraseCipher.open(
                read_passphrase(project.root),
                str(settings.get("encryptionsalt", "")),
                str(settings_path(project, stack)),
            )
            values[full] = cipher.decrypt(value["secure"])
            secret.add(full)
        else:
            values[full] = _config_text(value)
    return StackConfig(values, frozenset(secret))


def _full_key(project: Project, key: str) -> str:
    return key if ":" in key else f"{project.name}:{key}"


def _config_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _load_yaml(path: Path, missing_ok: bool = False) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError as exc:
        if missing_ok:
            return {}
        raise StateError(f"{path}: no such file; run in the folder of Pulumi.yaml") from exc
    except yaml.YAMLError as exc:
        raise StateError(f"{path}: no YAML ({exc}); mend it, then run the same command") from exc
    return document if isinstance(document, dict) else {}
