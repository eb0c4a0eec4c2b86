"""Secrets: recognised by keys and form, and in no report, wherever their value is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from framework.core.diagnostics import KeyPath
from framework.core.redaction import (
    find_copied_secrets,
    find_secret_paths,
    find_secret_texts,
    is_secret,
    redact,
    redact_text,
    redact_within,
)
from framework.edits.yaml_edit import Change
from framework.kube.object_diff import compare_objects
from framework.output.edits import render_file_changes
from tests.conftest import Project

SECRET = "s3cr3t-value"
LINES = (
    'config: {mountPath: /etc/app, files: {app.conf: "port = 80\\npassword = config-pw\\n"}}\n'
    "args: [--api-key, option-pw, -phunter23]\ncommand: [mysql]\n"
    f"env: {{SALT: salty-pw, PRIVATE_PEM: pem-pw, API_TOKEN: {SECRET},\n"
    "  X: 'Bearer ${env.API_TOKEN}'}\n"
    "annotations: {note: '${env.API_TOKEN}'}\n"
    "podAnnotations: {db: 'postgres://u:hunter22@h/db'}\n"
)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["explain", "prod", "--model", "churn"], id="explain"),
        pytest.param(["explain", "prod", "--model", "churn", "--json"], id="explain json"),
        pytest.param(["explain", "prod", "--model", "churn", "--key", "Deployment"], id="fields"),
        pytest.param(["diff", "dev", "--to", "prod", "--model", "churn"], id="diff"),
        pytest.param(["diff", "dev", "--to", "prod", "--format", "markdown"], id="markdown"),
    ],
)
def test_report_shows_no_secret(arguments: list[str], make_project: Callable[..., Project]) -> None:
    project = make_project("churn", "fraud")
    project.append("catalog/churn.yaml", LINES)
    project.write("environments/prod/models/churn.yaml", "env: {API_TOKEN: other-secret}\n")
    run = project.run(*arguments)
    assert run.returncode == 0, run.stderr
    secrets = ("other-secret", "hunter22", "hunter23", "salty-pw", "pem-pw")
    for secret in (SECRET, "config-pw", "option-pw", *secrets):
        assert secret not in run.stdout
    if "--json" in arguments:
        json.loads(run.stdout)


def test_explain_shows_no_part_of_a_secret_in_a_value_that_it_cuts(
    make_project: Callable[..., Project],
) -> None:
    project = make_project("churn")
    url = f"https://hooks.example.com/{'x' * 24}/{SECRET}/end"
    project.append("catalog/churn.yaml", f"env: {{API_TOKEN: {SECRET}, URL: '{url}'}}\n")
    for key in ((), ("--key", "Deployment")):
        run = project.run("explain", "prod", "--model", "churn", *key)
        assert run.returncode == 0, run.stderr
        assert f"{'x' * 24}/[" in run.stdout
        assert SECRET[:4] not in run.stdout


def test_diff_of_a_file_shows_no_line_of_a_key_beside_the_edit() -> None:
    lines = ("-----BEGIN PRIVATE KEY-----", "MIIhush", "-----END PRIVATE KEY-----")
    key = "".join(["  TLS_KEY: |\n", *(f"    {line}\n" for line in lines)])
    old, new = (
        f"env:\n{key}image: {{tag: '{tag}'}}\nenv2: {{API_TOKEN: {tag}}}\n" for tag in ("t1", "t2")
    )
    assert render_file_changes([Change("a.yaml", old.encode(), new.encode(), {})]) == (
        "a.yaml\n  @@ -4,4 +4,4 @@\n   \n   \n"
        "  -image: {tag: 't1'}\n  -env2: {API_TOKEN: [secret]}\n"
        "  +image: {tag: 't2'}\n  +env2: {API_TOKEN: [secret]}"
    )


@pytest.mark.parametrize("start", ["", "|\n      ", ">-\n      ", "\n      ", "&a "])
def test_diff_of_a_file_shows_no_variable_beside_the_edit(start: str) -> None:
    lines = f"patch:\n  - name: API_TOKEN\n    value: {start}hunter2 hunter\n"
    old, new = (f"{lines}replicas: {count}\n".encode() for count in (1, 2))
    shown = render_file_changes([Change("a.yaml", old, new, {})])
    assert "hunter" not in shown
    assert "[secret]\n  -replicas: 1" in shown


def test_common_words_and_numbers_are_not_searched_in_reports() -> None:
    common = {"TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "4096", "TOKEN_SHARE": "0.95"}
    env = {**common, "API_TOKEN": "40964096", "PASSWORD": SECRET}
    assert find_secret_texts([{"env": env}]) == {"40964096", SECRET}


@pytest.mark.parametrize(
    ("values", "copied"),
    [
        pytest.param({"image": "postgres:16"}, False, id="image"),
        pytest.param({"image": {"repository": "acme/postgres"}}, False, id="repository"),
        pytest.param({"metadata": {"name": "postgres-0"}}, False, id="object"),
        pytest.param({"serviceName": "postgres"}, False, id="field"),
        pytest.param({"env": [{"name": "DB_HOST", "value": "postgres"}]}, False, id="variable"),
        pytest.param({"args": ["--db=postgres://u@db/x"]}, False, id="scheme"),
        pytest.param({"data": {"url": "tcp://u:pw12@postgres:5432"}}, False, id="host of a URL"),
        pytest.param({"volumeMounts": [{"mountPath": "/var/postgres"}]}, False, id="path"),
        pytest.param({"env": [{"name": "DB_USER", "value": "postgres"}]}, False, id="user"),
        pytest.param({"image": "acme/postgresql"}, True, id="longer word"),
        pytest.param({"path": "/health?token=postgres"}, True, id="secret in a path"),
        pytest.param({"PROXY_USER": "http://bob:postgres@p"}, True, id="secret in a user"),
        pytest.param({"auth": {"user": "postgres"}}, True, id="user that is secret"),
        pytest.param({"annotations": {"note": "x postgres"}}, True, id="annotation"),
    ],
)
def test_word_that_is_a_password_is_shown_only_if_a_field_that_is_no_secret_has_it(
    values: dict[str, Any], copied: bool
) -> None:
    trees = [{"env": {"POSTGRES_PASSWORD": "postgres"}}, values]
    assert ("postgres" in find_copied_secrets(trees)) is copied


@pytest.mark.parametrize("password", ["sunshine", "Sunshine", "kXqPzRtWvNb", "hunter22"])
def test_copy_of_a_password_is_redacted_also_if_it_has_only_letters(password: str) -> None:
    tree = {"env": {"DB_PASSWORD": password}, "image": "ghcr.io/acme/app:1.2"}
    assert find_copied_secrets([tree]) == {password}


@pytest.mark.parametrize(
    ("words", "secrets"),
    [
        pytest.param(["--password", "plainpw99"], {"plainpw99"}, id="next word"),
        pytest.param(["--api-key=abcd1234"], {"abcd1234"}, id="same word"),
        pytest.param(["--auth-token", "--verbose"], set(), id="an option of its own"),
        pytest.param(["--tokenizer", "mistralai/one"], set(), id="a tokenizer"),
        pytest.param(["--max-tokens", "4096", "--password"], set(), id="a number, and nothing"),
        pytest.param(["mysql", "-uroot", "-pplainpw99"], {"plainpw99"}, id="joined"),
        pytest.param(["/bin/redis-cli", "-a", "plainpw99"], {"plainpw99"}, id="short option"),
        pytest.param(["curl", "-u", "me:plainpw99", "h"], {"plainpw99"}, id="user and password"),
        pytest.param(["--user", "me:plainpw99"], {"plainpw99"}, id="of any command"),
        pytest.param(["env", "PGPASSWORD=plainpw99", "psql"], {"plainpw99"}, id="a variable"),
        pytest.param(["sh", "-c", "mysql -pplainpw99"], {"plainpw99"}, id="in a script"),
        pytest.param(["serve", "-p", "plainpw99", "-a", "plainpw99"], set(), id="no client"),
        pytest.param(["mysql", "-pmyToken99", "shop"], {"myToken99"}, id="sounds like a name"),
        pytest.param(["mysql", "-p", "plainpw99"], set(), id="a database"),
        pytest.param(["mysqladmin", "-p$DB_PASSWORD", "ping"], set(), id="a variable's value"),
        pytest.param(["run", "--user", "app:app", "-u", "1000:1000"], set(), id="groups"),
    ],
)
def test_value_of_a_secret_option_is_found(words: list[str], secrets: set[str]) -> None:
    assert find_secret_texts([{"args": words}]) == secrets


CONTAINER = {"command": ["mysql"], "args": ["-h", "db", "-pplainpw99"]}


def test_command_explains_its_arguments() -> None:
    shown = {"command": ["mysql"], "args": ["-h", "db", "-p[secret]"]}
    assert redact((), CONTAINER) == shown
    assert redact(("spec", "containers", 0), CONTAINER) == shown
    assert find_secret_texts([CONTAINER]) == {"plainpw99"}
    assert list(find_secret_paths(CONTAINER)) == [("args", 2)]
    old = {"command": ["mysql"], "args": ["-h", "db", "-pother"]}
    [change] = compare_objects(old, CONTAINER)
    assert (change.old, change.new) == ("[secret]", "[secret]")


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        pytest.param(("env", "API_TOKEN"), "abc", "[secret]", id="key"),
        pytest.param(("env", "API_TOKEN"), True, True, id="boolean"),
        pytest.param(("env", "API_TOKEN"), "", "", id="empty"),
        pytest.param(("env", "X"), "hf_AbCdEf", "[secret]", id="token"),
        pytest.param(("env", "X"), "hf_transfer", "hf_transfer", id="a package"),
        pytest.param(("env", "X"), "sk-learn-1.5", "sk-learn-1.5", id="a library"),
        pytest.param(("env", "TLS_KEY"), "/etc/tls/tls.key", "/etc/tls/tls.key", id="path"),
        pytest.param(("env", "API_TOKEN"), "$(HUB_TOKEN)", "$(HUB_TOKEN)", id="reference"),
        pytest.param(
            ("httpHeaders",),
            [{"name": "Authorization", "value": "Bearer x"}],
            [{"name": "Authorization", "value": "[secret]"}],
            id="header",
        ),
        pytest.param(
            ("objects", "db", "spec"),
            {"credentials": {"name": "x1"}, "passwords": [{"name": "x2"}]},
            {"credentials": {"name": "[secret]"}, "passwords": [{"name": "[secret]"}]},
            id="name",
        ),
        pytest.param(
            ("imagePullSecrets",), [{"name": "hub-token"}], [{"name": "hub-token"}], id="item"
        ),
        pytest.param(
            ("args",),
            ["--api-key", "x", "--port", "80"],
            ["--api-key", "[secret]", "--port", "80"],
            id="option",
        ),
        pytest.param(
            ("volumes",),
            {"hub-secret": {"secret": "hub", "mountPath": "/secrets"}},
            {"hub-secret": {"secret": "hub", "mountPath": "/secrets"}},
            id="volume of a Secret",
        ),
        pytest.param(
            ("env",),
            {"HUB_TOKEN": {"secret": "hub", "key": "token"}},
            {"HUB_TOKEN": {"secret": "hub", "key": "token"}},
            id="reference to a Secret",
        ),
        pytest.param(("env", "X"), "sklearn-1.5", "sklearn-1.5", id="not a token"),
        pytest.param(("env",), {"X": 1, "DSN": "y"}, {"X": 1, "DSN": "[secret]"}, id="tree"),
        pytest.param(("args",), ["a://u:p@ss@h/x"], ["a://u:[secret]@h/x"], id="password in a URL"),
    ],
)
def test_redact_replaces_what_may_be_secret(path: KeyPath, value: Any, shown: Any) -> None:
    assert redact(path, value) == shown
    if not isinstance(value, dict | list):
        assert is_secret(path, value) == (shown != value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a hunter22-x and hunter22", "a [secret] and [secret]", id="longest first"),
        pytest.param('{"a": "say \\"hi\\""}', '{"a": "[secret]"}', id="as JSON writes it"),
        pytest.param('7 of 17 is "7"', '7 of 17 is "[secret]"', id="short only in quotes"),
    ],
)
def test_redact_text_replaces_secrets(text: str, shown: str) -> None:
    assert redact_text(text, ["hunter22", "hunter22-x", 'say "hi"', "7", ""]) == shown


@pytest.mark.parametrize("text", ["administration", "sysadmin", "myadmins", "/e-administration"])
def test_word_that_is_a_password_is_shown_within_a_longer_one(text: str) -> None:
    assert redact_text(text, ["admin"]) == text


@pytest.mark.parametrize("start", ["/", "a_", "1", "-p", "\\n", "%2F", "\\u00fc"])
@pytest.mark.parametrize("secret", ["admin", "kXqPzRtWvNb"])
def test_word_that_is_a_password_is_redacted_after_a_separator(start: str, secret: str) -> None:
    assert redact_text(f"x{start}{secret}_1", [secret]) == f"x{start}[secret]_1"


def test_password_that_is_no_word_is_redacted_within_a_word() -> None:
    assert redact_text("xkXqPzRtWvNbx", ["kXqPzRtWvNb"]) == "x[secret]x"


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        pytest.param("[secret] of secret", ["secret"], "[secret] of [secret]", id="its own word"),
        pytest.param("x ab12ef y", ["ab12", "12ef"], "x [secret] y", id="overlapping"),
    ],
)
def test_redact_text_leaves_no_part_of_a_secret(text: str, secrets: list[str], shown: str) -> None:
    assert redact_text(text, secrets) == shown
    assert redact_text(shown, secrets) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password = hunter22", "password = [secret]"),
        ("password = hunter 22  # mine", "password = [secret]  # mine"),
        ("db.password=hunter22\nport=80", "db.password=[secret]\nport=80"),
        ("db:\n  password: hunter22\n  port: 80", "db:\n  password: [secret]\n  port: 80"),
        ('{"apiKey": "hunter22", "n": 1}', '{"apiKey": "[secret]", "n": 1}'),
        ("token => 'hunter22';", "token => '[secret]';"),
        ("<password>hunter22</password>", "<password>[secret]</password>"),
        ('<add key="DbPassword" value="hunter22"/>', '<add key="DbPassword" value="[secret]"/>'),
        ("[{name: API_TOKEN, value: hunter22}]", "[{name: API_TOKEN, value: [secret]}]"),
        ('{"name": "GH_PAT", "value": "hunter22"}', '{"name": "GH_PAT", "value": "[secret]"}'),
        ('"key":"token",\n "value":"hunter22",', '"key":"token",\n "value":"[secret]",'),
        (
            "- name: GH_PAT # x\n  # y\n  value: hunter22 # z",
            "- name: GH_PAT # x\n  # y\n  value: [secret] # z",
        ),
        (
            "- name: GH_PAT\n  value: |  # x\n    hunter22\n\n    hunter22\n- name: B",
            "- name: GH_PAT\n  value: |  # x\n    [secret]\n- name: B",
        ),
        ("name: GH_PAT\r\nvalue: >-\r\n  hunter22", "name: GH_PAT\r\nvalue: >-\r\n  [secret]"),
        ("name: GH_PAT\nvalue:\n  hunter 22\nb: c", "name: GH_PAT\nvalue:\n  [secret]\nb: c"),
        ("name: GH_PAT\nvalue: &a hunter22", "name: GH_PAT\nvalue: &a [secret]"),
        ("name: GH_PAT\nvalue: 'it''s hunter22'", "name: GH_PAT\nvalue: '[secret]'"),
        ('name: GH_PAT\nvalue: "x\n  hunter22"', 'name: GH_PAT\nvalue: "[secret]"'),
        ("GH_PAT: 'x\n\n  hunter22'\nb: c", "GH_PAT: '[secret]'\nb: c"),
        ("GH_PAT: >\r\n  x\r\n\r\n  hunter22\r\nb: c", "GH_PAT: >\r\n  [secret]\r\nb: c"),
        ("password:\n  hunter22\nport: 80", "password:\n  [secret]\nport: 80"),
        ("machine h login u password hunter22", "machine h login u password [secret]"),
        ("curl -u admin:hunter22 http://h", "curl -u admin:[secret] http://h"),
        (
            "post https://hooks.slack.com/services/T0/B0/abcdefgh0123456789 now",
            "post https://hooks.slack.com/services/[secret] now",
        ),
        ("Server=h;Uid=u;Pwd=hunter22;Port=1", "Server=h;Uid=u;Pwd=[secret];Port=1"),
        ("https://h/x?api_key=hunter22&n=1", "https://h/x?api_key=[secret]&n=1"),
        ("postgres://u:hunter22@h/db", "postgres://u:[secret]@h/db"),
        ("export DB_PASSWORD='hunter 22'", "export DB_PASSWORD='[secret]'"),
        ("serve --api-key hunter22 --port 80", "serve --api-key [secret] --port 80"),
        ("curl -H 'Authorization: Bearer abcdefgh'", "curl -H 'Authorization: Bearer [secret]'"),
        ("use ghp_abcdefghij0123456789 here", "use [secret] here"),
        ("spring.datasource.password hunter22", "spring.datasource.password [secret]"),
        ("  db.password\thunter 22\nport 80", "  db.password\t[secret]\nport 80"),
        ("db_password hunter\nport 80", "db_password [secret]\nport 80"),
        ("requirepass foobared", "requirepass [secret]"),
        ("ENV API_KEY hunter22", "ENV API_KEY [secret]"),
        ("proxy_set_header X-Api-Key 'hunter22';", "proxy_set_header X-Api-Key '[secret]';"),
        ("set api_key hunter22;", "set api_key [secret];"),
        ("mysql -uroot -phunter22 shop", "mysql -uroot -p[secret] shop"),
        ("/usr/bin/mysqldump -p'hunter 22' db", "/usr/bin/mysqldump -p'[secret]' db"),
        ("a; redis-cli -h r -a hunter22 ping", "a; redis-cli -h r -a [secret] ping"),
        ("redis-cli \\\n  -a hunter22", "redis-cli \\\n  -a [secret]"),
        ("x | mongosh -u u -p 'hunter22;x' | y", "x | mongosh -u u -p '[secret]' | y"),
        ("sshpass -phunter22 ssh h", "sshpass -p[secret] ssh h"),
        ("ldapsearch -x -w hunter22 -b dc=x", "ldapsearch -x -w [secret] -b dc=x"),
        ("sqlcmd -S h -P hunter22", "sqlcmd -S h -P [secret]"),
        ("docker login r -u u -p hunter22", "docker login r -u u -p [secret]"),
        ("curl -sS -uadmin:hunter22 http://h:80", "curl -sS -uadmin:[secret] http://h:80"),
        ('curl --user "a:hunter22" x', 'curl --user "a:[secret]" x'),
        ("curl --proxy-user=a:hunter22 x", "curl --proxy-user=a:[secret] x"),
        ("PGPASSWORD=hunter22 psql -h h -p 5432", "PGPASSWORD=[secret] psql -h h -p 5432"),
        ("https://b/x?se=1&sig=hunter22%3D", "https://b/x?se=1&sig=[secret]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx", "[secret]\nx"),
    ],
)
def test_only_the_secret_within_a_text_is_replaced(text: str, shown: str) -> None:
    assert redact_within(text) == shown
    assert is_secret(("config", "files", "app.conf"), text)
    found = find_secret_texts([{"config": {"files": {"app.conf": text}}}])
    assert all(secret not in redact_text(text, found) for secret in ("hunter22", "abcdefgh"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("k: &a hunter 22\nGH_PAT: *a", "k: &a [secret]\nGH_PAT: [secret]"),
        ("- GH_PAT: !!str |\n    hunter22\n- b", "- GH_PAT: [secret]\n    [secret]\n- b"),
        ("GH_PAT: # x\n  hunter 22 # y\nb: c", "GH_PAT: [secret]\n  [secret] # y\nb: c"),
        ("GH_PAT: hunter22\n  hunter:33\nb: c", "GH_PAT: [secret]\nb: c"),
        ("value: hunter22\n  hunter33\nname: GH_PAT", "value: [secret]\nname: GH_PAT"),
        ("name: GH_PAT\ntype: x\nvalue: hunter22", "name: GH_PAT\ntype: x\nvalue: [secret]"),
        ('name: GH_PAT\nvalue:\n  "hunter: 22"', 'name: GH_PAT\nvalue:\n  "[secret]"'),
        ("GH_PAT:\n  value: hunter22", "GH_PAT:\n  value: [secret]"),
        ("{GH_PAT: hunter22 hunter33, b: c}", "{GH_PAT: [secret], b: c}"),
        ("API_KEYS:\n- hunter22\n- b c", "API_KEYS:\n- [secret]\n- [secret]"),
        ("args:\n- --api-key\n- hunter22\n- b", "args:\n- --api-key\n- [secret]\n- b"),
        ("\ufeffGH_PAT:\n  hunter 22\nb: c", "\ufeffGH_PAT:\n  [secret]\nb: c"),
        ("a: |\n  \ufeffGH_PAT:\n    hunter 22\nb: c", "a: |\n  \ufeffGH_PAT:\n    [secret]\nb: c"),
        ('{"API key": "hunter 22"}', '{"API key": "[secret]"}'),
        ("a: b\nConnection String:\n  hunter 22", "a: b\nConnection String:\n  [secret]"),
        ("args:\n- redis-cli\n- -a\n- hunter22", "args:\n- redis-cli\n- -a\n- [secret]"),
        ("['7z', -phunter22]", "['7z', [secret]]"),
        ("[x, -u, 'a:hunter22']", "[x, -u, '[secret]']"),
        ('a: "b\\nauth: hunter 22"\nb: c', 'a: "b\\nauth: [secret]"\nb: c'),
        ("a: b\n---\nGH_PAT:\n  hunter 22", "a: b\n---\nGH_PAT:\n  [secret]"),
        # Texts within a text.
        (
            "- name: A\n  value: |\n    b:\n    - name: GH_PAT\n      value: hunter 22\n- c",
            "- name: A\n  value: |\n    b:\n    - name: GH_PAT\n      value: [secret]\n- c",
        ),
        (
            "a: |\r\n  b: |\r\n\r\n   PW: |\r\n    hunter22\r\n   c: |\r\n    PW:\r\n     h 33",
            "a: |\r\n  b: |\r\n\r\n   PW: |\r\n    [secret]\r\n   c: |\r\n    PW:\r\n     [secret]",
        ),
        ('a: "GH_PAT: hunter 22\\nb: c"\n', 'a: "GH_PAT: [secret]\\nb: c"\n'),
        ('a: "GH_PAT: \\"hunter 22\\""\nb: c', 'a: "GH_PAT: [secret]"[secret]\\""\nb: c'),
        ("a: '{GH_PAT: hunter 22}'\nb: c", "a: '{GH_PAT: [secret]}'\nb: c"),
        ('a: "b: c\\nGH_PAT: \\x68unter"\nd: e', 'a: "[secret]"\nd: e'),
        # Not YAML as a whole.
        (
            "{{ x }}\na: |\n  auth:\n    GH_PAT: |\n\n      hunter22\n      hunter33\nb: c",
            "{{ x }}\na: |\n  auth:\n    GH_PAT: |\n\n      [secret]\nb: c",
        ),
    ],
)
def test_secret_in_any_form_of_yaml_is_replaced(text: str, shown: str) -> None:
    assert redact_within(text) == shown


def test_secret_on_the_lines_below_its_key_is_replaced() -> None:
    text = "db:\n  password: |\n    hunter22\n    hunter33\n  port: 80"
    shown = redact_within(text)
    assert "hunter" not in shown
    assert shown.endswith("\n  port: 80")


@pytest.mark.parametrize(
    "text",
    [
        "password = ${DB_PASSWORD}", "password: {{ password }}", "password = $(DB_PASSWORD)",
        "password =\nport = 80", "auth = off", "auth: true", "token: <your token>", "token: op://vault/item/field",
        "max_tokens: 4096", "tokenizer = mistralai/one", "ssl_key = /etc/tls/tls.key",
        "key = value", "cache_key: model-{name}", "secretName: hub", "image: r/x:sk-1",
        "--max-num-batched-tokens 8192", "--tokenizer mistralai/one", "passphraseFile: /run/x",
        "pad_token: eos", "model-repository: s3://bucket/sentiment", "text with: a colon",
        "docker run -u 1000:1000 x", "password:\n  secretName: hub",
        "- name: GH_PAT\n  valueFrom: {x: y}", "- name: TOKENIZER\n  value: mistralai/one",
        "- name: GH_PAT\n  value:\n    secretName: hub",
        "name: GH_PAT\nvalue:\nport: 80", "- name: GH_PAT\n  value: |\n    $(B)\n  b: c",
        "- name: GH_PAT\n  value: $(B)", "- name: GH_PAT\n- value: x",
        "password: |\n", "a:\n  token: >-  # x\r\n", "API_KEY: |",
        "auth:\nport: 80", "password required", "token bucket\nsize 3", "password must be set",
        "secret_name = hub\nkey_path /etc/tls", "tokenizer.path mistralai/one", "auth_mode basic",
        "ssh -p 2222 h", "psql -p 5432", "mysql -P 3306 -p shop", "serve -a x -p 8080",
        "redis-cli -a $REDIS_AUTH ping", "mysql -p$DB_PW", 'mysql -p"${DB_PW}"', "mkdir -p a/b",
        "docker run -u app:app -p 80:80 x", "chown -R x; su -u nobody:nogroup",
        "curl -u $USER:$PW h",
        "docker run -p 8080:80 login", "curl -o x -u user http://h:80", "tar -xpf login.tgz",
        "mysqladmin -uroot -p$MYSQL_ROOT_PASSWORD ping", "proxy_pass http://localhost:6333/metrics;",
        "cookie_domain example.com", "salt_rounds 12", "curl -H 'Accept: text/html' http://u:80/x",
    ],
)  # fmt: skip
def test_text_without_a_secret_stays(text: str) -> None:
    assert redact_within(text) == text
    assert not is_secret(("config", "files", "app.conf"), text)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a-",
        "a=",
        "a.b: ",
        "eyJ",
        "://a:",
        'a="',
        "A1+/",
        "<a>",
        "--a ",
        "\n",
        " ",
        "a:\n ",
        "-u a:",
        "mysql ",
        "mysql -p",
        "curl -ua:b ",
        "docker 'login ",
        "a.password x",
        "a_key b\n",
        "set key ",
        "name: a_key\n",
        "name: a_key\n\n\n",
        "name: a_key #",
        "name: a_key, value: ",
        "name: a_key\nvalue: |\n",
        "name: a_key\nvalue: |\n ",
        'name: a_key\nvalue: "\n ',
        "a_key: |\n\n ",
        "a_key:\n a\n",
        "- ",
        "- \n",
        "[",
        "[\n",
        "{a: [\n",
        "a: &b [c]\n",
        "- a_key: hunter22\n",
        "- |\n  a_key: hunter22\n",
        "'\n",
    ],
)
def test_long_line_is_scanned_in_linear_time(unit: str) -> None:
    text = unit * (300_000 // len(unit))
    started = time.process_time()
    redact_within(text)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("imagePullSecrets: [{name: robot-pull}]", "imagePullSecrets: [{name: robot-pull}]"),
        ("+  pullSecrets: [robot-pull]", "+  pullSecrets: [robot-pull]"),
        ("secrets: [{name: robot-token}]", "secrets: [{name: robot-token}]"),
        ("secrets: [{password: hunter22}]", "secrets: [{password: [secret]}]"),
        ("secrets: [hunter22]", "secrets: [secret]"),
    ],
)
def test_lists_of_the_names_of_secrets_are_shown(text: str, shown: str) -> None:
    assert redact_within(text) == shown


def test_name_in_a_manifest_is_no_secret() -> None:
    named = {"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}]}
    assert redact(("spec",), named, of_manifest=True) == named
