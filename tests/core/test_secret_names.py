"""Names of secrets, and names that sound alike, as they occur in model servers and their tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from framework.core.redaction import is_secret_key
from framework.core.secret_names import is_secret_name
from tests.shipped import ROOT


def _read(text: str) -> list[str]:
    return text.split()


SECRET = _read(
    """
    ENCRYPTION_KEY GH_PAT DB_PWD JWT OPENAI_KEY DB_PASSWORD_RO API_TOKEN HF_TOKEN
    HUGGING_FACE_HUB_TOKEN PASSWORD password passwd passphrase dbPassword DBPassword
    db-password db.password DB_PASS PGPASSWORD MYSQL_PWD REDIS_PASSWORD AWS_SECRET_ACCESS_KEY
    AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN API_KEY apiKey APIKEY api-key OPENAI_API_KEY
    ANTHROPIC_API_KEY WANDB_API_KEY NGC_API_KEY SECRET SECRET_KEY SECRET_KEY_BASE
    CLIENT_SECRET clientSecret PRIVATE_KEY privateKey SSH_KEY SIGNING_KEY JWT_SECRET
    JWT_SIGNING_KEY GITHUB_TOKEN githubToken accessToken ACCESS_TOKEN REFRESH_TOKEN
    BEARER_TOKEN AUTH_TOKEN BASIC_AUTH Authorization SENTRY_DSN DSN CREDENTIALS
    GOOGLE_CREDENTIALS creds ACCOUNT_KEY AZURE_STORAGE_KEY AZURE_STORAGE_CONNECTION_STRING
    CONNECTION_STRING SAS_TOKEN STORAGE_SAS MASTER_KEY LICENSE_KEY HMAC_KEY API_KEYS
    AUTH_TOKENS TOKEN token TOKEN_2 API_KEY_V2 OPENAI_KEY_OLD userPass hftoken SLACK_TOKEN
    SESSION_SECRET COOKIE_SECRET WEBHOOK_SECRET KEYSTORE_PASSWORD keyPassword
    truststorePassword SMTP_PASSWORD ADMIN_PASS VAULT_TOKEN NPM_TOKEN PYPI_TOKEN secretkey
    FERNET_KEY DATADOG_API_KEY DD_APP_KEY ENCRYPTIONKEY SALT PASSWORD_SALT HASH_SALT SALT_HEX
    COOKIE SESSION_COOKIE RABBITMQ_ERLANG_COOKIE Set-Cookie COOKIES COOKIE_BASE64 PRIVATE_PEM
    TLS_PEM SERVER_PEM pem PRIVATE_KEY_PEM CLIENT_KEY_DATA OTP TOTP_SECRET VPN_PSK WIFI_PSK
    CLIENT_PFX CONN_STRING DB_CONNSTR connectionString sig X-Amz-Signature X-Goog-Signature
    DB_PASS_PROD GH_PAT_RO REDISCLI_AUTH SSHPASS dbpass keyPass keypass storepass privkey
    SSHKEY appkey requirepass masterauth DB_PSWD PASSWORT DOCKERCONFIGJSON
    spring.datasource.password PASSWORD_HASH SECRET_JSON
    """
)
PLAIN = _read(
    """
    TOKENIZER TOKENIZERS_PARALLELISM MAX_TOKENS MAX_NEW_TOKENS NUM_KEYS KEY_PATH
    passphraseFile PASSWORD_FILE API_KEY_FILE TOKEN_PATH SECRET_NAME secretName PUBLIC_KEY
    CACHE_KEY PRIMARY_KEY PARTITION_KEY SORT_KEY ROUTING_KEY topologyKey FOREIGN_KEY KEYSPACE
    KEYBOARD MONKEY KEY key keys AUTHOR AUTHORS AUTHORITY AUTH_MODE AUTH_ENABLED AUTH_TYPE
    EOS_TOKEN PAD_TOKEN_ID bos_token_id STOP_TOKEN eosToken TOKEN_LIMIT TOKEN_COUNT
    TOKENS_PER_SECOND max-num-batched-tokens PASSWORD_MIN_LENGTH TOKEN_EXPIRY_SECONDS
    TOKEN_URL JWT_ISSUER JWT_ALGORITHM JWKS_URL CREDENTIALS_PATH
    GOOGLE_APPLICATION_CREDENTIALS_FILE num_key_value_heads KMS_KEY_ID PWD OLDPWD PASS_THROUGH
    BYPASS COMPASS PATH PATTERN PATIENCE COMPAT OBJECT_KEY FEATURE_KEYS SECRETS_PATH
    SECRET_ARN LOG_LEVEL OMP_NUM_THREADS TIME_PER_OUTPUT_TOKEN first_token_latency
    TOKEN_CLASSIFICATION token-embeddings TOKENIZATION PRESSURE_KEYS KEY_PREFIX SASL_MECHANISM
    DSNAME AUTHENTICATION SECRETARY SECRET_ROTATION_DAYS TLS_KEY_FILE ssl-keyfile
    SSL_CERT_FILE KEY_VAULT_NAME PASSES NUM_PASSES MODEL_KEY HOTKEY imageToken PIN_MEMORY
    detokenize skip_special_tokens COOKIE_DOMAIN COOKIE_NAME COOKIE_SECURE COOKIE_SAMESITE
    COOKIE_HTTPONLY COOKIE_MAX_AGE COOKIE_PATH COOKIE_PREFIX COOKIE_POLICY_URL COOKIECUTTER
    SALTED_BUTTER BASALT SALT_ROUNDS SALT_LENGTH SALT_MASTER SALT_MINION_ID SALT_VERSION
    CA_PEM CERT_PEM TLS_CERT_PEM PUBLIC_KEY_PEM CHAIN_PEM PEM_FILE PEM_PATH PUBLIC_PEM
    OTP_ENABLED OTP_LENGTH PSK_IDENTITY PSKOV MODEL_SIGNATURE SIGNATURE_NAME signature_def
    SERVING_SIG CONNECTION_POOL STRING_LENGTH STRINGS PASS_RATE PATCH SPATIAL KEYPASSES
    MONKEYPATCH TURNKEY AUTH_PROVIDER AUTH_BASE_URL LOGIN_PAGE DASHBOARD SASH SIGMA PFX_PATH
    ACCESS_LOG ACCESS_MODE API_VERSION API_BASE OPENAI_API_BASE API_HOST CREDIT_LIMIT
    SESSION_TIMEOUT CERTIFICATE TLS_CERT PASSAGE PASSIVE TOKENIZE_BATCH NUM_TOKENS
    """
)


@pytest.mark.parametrize("name", SECRET)
def test_name_of_a_secret_is_recognized(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", PLAIN)
def test_name_that_sounds_like_a_secret_is_plain(name: str) -> None:
    assert not is_secret_name(name)


_MODULES = ("core_v1", "apps_v1", "autoscaling_v2", "networking_v1", "policy_v1")


def _list_properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
    for child in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(child, dict | list):
            yield from _list_properties(child)


def test_no_field_of_kubernetes_and_no_setting_is_a_secret_by_its_name() -> None:
    names = {
        field
        for module in _MODULES
        for definition in vars(import_module(f"lightkube.models.{module}")).values()
        for field in getattr(definition, "__struct_encode_fields__", ())
    }
    for schema in ("model", "environment"):
        names |= {
            *_list_properties(json.loads((ROOT / f"schemas/{schema}.schema.json").read_text()))
        }
    assert len(names) > 500
    assert [name for name in sorted(names) if is_secret_key((name,))] == []


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (("env", "HUB_TOKEN"), True),
        (("env", "HUB_TOKEN", "value"), True),
        (("env", "HUB_TOKEN", "secret"), False),
        (("env", "HUB_TOKEN", "key"), False),
        (("env", "HUB_TOKEN", "valueFrom", "secretKeyRef", "key"), False),
        (("env", "secret"), True),
        (("initContainers", "fetch-token", "image"), False),
        (("initContainers", "fetch-token", "env", "API_KEY"), True),
        (("volumes", "hub-secret", "secret"), False),
        (("volumes", "keys", "csi", "volumeAttributes", "secretAccessKey"), True),
        (("annotations", "nginx.ingress.kubernetes.io/auth-secret"), False),
        (("annotations", "example.com/api-token"), True),
        (("pullSecrets", 0), False),
        (("routes", 0, "tlsSecret"), False),
        (("serviceAccount", "automountToken"), False),
        (("auth", "user"), True),
    ],
)
def test_path_of_a_reference_to_a_secret_is_plain(
    path: tuple[str | int, ...], secret: bool
) -> None:
    assert is_secret_key(path) is secret
