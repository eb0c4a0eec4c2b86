"""Encrypts and decrypts secrets of state in the format of Pulumi's passphrase provider.

The key is derived from the passphrase and the stack's salt with PBKDF2, and values are encrypted
with AES-256-GCM, as in `pkg/secrets/passphrase` of pulumi: each engine reads what the other wrote.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from framework.core.errors import StateError
from framework.core.passphrase import SET_PASSPHRASE
from framework.engines.values import SECRET, SIGNATURE, Secret, has_sealed, map_tree, reveal

_ROUNDS = 1_000_000
_RESTORE = "restore the file as it was, from Git or from the .bak beside it"


class PassphraseCipher:
    """Encrypts with a key derived from a passphrase and the stack's salt."""

    def __init__(self, key: bytes, salt: str, path: str) -> None:
        """`path` is the file that holds the salt, for messages."""
        self.salt, self._path = salt, path
        self._aead = AESGCM(key)

    @classmethod
    def create(cls, passphrase: str, path: str) -> PassphraseCipher:
        """Creates a cipher with a new salt."""
        salt = os.urandom(8)
        cipher = cls(_derive_key(passphrase, salt), "", path)
        # A recorded salt ends with the word "pulumi", encrypted: it shows whether a passphrase is
        # the right one before any value is decrypted.
        cipher.salt = f"v1:{base64.b64encode(salt).decode()}:{cipher.encrypt('pulumi')}"
        return cipher

    @classmethod
    def open(cls, passphrase: str, salt: str, path: str) -> PassphraseCipher:
        """Returns a cipher for a recorded salt. StateError when the passphrase is wrong for it."""
        version, encoded, check = salt.split(":", 2) if salt.count(":") > 1 else ("", "", "")
        if version != "v1":
            raise StateError(
                f"{path}: its encryptionsalt has an unknown version, only v1 is supported; "
                f"{_RESTORE}"
            )
        try:
            raw_salt = base64.b64decode(encoded, validate=True)
        except ValueError as exc:
            raise StateError(f"{path}: its encryptionsalt is damaged; {_RESTORE}") from exc
        cipher = cls(_derive_key(passphrase, raw_salt), salt, path)
        if cipher.decrypt(check) != "pulumi":
            raise cipher._wrong_passphrase()
        return cipher

    def encrypt(self, text: str) -> str:
        """Returns the text as `v1:<nonce>:<encrypted>`, with a new nonce for each call."""
        nonce = os.urandom(12)
        encrypted = self._aead.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(encrypted).decode()}"

    def decrypt(self, sealed: str) -> str:
        """Returns the text that was encrypted. StateError if it has another passphrase."""
        try:
            _, nonce, encrypted = sealed.split(":", 2)
            plain = self._aead.decrypt(base64.b64decode(nonce), base64.b64decode(encrypted), None)
            return plain.decode()
        except InvalidTag as exc:
            raise self._wrong_passphrase() from exc
        except ValueError as exc:
            raise self._damaged() from exc

    def _wrong_passphrase(self) -> StateError:
        return StateError(
            f"{self._path}: the passphrase is wrong for this stack; {SET_PASSPHRASE} and run again"
        )

    def _damaged(self) -> StateError:
        return StateError(f"{self._path}: an encrypted value is damaged; {_RESTORE}")

    def seal(self, tree: Any) -> Any:
        """Returns a tree in the form of the state, with each `Secret` encrypted."""
        return _seal(tree, lambda text: {"ciphertext": self.encrypt(text)})

    def unseal(self, tree: Any) -> Any:
        """Returns a tree from state with each encrypted value decrypted into a `Secret`."""
        return _unseal(tree, self._open)

    def _open(self, sealed: Mapping[str, Any]) -> Any:
        try:
            if "ciphertext" in sealed:
                return json.loads(self.decrypt(sealed["ciphertext"]))
            return _open_plaintext(sealed)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise self._damaged() from exc


def read_plaintext(tree: Any) -> Any:
    """Returns a tree of `pulumi stack export --show-secrets` with each secret as a `Secret`."""
    return _unseal(tree, _open_plaintext) if has_sealed(tree) else tree


def write_plaintext(tree: Any) -> Any:
    """Returns a tree in the form of such an export; `pulumi stack import` encrypts each secret."""
    return _seal(tree, lambda text: {"plaintext": text})


def _open_plaintext(sealed: Mapping[str, Any]) -> Any:
    return json.loads(sealed["plaintext"])


def _seal(tree: Any, close: Callable[[str], Mapping[str, str]]) -> Any:
    def seal(leaf: Any) -> Any:
        if not isinstance(leaf, Secret):
            return leaf
        text = json.dumps(reveal(leaf.value), separators=(",", ":"), sort_keys=True)
        return {SIGNATURE: SECRET, **close(text)}

    return map_tree(tree, seal)


def _unseal(tree: Any, open_: Callable[[Mapping[str, Any]], Any]) -> Any:
    if isinstance(tree, Mapping):
        if tree.get(SIGNATURE) == SECRET:
            return Secret(open_(tree))
        return {key: _unseal(value, open_) for key, value in tree.items()}
    return [_unseal(value, open_) for value in tree] if isinstance(tree, list) else tree


def _derive_key(passphrase: str, salt: bytes) -> bytes:
    return PBKDF2HMAC(SHA256(), 32, salt, _ROUNDS).derive(passphrase.encode())
