"""Reads Pulumi.yaml and a stack's settings (`Pulumi.<stack>.yaml`) as the CLI does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import yaml

from framework.core.errors import StateError, StateFileError
from framework.core.passphrase import read_passphrase
from framework.core.secret_names import is_secret_name
from framework.engines.state import files
from framework.engines.state.secrets import PassphraseCipher

_FIX = "fix it, then run the same command again"
_SETTINGS_MODE = 0o644
# Parameters of a URL that choose who connects and how, and not which state is read: a job that
# plans may have another AWS profile than the one that deploys, or another user of PostgreSQL.
_CONNECTION_PARAMETERS = frozenset(
    {"access_id", "anonymous", "awssdk", "private_key_path", "profile"}
    | {"sslcert", "sslkey", "sslmode", "sslrootcert", "user", "passfile", "krbspn", "krbsrvname"}
    | {"application_name", "fallback_application_name", "connect_timeout"}
)
# postgres://user:password@host/database, s3://bucket?endpoint=https://key:secret@host. It ends at
# the last `@` before a slash, as in Go, because a password may contain one. Without a scheme it
# needs a password, because an `@` may belong to a name: s3://bucket?prefix=team@example/
_USER_INFO = re.compile(r"(?<=://)[^/]*@|^[^/:]*:[^/]*@")


@dataclass(frozen=True)
class Project:
    """The content of Pulumi.yaml, with its paths joined to the project's folder."""

    root: Path
    name: str
    settings_dir: Path
    program: Path
    backend_url: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_file_backend(self) -> bool:
        """True if the state is in a folder, which both engines read. The CLI alone reads others."""
        return self.backend_url.startswith("file://")

    def describe_backend(self) -> str:
        """Returns the backend for messages, without what may hold a password."""
        place = self.backend_url.partition("?")[0] or "the backend of `pulumi login`"
        return _USER_INFO.sub("", place)

    def identify_backend(self) -> str:
        """Returns the backend as a plan file names it: two that differ hold different states.

        Without users, passwords and other parameters of the connection. Without a URL it is the one
        that `pulumi login` has chosen.
        """
        place, _, query = (self.backend_url or _read_login()).partition("?")
        kept = [
            (name, _USER_INFO.sub("", value))
            for name, value in sorted(parse_qsl(query, keep_blank_values=True))
            if not _is_for_connection(name)
        ]
        text = _USER_INFO.sub("", place).rstrip("/")
        return "?".join([text, urlencode(kept, safe=":/,")]) if kept else text


@dataclass(frozen=True)
class StackConfig:
    """A stack's configuration by full key (`project:name`); `secret_keys` have secret values."""

    values: Mapping[str, str] = field(repr=False)
    secret_keys: frozenset[str] = frozenset()


def _is_for_connection(parameter: str) -> bool:
    return parameter in _CONNECTION_PARAMETERS or is_secret_name(parameter)


def _read_login() -> str:
    """Returns the URL of `pulumi login`; that of Pulumi Cloud if nobody has logged in."""
    home = Path(os.environ.get("PULUMI_HOME") or "~/.pulumi").expanduser()
    try:
        current = json.loads((home / "credentials.json").read_bytes()).get("current")
    except (OSError, ValueError, AttributeError):
        current = ""
    return str(current or os.environ.get("PULUMI_API") or "https://api.pulumi.com")


def load_project(root: Path) -> Project:
    """Returns the project of a folder. StateError when Pulumi.yaml is missing or not valid."""
    path = root / "Pulumi.yaml"
    document = _load_yaml(path)
    for name in ("config", "backend"):
        _check_mapping(path, name, document.get(name))
    for name in ("main", "stackConfigDir"):
        _check_text(path, name, document.get(name))
    if not document.get("name"):
        raise StateError(f"{path}: a project needs `name`; see Pulumi.yaml of this repository")
    runtime = document.get("runtime")
    runtime = runtime.get("name") if isinstance(runtime, Mapping) else runtime
    if runtime != "python":
        raise StateError(f'{path}: runtime "{runtime}" needs the pulumi CLI; allowed: python')
    backend = document.get("backend") or {}
    _check_text(path, "backend.url", backend.get("url"))
    url = os.environ.get("PULUMI_BACKEND_URL") or backend.get("url") or ""
    main = root / (document.get("main") or ".")
    return Project(
        root=root,
        name=str(document["name"]),
        settings_dir=root / (document.get("stackConfigDir") or "."),
        program=main / "__main__.py" if main.is_dir() else main,
        backend_url=url,
        config=document.get("config") or {},
    )


def build_settings_path(project: Project, stack: str) -> Path:
    """Returns the path of a stack's settings, a file that need not exist."""
    return project.settings_dir / f"Pulumi.{stack}.yaml"


def read_salt(project: Project, stack: str) -> str:
    """Returns the encryptionsalt of the stack's settings, "" for none."""
    return str(_load_settings(project, stack).get("encryptionsalt") or "")


def write_salt(project: Project, stack: str, salt: str) -> None:
    """Adds the salt to the stack's settings."""
    path = build_settings_path(project, stack)
    text = files.read_text(path) or ""
    # The file has only the salt, so everyone may read it. `resolve`: a rename onto a symbolic link
    # would replace the link itself.
    content = f"encryptionsalt: {salt}\n{text}"
    files.write_atomically(path.resolve(), content, mode=_SETTINGS_MODE)


def load_config(project: Project, stack: str) -> StackConfig:
    """Returns the stack's configuration over the project's defaults, secrets decrypted."""
    settings = _load_settings(project, stack)
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
                str(settings.get("encryptionsalt") or ""),
                str(build_settings_path(project, stack)),
            )
            values[full] = cipher.decrypt(str(value["secure"]))
            secret.add(full)
        else:
            values[full] = _config_text(value)
    return StackConfig(values, frozenset(secret))


def _full_key(project: Project, key: str) -> str:
    return key if ":" in key else f"{project.name}:{key}"


def _config_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _load_settings(project: Project, stack: str) -> dict[str, Any]:
    path = build_settings_path(project, stack)
    settings = _load_yaml(path, missing_ok=True)
    _check_text(path, "encryptionsalt", settings.get("encryptionsalt"))
    _check_mapping(path, "config", settings.get("config"))
    return settings


def _check_mapping(path: Path, name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise StateFileError(path, f"{name} is not a mapping of names to values", _FIX)


def _check_text(path: Path, name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise StateFileError(path, f"{name} is not text", _FIX)


def _load_yaml(path: Path, missing_ok: bool = False) -> dict[str, Any]:
    try:
        text = files.read_text(path)
    except StateFileError as exc:
        raise StateFileError(path, exc.problem, exc.remedy or _FIX) from exc
    if text is None and missing_ok:
        return {}
    if text is None:
        raise StateFileError(path, "the file does not exist", "run in the folder of Pulumi.yaml")
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        # A parser's message has several lines; our errors have one.
        words = " ".join(str(exc).split())
        raise StateFileError(path, f"is not valid YAML ({words})", _FIX) from exc
    if document is not None and not isinstance(document, dict):
        raise StateFileError(path, "is not a mapping", _FIX)
    return document or {}
