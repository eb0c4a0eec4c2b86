"""Decides by its name whether a setting, a variable or an option holds a secret.

A name is split into words, at underscores, dashes, dots and capital letters, and each word is
looked up below. Searching for parts of words instead would take TOKENIZER for a token.

The words come from two maintained secret scanners: the list of the keyword plugin of detect-secrets
(https://github.com/Yelp/detect-secrets/blob/master/detect_secrets/plugins/keyword.py) and the rule
generic-api-key of gitleaks (https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml);
cookie, salt and otp from the filters of Sentry and Rails, which keep such values out of logs.
docs/architecture.md has the reasons why neither is used as a library. Words that describe a secret
without being one, such as the length of a password, and the tokens and keys of model servers are
ours.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")


def _read_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Each of these is a secret, unless a word after it describes the secret: PASSWORD_FILE.
_SECRETS = _read_words(
    """
    password passwords passwd passphrase passcode passkey pwd secret secrets credential
    credentials creds jwt dsn apikey apikeys accesskey secretkey privatekey token authtoken
    bearer htpasswd dockerconfigjson requirepass masterauth passw passwrd pswd psw passwort
    contrasena dbpass userpass rootpass adminpass sshpass storepass keypass trustpass mnemonic
    """
)
# Secrets only as the last word, because other names begin with them: AUTH_MODE, PASS_THROUGH,
# COOKIE_DOMAIN, SALT_ROUNDS.
_LAST_WORDS = _read_words(
    """
    auth authorization pass pw pat sas cred salt cookie cookies otp totp psk pfx connstr
    connectionstring
    """
)
# Words after the last one that say which of several secrets it is, or in which form: DB_PASS_PROD,
# COOKIE_BASE64, GH_PAT_RO.
_VARIANTS = _read_words(
    """
    base b hex raw plain plaintext value str encoded prod production dev staging stg ro rw old
    """
)
# A PEM file has a private key, a certificate or a public key.
_PUBLIC_PEM = _read_words(
    """
    ca cert certs certificate certificates chain fullchain bundle public pub root intermediate
    trust truststore
    """
)
# Words that describe a secret. After a secret, they make the name one of something else: the value
# of PASSWORD_FILE is a path.
_DESCRIBES = _read_words(
    """
    file files filename path paths dir directory folder location mount name names ref refs
    reference url uri endpoint host port address issuer audience type types kind mode method
    provider algorithm alg format header prefix suffix length len size min max limit limits
    count num number ttl expiry expiration expires timeout seconds minutes hours days age
    interval rotation enabled disabled enable disable required optional policy arn store backend
    scheme realm schema field column label class module regex pattern rate bucket usage budget
    window per parallelism workers batch id ids vault version env var namespace manager service
    server plugin scope scopes claim claims mask metrics latency throughput classification
    pooling embedding embeddings healing index position positions duration refresh cache
    strategy hint reset attempts retries mapping map permissions mechanism source volume driver
    group groups list order selector renewal check checks validation dropout merging pruning
    streaming generation generator level logprobs logprob probs chunk
    """
)
# Tokens of a text, which a language model reads and writes: EOS_TOKEN, TIME_PER_OUTPUT_TOKEN.
_TEXT_TOKENS = _read_words(
    """
    pad eos bos unk cls sep mask stop start end image audio video vision special next first last
    prompt output input per each draft blank cost sub word max min num new total extra think
    tool
    """
)
# A key is a secret, unless it is one of these: CACHE_KEY, PUBLIC_KEY, NUM_KEYS.
_PLAIN_KEYS = _read_words(
    """
    public pub primary foreign partition sort cache routing group topology lookup index object
    row column map dict config label selector join shard message query num max min hot kv dedup
    idempotency unique composite natural surrogate feature input output item entity field metric
    tag image by order default json yaml property setting any each prompt sample data text id
    model file path document record event state checkpoint artifact dataset split weights
    adapter lora host known trace span registry attention hash range no n per prefix bucket
    folder arrow left right up down enter hotkey sharding
    """
)
# Several keys or tokens are secrets only after one of these words: API_KEYS, not FEATURE_KEYS.
_SECRET_KEYS = _read_words(
    """
    api access account admin auth authorized client consumer decryption deploy encryption
    license master private secret service session signing ssh subscription hmac jwt
    """
)
# The same words without a separator: `apikey`, `PGPASSWORD`, `hftoken`.
_ENDINGS = (
    "password", "passwd", "passphrase", "secret", "secrets", "apikey", "apikeys", "secretkey",
    "accesskey", "privatekey", "privkey", "encryptionkey", "signingkey", "sshkey", "authkey",
    "appkey", "accountkey", "clientkey", "servicekey", "masterkey", "sessionkey", "licensekey",
    "credentials", "token", "pwd",
)  # fmt: skip
# All whole words that `_is_secret_word` looks for.
_PARTS = _SECRETS | _LAST_WORDS | _read_words("string sig signature pem key keys tokens")
# The shell's own variables.
_FOLDERS = frozenset({"PWD", "OLDPWD"})


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Returns True if the value of this name is secret: `API_TOKEN`, `db.password`, `dbPwd`."""
    if name in _FOLDERS:
        return False
    words = [word.lower() for word in _WORD.findall(name)]
    return any(_is_secret_word(words, index) for index in range(len(words)))


def may_name_secret(text: str) -> bool:
    """Returns False if nothing within a text can be the name of a secret.

    Much faster than the search for names, since it looks at each word once. What separates the
    words of a name does not matter: `API key`.
    """
    words = {word.lower() for word in _WORD.findall(text)}
    return not words.isdisjoint(_PARTS) or any(word.endswith(_ENDINGS) for word in words)


def _is_secret_word(words: list[str], index: int) -> bool:
    word, before, after = words[index], words[:index], words[index + 1 :]
    if word == "string":
        return before[-1:] in (["connection"], ["conn"])
    if word in ("sig", "signature"):
        # The signature in a signed URL gives access: `?sig=x` of Azure, X-Amz-Signature.
        is_whole_name = word == "sig" and not before
        return not after and (is_whole_name or before[-1:] in (["amz"], ["goog"]))
    if word == "pem":
        return not after and not _PUBLIC_PEM.intersection(before)
    if word == "key" and before and after[:1] == ["id"]:
        # The ID of a key is not secret, but an access key's is half of a pair: AWS_ACCESS_KEY_ID.
        return before[-1] == "access"
    if any(other in _DESCRIBES for other in after):
        return False
    if word == "key":
        return bool(before) and before[-1] not in _PLAIN_KEYS
    if word in ("keys", "tokens"):
        return before[-1:] != [] and before[-1] in _SECRET_KEYS
    if word.endswith("token"):
        is_text = before[-1:] != [] and before[-1] in _TEXT_TOKENS
        return not is_text and word.removesuffix("token") not in _TEXT_TOKENS
    if word in _LAST_WORDS:
        return all(other in _VARIANTS for other in after)
    return word in _SECRETS or word.endswith(_ENDINGS)
