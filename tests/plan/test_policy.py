"""The rules of a policy, and the waivers with which a model may break one until a date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from framework.core.diagnostics import group_diagnostics
from framework.plan.checks.policy import RULES
from framework.settings.environment import Policy
from framework.settings.json_schema import build_settings
from tests.plan.small_catalog import PROD, check, check_all, list_diagnostics, write_files

MODEL = "catalog/a.yaml"
SHA = f"sha256:{'0' * 64}"
REGISTRY = "allowedRegistries: [ghcr.io]"
INIT = "initContainers: {i: {image: 'docker.io/x/y:1'}}\n"
SIDECAR = "sidecars: {s: {image: 'ghcr.io/x/y:1', resources: {limits: {memory: 1Gi}}}}\n"
ESCALATION = "allowPrivilegeEscalation: true"
OWN = "containers: [{name: model"
SCALED = "autoscaling: {minReplicas: 1, maxReplicas: 9, cpu: 50}\n"
NO_SURGE = "rollout: {maxSurge: 0, maxUnavailable: 1}\n"
# A setting that breaks a rule, and the position of the error.
CASES = (
    ("registry", REGISTRY, INIT, "4:29"),
    ("folder", "allowedRegistries: [ghcr.io/acme]", INIT, "4:29"),
    ("implied registry", REGISTRY, "sidecars: {s: {image: 'nginx:1'}}\n", "4:23"),
    ("image volume", REGISTRY, "volumes: {v: {image: 'x/w:1', mountPath: /w}}\n", "4:22"),
    ("candidate", REGISTRY, "canary: {candidate: {image: {repository: r.io/x}}}\n", "4:42"),
    ("latest", "forbidLatest: true", "sidecars: {s: {image: 'nginx:latest'}}\n", "4:23"),
    ("digest", "requireDigest: true", "canary: {candidate: {image: {tag: v2}}}\n", "4:35"),
    ("owner", "allowedOwners: [team-b]", "", "1:8"),
    ("label", "requireLabels: [tier]", "labels: {x: y}\n", "4:9"),
    ("requests", "requireRequests: true", INIT, "4:21"),
    ("memory limit", "requireLimits: true", INIT, "4:21"),
    ("cpu limit", "requireLimits: [cpu]", "resources: {limits: {memory: 2Gi}}\n", "4:21"),
    ("readiness", "requireProbes: true", "probes: {readiness: null}\n", "4:21"),
    ("liveness", "requireProbes: [liveness]", "probes: {startup: {httpGet: {}}}\n", "4:9"),
    ("too few", "minReplicas: 2", "replicas: 1\n", "4:11"),
    ("scaled too low", "minReplicas: 2", SCALED, "4:28"),
    ("too many", "maxReplicas: 8", "replicas: 9\n", "4:11"),
    ("scaled too high", "maxReplicas: 8", SCALED, "4:44"),
    ("root", "podSecurity: restricted", "security: {runAsNonRoot: false}\n", "4:26"),
    ("capability", "podSecurity: baseline", "security: {addCapabilities: [BPF]}\n", "4:29"),
    (
        "host network",
        "podSecurity: baseline",
        f"scheduling: {{hostNetwork: true}}\n{NO_SURGE}",
        "4:27",
    ),
    ("variable", "forbidPlainSecrets: true", "env: {API_TOKEN: abc}\n", "4:18"),
    ("argument", "forbidPlainSecrets: true", "args: [--api-key, abc]\n", "4:19"),
    (
        "config",
        "forbidPlainSecrets: true",
        "config: {mountPath: /c, files: {a: 'password = x'}}\n",
        "4:36",
    ),
    ("annotation", "forbidPlainSecrets: true", "annotations: {u: 'x://u:pw@h'}\n", "4:18"),
    (
        "patched variable",
        "forbidPlainSecrets: true",
        "patch: {Deployment: {spec: {template: {spec: {containers: [{name: model, env: "
        "[{name: DB_PWD, value: x}]}]}}}}}\n",
        "4:102",
    ),
    ("hostPath", "podSecurity: baseline", "volumes: {v: {hostPath: /x, mountPath: /w}}\n", "4:14"),
)
RULE_OF = {rule.setting: rule.name for rule in RULES}
BROKEN_RULES = [
    pytest.param(policy, more, position, RULE_OF[policy.partition(":")[0]], id=name)
    for name, policy, more, position in CASES
]
VALID = (
    f"owner: team-b\nprofiles: [server]\nimage: {{tag: v1, digest: '{SHA}'}}\n"
    "labels: {tier: x}\nprobes: {liveness: {httpGet: {}}}\nresources: {limits: {cpu: 1}}\n"
)


def write(root: Path, policy: str, more: str) -> Path:
    policies = f"+policy:\n  {policy}\n"
    return write_files(root, {MODEL: f"+{more}", "catalog/b.yaml": VALID, PROD: policies})


@pytest.mark.parametrize(("policy", "more", "position", "rule"), BROKEN_RULES)
def test_a_broken_rule_is_reported_with_its_name_and_position(
    tmp_path: Path, policy: str, more: str, position: str, rule: str
) -> None:
    diagnostics = check(write(tmp_path, policy, more)).errors
    assert (f"{MODEL}:{position}", "MC404", "a") in list_diagnostics(diagnostics)
    assert {diagnostic.model for diagnostic in diagnostics} == {"a"}
    assert all(f"(rule {rule}, {PROD}:3)" in diagnostic.message for diagnostic in diagnostics)


@pytest.mark.parametrize(("policy", "more", "position", "rule"), BROKEN_RULES)
def test_a_waiver_is_valid_until_its_last_day(
    tmp_path: Path, policy: str, more: str, position: str, rule: str
) -> None:
    # Only the rule that is waived is broken.
    waiver = f"waivers: {{{rule}: {{reason: agreed, until: '2027-01-31'}}}}\n"
    root = write(tmp_path, policy, more + waiver)
    assert check(root).errors == check(root, today=date(2027, 1, 31)).errors == ()
    diagnostics = check(root, today=date(2027, 2, 1)).errors
    assert {diagnostic.code.value for diagnostic in diagnostics} == {"MC404", "MC405"}
    [expired] = [diagnostic for diagnostic in diagnostics if diagnostic.code.value == "MC405"]
    assert f"the waiver of the rule {rule} ended on 2027-01-31" in expired.message


@pytest.mark.parametrize(
    ("teams", "words"),
    [
        ("team-b", 'did you mean "team-b"? allowed: team-b (rule'),
        ("zebra, bears", "own a model; allowed: bears, zebra (rule"),
        (", ".join(f"z{n}" for n in range(10)), "z0, z1, z2, z3, z4, z5, z6, z7 and 2 more"),
    ],
    ids=["near", "none near", "many"],
)
def test_the_teams_that_may_own_a_model_are_listed(tmp_path: Path, teams: str, words: str) -> None:
    diagnostics = check(write(tmp_path, f"allowedOwners: [{teams}]", "")).errors
    assert words in next(
        diagnostic.message for diagnostic in diagnostics if diagnostic.model == "a"
    )


@pytest.mark.parametrize(
    ("policy", "patch"),
    [
        ("podSecurity: baseline", "hostNetwork: §true"),
        ("podSecurity: baseline", "securityContext: {seccompProfile: §{type: Unconfined}}"),
        (
            "podSecurity: baseline",
            f"{OWN}, securityContext: {{privileged: §true, {ESCALATION}}}}}]",
        ),
        ("podSecurity: baseline", "volumes: [{name: v, hostPath: §{path: /x}}]"),
        (REGISTRY, "containers: [{name: x, image: §'nginx:1'}]"),
        (REGISTRY, "initContainers: [{name: s, image: §'nginx:1'}]"),
        (REGISTRY, "volumes: [{name: v, image: {reference: §'x/w:1'}}]"),
        ("requireProbes: true", f"{OWN}, readinessProbe: §null}}]"),
        ("requireLimits: true", "initContainers: [{name: s, resources: {limits: §null}}]"),
        ("requireLimits: true", "containers: [{name: x, image: y, resources: §{}}]"),
    ],
    ids=[
        "Pod", "Pod's context", "context", "hostPath", "container", "sidecar's image",
        "image volume", "probe taken away", "limit taken away", "container without a limit",
    ],
)  # fmt: skip
def test_a_rule_broken_by_a_patch_is_reported_at_the_patch(
    tmp_path: Path, policy: str, patch: str
) -> None:
    line = f"patch: {{Deployment: {{spec: {{template: {{spec: {{{patch}}}}}}}}}}}\n"
    more = SIDECAR + line.replace("§", "") + NO_SURGE
    diagnostics = check(write(tmp_path, policy, more)).errors
    # The Pod's own context is that of each container.
    assert {*list_diagnostics(diagnostics)} == {(f"{MODEL}:5:{line.index('§') + 1}", "MC404", "a")}


def test_a_probe_removed_by_a_patch_is_reported_at_the_patch(tmp_path: Path) -> None:
    pod = f"{{{OWN}, readinessProbe: null}}]}}"
    taken = f"patch: {{Deployment: {{spec: {{template: {{spec: {pod}}}}}}}}}\n"
    [diagnostic] = check(write(tmp_path, "requireProbes: true", taken)).errors
    words = "containers[0].readinessProbe removes probes.readiness; remove it from the patch"
    assert words in diagnostic.message


def test_a_registry_in_a_profile_is_reported_once_for_all_models(tmp_path: Path) -> None:
    root = write(tmp_path, "allowedRegistries: [r.io]", "")
    [group] = group_diagnostics(check(root).errors)
    assert group.diagnostic.position == "catalog/_profiles/server.yaml:1:21"
    assert group.models == ("a", "b")


def test_every_rule_is_tested_and_documented_by_its_name() -> None:
    documented = build_settings(Policy)["Policy"]["properties"]
    # The list of cluster-scoped kinds allows more, and forbids nothing.
    assert RULE_OF.keys() == documented.keys() - {"clusterScopedKinds"}
    assert {case.values[3] for case in BROKEN_RULES} == set(RULE_OF.values())
    for setting, name in RULE_OF.items():
        assert documented[setting]["description"].startswith(f"Rule `{name}`: ")


WAIVER = "waivers: {digest: {reason: agreed, until: '2027-01-31'}}\n"
OVERLAY = "environments/prod/models/a.yaml"


@pytest.mark.parametrize(
    ("changes", "diagnostics"),
    [
        pytest.param(
            {MODEL: f"+{WAIVER.replace('digest', 'digests')}"},
            [(f"{MODEL}:4:20", "MC405", "a")], id="no such rule",
        ),
        pytest.param({OVERLAY: WAIVER}, [(f"{OVERLAY}:1:19", "MC405", "")], id="useless here"),
        pytest.param({MODEL: f"+{WAIVER}"}, [], id="another environment may need it"),
        pytest.param(
            {OVERLAY: WAIVER, MODEL: "+replica: 1\n"},
            [(f"{MODEL}:4:1", "MC101", "")], id="what its model breaks is not known",
        ),
    ],
)  # fmt: skip
def test_a_waiver_that_silences_nothing_is_an_error(
    tmp_path: Path, changes: dict[str, str], diagnostics: list[tuple[str, str, str]]
) -> None:
    found = check(write_files(tmp_path, changes)).errors
    assert [(position, code) for position, code, _ in list_diagnostics(found)] == [
        expected[:2] for expected in diagnostics
    ]


@pytest.mark.parametrize(
    ("policy", "useless"), [("+policy: {requireDigest: true}\n", 0), ("+protect: true\n", 1)]
)
def test_a_waiver_in_the_catalog_must_be_needed_in_one_environment(
    tmp_path: Path, policy: str, useless: int
) -> None:
    changes = {"catalog/_defaults.yaml": f"+{WAIVER}", PROD: policy}
    root = write_files(tmp_path, changes)
    found = [diagnostic for diagnostic in check_all(root) if diagnostic.code.value == "MC405"]
    assert list_diagnostics(found) == [("catalog/_defaults.yaml:5:19", "MC405", "")] * useless


@pytest.mark.parametrize(
    ("more", "position"),
    [
        pytest.param(
            "sidecars: {s: {image: 'ghcr.io/x/y:1', security: {addCapabilities: [BPF]}}}\n",
            f"{MODEL}:4:68", id="its own",
        ),
        pytest.param(
            "sidecars: {s: {image: 'ghcr.io/x/y:1'}}\nsecurity: {addCapabilities: [BPF]}\n",
            f"{MODEL}:5:29", id="the model's",
        ),
    ],
)  # fmt: skip
def test_an_insecure_sidecar_is_reported_at_the_setting_that_decides(
    tmp_path: Path, more: str, position: str
) -> None:
    diagnostics = check(write(tmp_path, "podSecurity: baseline", more)).errors
    assert {diagnostic.position for diagnostic in diagnostics} == {position}
    assert any('container "s"' in diagnostic.message for diagnostic in diagnostics)
