"""Values that the API server refuses, or that cannot be meant, are errors at the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.small_catalog import check, write_files

A = "catalog/a.yaml"
SIDE = "image: 'ghcr.io/a/b:1'"
HPA = "autoscaling: {minReplicas: 4, maxReplicas: 8, metrics: {q: %s}}"
CONTAINER_METRIC = (
    "{type: ContainerResource, containerResource: {name: cpu, container: %s, "
    "target: {type: Utilization, averageUtilization: 60}}}"
)


def _find(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    """Returns position and message of every error of a model with these settings."""
    checked = check(write_files(tmp_path, {A: f"+{text}\n"}))
    return [(error.position, error.message) for error in checked.errors]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("replicas: §3000000000", "expected 2147483647 or less"),
        ("rollout: {revisionHistoryLimit: §2147483648}", "expected 2147483647 or less"),
        ("startupSeconds: §99999999999", "expected 2147483647 or less"),
        ("rollout: {maxSurge: §2147483648}", "expected a whole number or a percentage"),
        ("disruptionBudget: {maxUnavailable: §150%}", 'a percentage up to "100%"'),
        ("disruptionBudget: {minAvailable: §101%}", 'a percentage up to "100%"'),
        ("rollout: {maxUnavailable: §200%}", 'a percentage up to "100%"'),
        ('env: {A: §"a\\0b"}', "expected text without the character NUL"),
        ('args: [a, §"\\0"]', "expected text without the character NUL"),
        (f'sidecars: {{s: {{{SIDE}, command: [§"x\\0"]}}}}', "without the character NUL"),
        ('volumes: {v: {emptyDir: {}, mountPath: §"/a\\0"}}', "expected an absolute path"),
        ("volumes: {v: {hostPath: §/a/../b, mountPath: /v}}", "without '..'"),
        ("volumes: {v: {secret: s, mountPath: /v, items: {k: §''}}}", "expected the path of a"),
        ("env: {A: {secret: s, key: §..a}}", "not starting with '..'"),
        ("pod: {hostAliases: {§'fe80::1%eth0': [a]}}", "expected an IP address"),
        ("pod: {hostAliases: {§'::ffff:10.0.0.1': [a]}}", "expected an IP address"),
        ("pod: {hostAliases: {10.0.0.1: [§'*.example.com']}}", "expected a DNS name"),
        ("ingress: {host: §1.2.3.4}", "expected a DNS name"),
        ("ports: {http: {containerPort: 8080, appProtocol: §a b}}", "expected a protocol such as"),
        ("service: {ports: {http: {appProtocol: §é}}}", "expected a protocol such as"),
        ("env: {A: {field: §\"metadata.labels['x/y/z']\"}}", "expected metadata.name"),
        ("pod: {dnsPolicy: §None}", "expected dnsConfig.nameservers with it"),
        ("pod: {dnsPolicy: §None, dnsConfig: {searches: [a]}}", "expected dnsConfig.nameservers"),
        ("networkPolicy: {allowFrom: {a: {cidr: §10.0.0.0}}}", "expected a range of addresses"),
        ("networkPolicy: {allowFrom: {a: {cidr: §10.0.0.0/255.0.0.0}}}", "a range of addresses"),
        ("networkPolicy: {allowFrom: {a: {cidr: §'::ffff:10.0.0.0/104'}}}", "a range of addresses"),
        ("resources: {limits: {§requests.x.com/gpu: 1}}", "or a device such as nvidia.com/gpu"),
        ("ingress: {host: a.b, className: x, annotations: {kubernetes.io/ingress.class: §y}}",
         'another class than className ("x")'),
        ("service: {annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: "
         "§10.0.0.0/8}}", "with type LoadBalancer only, not ClusterIP"),
        ("podAnnotations: {controller.kubernetes.io/pod-deletion-cost: §'1.5'}", "a whole number"),
        ("podAnnotations: {container.apparmor.security.beta.kubernetes.io/x: §unconfined}",
         "names no container of the Pod; expected one of model"),
        ("security: {addCapabilities: §[CAP_SYS_ADMIN]}", "expected allowPrivilegeEscalation"),
    ],
    ids=lambda value: value if "§" in value else "",
)  # fmt: skip
def test_a_value_that_the_server_refuses_is_an_error(
    text: str, message: str, tmp_path: Path
) -> None:
    ((position, found),) = _find(tmp_path, text.replace("§", ""))
    assert position == f"{A}:4:{text.index('§') + 1}"
    assert message in found


@pytest.mark.parametrize("path", ["//", "/a//b", "/a/./b", "/a/../b", "/a%2fb", "/%2F", "/a/.."])
@pytest.mark.parametrize("path_type", ["Prefix", "Exact", "ImplementationSpecific"])
def test_an_ingress_path_is_one_that_a_request_can_have(
    path: str, path_type: str, tmp_path: Path
) -> None:
    text = f"ingress: {{host: a.example.com, pathType: {path_type}, path: {path}}}"
    found = _find(tmp_path, text)
    if path_type == "ImplementationSpecific":
        assert found == []
    else:
        assert [position for position, _ in found] == [f"{A}:4:{text.index(path) + 1}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("requests: {memory: §512m}", 'less than one byte; did you mean "512Mi"?'),
        ("requests: {memory: §8}", 'is 8, which is 8 bytes; did you mean "8Gi"?'),
        ("requests: {memory: §1.5}", ""),
        ("limits: {memory: §500k}", 'which is 500000 bytes; did you mean "500Mi"?'),
        ("limits: {ephemeral-storage: §20}", 'did you mean "20Gi"?'),
        ("limits: {cpu: §4Gi}", 'is 4Gi, which is 4294967296 cores; did you mean "4"?'),
        ("limits: {cpu: §500Mi}", 'did you mean "500m"?'),
        ("requests: {cpu: §4000}", 'did you mean "4000m"?'),
        (
            "requests: {cpu: §500}",
            'is 500, which is 500 cores; did you mean "500m"? If you mean that many, write "500000',
        ),
        ('limits: {cpu: §"250"}', 'did you mean "250m"?'),
        ("requests: {cpu: §500000}", 'did you mean "500000m"?'),
        ("limits: {memory: 1Gi, hugepages-2Mi: §3Mi}", "expected a multiple of the size of a page"),
    ],
)
def test_an_amount_in_a_unit_that_cannot_be_meant_is_an_error(
    text: str, message: str, tmp_path: Path
) -> None:
    full = f"sidecars: {{s: {{{SIDE}, resources: {{{text}}}}}}}"
    found = dict(_find(tmp_path, full.replace("§", "")))
    assert message in found[f"{A}:4:{full.index('§') + 1}"]


@pytest.mark.parametrize(
    "text",
    [
        "volumes: {v: {emptyDir: {sizeLimit: §10}, mountPath: /v}}",
        "volumes: {v: {claim: {size: §100m, accessModes: [ReadWriteMany]}, mountPath: /v}}",
        "volumes: {v: {claim: {size: §0, accessModes: [ReadWriteMany]}, mountPath: /v}}",
        "volumes: {v: {ephemeral: {size: §5}, mountPath: /v}}",
    ],
)
def test_a_volume_of_a_few_bytes_is_an_error(text: str, tmp_path: Path) -> None:
    ((position, _),) = _find(tmp_path, text.replace("§", ""))
    assert position == f"{A}:4:{text.index('§') + 1}"


@pytest.mark.parametrize(
    "text",
    [
        "requests: {cpu: 1, memory: 1Mi}, limits: {memory: 1Mi}",
        "requests: {cpu: 96, memory: 2Ti}",
        "limits: {memory: 1500000000}",
        "requests: {memory: 0}",
        "limits: {memory: 1Gi, hugepages-2Mi: 4Mi}",
        "limits: {memory: 0.5Gi, cpu: '0.25'}",
        "requests: {nvidia.com/gpu: 8}, limits: {nvidia.com/gpu: 8}",
    ],
)
def test_an_amount_that_can_be_meant_is_no_error(text: str, tmp_path: Path) -> None:
    assert _find(tmp_path, f"sidecars: {{s: {{{SIDE}, resources: {{{text}}}}}}}") == []


def test_huge_pages_need_cpu_or_memory(tmp_path: Path) -> None:
    text = f"sidecars: {{s: {{{SIDE}, resources: {{limits: {{hugepages-2Mi: 4Mi}}}}}}}}"
    ((_, message),) = _find(tmp_path, text)
    assert "is allowed only in a container that requests or limits cpu or memory" in message


@pytest.mark.parametrize(
    ("resource", "divisor", "valid"),
    [
        ("limits.cpu", "1", True),
        ("limits.cpu", "1m", True),
        ("limits.cpu", "1000m", True),
        ("limits.cpu", "500m", False),
        ("limits.memory", "1Mi", True),
        ("limits.memory", "1m", False),
        ("limits.memory", "2Mi", False),
        ("requests.ephemeral-storage", "1Gi", True),
    ],
)
def test_a_divisor_is_one_that_the_server_accepts(
    resource: str, divisor: str, valid: bool, tmp_path: Path
) -> None:
    found = _find(tmp_path, f"env: {{A: {{resource: {resource}, divisor: {divisor}}}}}")
    assert [message.split(";")[0] for _, message in found] == (
        [] if valid else [f"env.A.divisor is {divisor}"]
    )


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("env: {A: {resource: limits.memory, container: §nothere}}", "known: model"),
        ("env: {A: {resource: limits.memory, container: §modle}}", 'did you mean "model"?'),
        (f"sidecars: {{s: {{{SIDE}, env: {{A: {{resource: limits.cpu, container: §x}}}}}}}}",
         "known: model, s"),
        (HPA % CONTAINER_METRIC % "§sidecar", "known: model"),
    ],
)  # fmt: skip
def test_a_reference_to_an_unknown_container_is_an_error(
    text: str, known: str, tmp_path: Path
) -> None:
    ((position, message),) = _find(tmp_path, text.replace("§", ""))
    assert position == f"{A}:4:{text.index('§') + 1}"
    assert "which is not a container of the Pod" in message
    assert known in message


@pytest.mark.parametrize(
    "text",
    [
        "env: {A: {resource: limits.memory, container: model}}",
        f"sidecars: {{s: {{{SIDE}}}}}\nenv: {{A: {{resource: limits.memory, container: s}}}}",
        f"sidecars: {{s: {{{SIDE}}}}}\n{HPA % CONTAINER_METRIC % 's'}",
        "env: {A: {resource: limits.memory, container: p}}\npatch: {Deployment: {spec: {template: "
        "{spec: {containers: [{name: p, image: 'a/b:1'}]}}}}}",
    ],
)
def test_a_reference_to_a_container_of_the_pod_is_no_error(text: str, tmp_path: Path) -> None:
    assert _find(tmp_path, text) == []


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("annotations: {a: %s}", "annotations.a"),
        ("podAnnotations: {a: %s}", "podAnnotations.a"),
        ("service: {annotations: {a: %s}}", "service.annotations.a"),
        ("serviceAccount: {annotations: {a: %s}}", "serviceAccount.annotations.a"),
        ("ingress: {host: h, annotations: {a: %s}}", "ingress.annotations.a"),
        ("description: %s", "description"),
    ],
)
def test_annotations_of_an_object_have_at_most_256_kib(
    setting: str, path: str, tmp_path: Path
) -> None:
    text = setting % ("x" * 262_144)
    ((position, message),) = _find(tmp_path, text)
    assert position == f"{A}:4:{text.index('x' * 9) + 1}"
    assert message.startswith(f"{path} has 2621")
    assert _find(tmp_path, setting % ("x" * 260_000)) == []


@pytest.mark.parametrize(
    ("files", "largest"),
    [
        ({"a.json": 1_048_577}, "a.json"),
        ({"a": 600_000, "b": 500_000}, "a"),
        ({"a": 500_000, "b": 600_000}, "b"),
        ({"a": 1_048_576}, ""),
    ],
)
def test_a_config_map_has_at_most_one_mib(
    files: dict[str, int], largest: str, tmp_path: Path
) -> None:
    content = ", ".join(f"{name}: {'x' * size}" for name, size in files.items())
    found = _find(tmp_path, f"config: {{mountPath: /c, files: {{{content}}}}}")
    assert [message.split(" of them in ")[1].split(";")[0] for _, message in found] == (
        [largest] if largest else []
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("ingress: {host: h}\npatch: {Service: {spec: {ports: [{port: 8080, name: §web}]}}}",
         "port \"http\", which the Service does not have; expected one of the ports: web"),
        ("ingress: {host: h}\npatch: {Ingress: {spec: {defaultBackend: §{service: {name: a, port: "
         "{name: x}}}}}}", "expected one of the ports: http"),
        ("ingress: {host: h}\npatch: {Ingress: {spec: {defaultBackend: §{service: {name: a, port: "
         "{number: 81}}}}}}", 'port "81"'),
    ],
)  # fmt: skip
def test_an_ingress_names_a_port_that_the_service_has(
    text: str, where: str, tmp_path: Path
) -> None:
    ((position, message),) = _find(tmp_path, text.replace("§", ""))
    line = text.splitlines()[1]
    assert position.startswith(f"{A}:5:")
    assert int(position.rpartition(":")[2]) <= line.index("§") + 1
    assert where in message


@pytest.mark.parametrize(
    "patch",
    [
        "Service: {spec: {ports: [{port: 8080, name: web}]}}, Ingress: {spec: {rules: [{http: "
        "{paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {name: web}}}}]}}]"
        "}}",
        "Ingress: {spec: {defaultBackend: {service: {name: other, port: {name: x}}}}}",
        "Ingress: {spec: {defaultBackend: {service: {name: a, port: {number: 8080}}}}}",
    ],
)  # fmt: skip
def test_an_ingress_may_name_what_exists(patch: str, tmp_path: Path) -> None:
    assert _find(tmp_path, f"ingress: {{host: h}}\npatch: {{{patch}}}") == []
