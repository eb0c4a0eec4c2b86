"""Secrets in state: Pulumi's passphrase provider.

Owns the cipher (PBKDF2 and AES-GCM, in the CLI's own format, so that either can read what the other
wrote) and the sealing of whole value trees. Kept apart because nothing else may touch a key.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from framework.core.errors import StateError
from framework.engines.embedded.values import Secret, reveal
from framework.engines.marks import SECRET, SIGNATURE

_ROUNDS = 1_000_000
_RESTORE = "restore the file as it was, from Git or from the .bak beside it"
_NEXT_STEP = "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE and run again"


class PassphraseCipher:
    """Encrypts with a key of a passphrase and the stack's salt."""

    def __init__(self, key: bytes, salt: str, where: str) -> None:
        """`where` is the file that holds the salt, for messages."""
        self.salt, self._where = salt, where
        self._aead = AESGCM(key)

    @classmethod
    def create(cls, passphrase: str, where: str) -> PassphraseCipher:
        """A cipher with a new salt."""
        salt = os.urandom(8)
        cipher = cls(_derive_key(passphrase, salt), "", where)
        cipher.salt = f"v1:{base64.b64encode(salt).decode()}:{cipher.encrypt('pulumi')}"
        return cipher

    @classmethod
    def open(cls, passphrase: str, salt: str, where: str) -> PassphraseCipher:
        """A cipher for a recorded salt; StateError when the passphrase is another one's."""
        version, encoded, check = salt.split(":", 2) if salt.count(":") > 1 else ("", "", "")
        if version != "v1":
            raise StateError(
                f"{where}: its encryptionsalt is of no version known here, only v1 is; {_RESTORE}"
            )
        try:
            raw_salt = base64.b64decode(encoded, validate=True)
        except ValueError as exc:
            raise StateError(f"{where}: its encryptionsalt is damaged; {_RESTORE}") from exc
        cipher = cls(_derive_key(passphrase, raw_salt), salt, where)
        if cipher.decrypt(check) != "pulumi":
            raise cipher._wrong_passphrase()
        return cipher

    def encrypt(self, text: str) -> str:
        """The text as `v1:<nonce>:<sealed>`, with a nonce of its own each time."""
        nonce = os.urandom(12)
        sealed = self._aead.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, sealed: str) -> str:
        """The opposite of `encrypt`; StateError when another passphrase sealed it."""
        try:
            _, nonce, text = sealed.split(":", 2)
            plain = self._aead.decrypt(base64.b64decode(nonce), base64.b64decode(text), None)
            return plain.decode()
        except InvalidTag as exc:
            raise self._wrong_passphrase() from exc
        except ValueError as exc:
            raise self._damaged() from exc

    def _wrong_passphrase(self) -> StateError:
        return StateError(f"{self._where}: the passphrase does not fit this stack; {_NEXT_STEP}")

    def _damaged(self) -> StateError:
        return StateError(f"{self._where}: an encrypted value is damaged; {_RESTORE}")

    def seal(self, tree: Any) -> Any:
        """A value tree as state keeps it, every secret encrypted."""
        if isinstance(tree, Secret):
            text = json.dumps(reveal(tree.value), separators=(",", ":"), sort_keys=True)
            return {SIGNATURE: SECRET, "ciphertext": self.encrypt(text)}
        if isinstance(tree, Mapping):
            return {key: self.seal(value) for key, value in tree.items()}
        if isinstance(tree, list | tuple):
            return [self.seal(value) for value in tree]
        return tree

    def unseal(self, tree: Any) -> Any:
        """A value tree from state, every secret decrypted into a `Secret`."""
        if isinstance(tree, Mapping):
            if tree.get(SIGNATURE) == SECRET:
                return Secret(self._open_value(tree))
            return {key: self.unseal(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self.unseal(value) for value in tree]
        return tree

    def _open_value(self, sealed: Mapping[str, Any]) -> Any:
        try:
            if "ciphertext" in sealed:
                return json.loads(self.decrypt(sealed["ciphertext"]))
            return json.loads(sealed["plaintext"])
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise self._damaged() from exc


def _derive_key(passphrase: str, salt: bytes) -> bytes:
    return PBKDF2HMAC(SHA256(), 32, salt, _ROUNDS).derive(passphrase.encode())


def read_passphrase(root: Path) -> str:
    """The passphrase as the CLI takes it; StateError when there is none.

    An empty one that is set counts, as it does for the CLI.
    """
    if (value := os.environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return value
    if file := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        try:
            return (root / Path(file).expanduser()).read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise StateError(f"{file}: the passphrase file cannot be read; {_NEXT_STEP}") from exc
    raise StateError(f"this stack has secrets and no passphrase is given; {_NEXT_STEP}")
