"""Settings that the API server would refuse are errors at their position, which § marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.diagnostics import Code
from tests.plan.small_catalog import check, write_files

A, PROFILE, DEFAULTS = "catalog/a.yaml", "catalog/_profiles/server.yaml", "catalog/_defaults.yaml"
SERVER = "image: {repository: ghcr.io/acme/server, tag: v1}\n"
LONG = "x" * 64
_VOLUME = "volumes: {v: {claim: c, mountPath: /v}}"
_SIDE = "image: r/s:1"

FORMS = [
    ("label key", "labels: {§-a: x}", '"-a" is not a valid name for labels; expected a label'),
    ("label prefix", "labels: {§A.b/c: x}", "expected a label's key"),
    ("label value", "labels: {a: §'b c'}", "expected at most 63 letters"),
    ("long label value", f"labels: {{a: §{LONG}}}", "expected at most 63 letters"),
    ("annotation key", "annotations: {§a/b/c: x}", "expected an annotation's key"),
    ("Pod annotation key", f"podAnnotations: {{§{LONG}: x}}", "expected an annotation's key"),
    ("node label", "scheduling: {nodeSelector: {§'a b': x}}", "expected a label's key"),
    ("owner", "owner: §'a b'", "expected a team"),
    ("name of a variable", "variables: {§a.b: x}", "expected a letter or '_', then letters"),
    ("fraction", "variables: {tag: §1.10}", 'quote it, as in "1.10"'),
    ("list of variables", "variables: {tags: §[a]}", "expected text, a whole number"),
    ("variable", "env: {§1A: x}", "expected a variable's name"),
    ("Secret", "env: {A: {secret: §Up, key: k}}", "expected an object's name"),
    ("key of a Secret", "env: {A: {secret: s, key: §'a b'}}", "expected a key"),
    ("field", "env: {A: {field: §metadata.nme}}", "expected metadata.name"),
    ("resource field", "env: {A: {resource: §limits.gpu}}", "expected limits or requests"),
    ("port name", "ports: {§a--b: 1}", "expected a port name"),
    ("volume name", "volumes: {§V: {claim: c, mountPath: /v}}", "expected lower-case letters"),
    ("container name", f"sidecars: {{§s_x: {{{_SIDE}}}}}", "expected lower-case letters"),
    ("container image", "sidecars: {x: {image: §envoy}}", "expected an image with tag or digest"),
    ("tag", "image: {tag: §-x}", "expected a tag"),
    ("digest", "image: {digest: §'sha256:12'}", 'expected "sha256:" and 64 hex digits'),
    ("tag in repository", "image: {repository: §'r/x:1'}", "expected a repository without tag"),
    ("capital repository", "image: {repository: §'docker.io/Foo'}", "expected a repository"),
    ("resource", "resources: {limits: {§gpu: 1}}", "a device such as nvidia.com/gpu"),
    ("mount path", "volumes: {v: {claim: c, mountPath: §v}}", "expected an absolute path"),
    ("sub path", "volumes: {v: {claim: c, mountPath: /v, subPath: §../x}}", "without '/' at"),
    ("file mode", "volumes: {v: {secret: c, mountPath: /v, defaultMode: §'9'}}", "octal digits"),
    ("host", "ingress: {host: §'http://x'}", "expected a DNS name"),
    ("address", "pod: {hostAliases: {§1.2.3: [a]}}", "expected an IP address"),
    ("addresses", "networkPolicy: {allowTo: {x: {cidr: §10.0/8}}}", "expected a range"),
    ("header", "probes: {liveness: {httpGet: {httpHeaders: {§'a b': x}}}}", "HTTP header's name"),
    ("waiver's date", "waivers: {digest: {reason: x, until: §'2026-13-01'}}", "expected a date"),
]  # fmt: skip

RULES = [
    ("request above limit", "resources: {requests: {memory: §1Gi}, limits: {memory: 1023Mi}}",
     "resources.requests.memory is 1Gi; expected at most its limit, 1023Mi"),
    ("cores by value", "resources: {requests: {cpu: §1001m}, limits: {cpu: 1}}",
     "resources.requests.cpu is 1001m; expected at most its limit, 1"),
    ("device without limit", "resources: {requests: {nvidia.com/gpu: §1}}",
     'resources.requests["nvidia.com/gpu"] has no limit; expected the same number in limits'),
    ("shared device", "resources: {requests: {x.y/z: §1}, limits: {x.y/z: 2}}",
     'resources.requests["x.y/z"] is 1; expected its limit, 2: devices are never shared'),
    ("GPUs of no GPU", "gpus: §8",
     "gpus has no GPU to multiply; expected it in resources.limits, as nvidia.com/gpu: 1 "
     f"(resources.limits at {DEFAULTS}:3)"),
    ("GPUs of several GPUs", "gpus: 8\nresources: {limits: {amd.com/gpu: §8}}",
     'resources.limits["amd.com/gpu"] is 8, and gpus multiplies it by 8; expected 1, because the '
     f"resources are those of one GPU, or no gpus (gpus at {A}:3)"),
    ("split device", "resources: {limits: {x.y/z: §500m}}",
     'resources.limits["x.y/z"] is 500m; expected whole devices'),
    ("port number twice", "ports: {b: §8080}",
     'ports.b is TCP 8080, like "http"; expected another number or protocol '
     f"(ports.http at {DEFAULTS}:1)"),
    ("Service port twice", "ports: {b: {containerPort: 1, servicePort: §8080}}",
     'ports.b.servicePort is 8080, like that of "http"; expected another number '
     f"(ports.http at {DEFAULTS}:1)"),
    ("port of a sidecar", f"sidecars: {{x: {{{_SIDE}, ports: {{p: §8080}}}}}}",
     "sidecars.x.ports.p is TCP 8080, which the model listens on; expected another number "
     f"(ports.http at {DEFAULTS}:1)"),
    ("mount path twice", "volumes: {a: {claim: c, mountPath: /v}, b: {claim: c, mountPath: §/v/}}",
     "volumes.b.mountPath is /v/, where volumes.a.mountPath is mounted too; expected another "
     "path"),
    ("unknown volume", f"{_VOLUME}\ninitContainers: {{i: {{{_SIDE}, mounts: {{w: §/w}}}}}}",
     "initContainers.i.mounts.w is not a volume of the model; expected one of the volumes: v"),
    ("volume nobody mounts", "volumes: {v: §{claim: c}}",
     "volumes.v.mountPath is missing; volumes.v needs it, or another mount, or injected: true"),
    ("two sources", "volumes: {v: §{claim: c, secret: s, mountPath: /v}}",
     "volumes.v has claim and secret; expected exactly one; null removes an inherited one"),
    ("claim by name and size", "volumes: {v: {claim: §{name: c, size: 1Gi}, mountPath: /v}}",
     "volumes.v.claim has both name and size; expected the name of an existing claim, or the size "
     "of a new one"),
    ("claim without size", "volumes: {v: {claim: §{keep: true}, mountPath: /v}}",
     "volumes.v.claim has neither name nor size; expected the name of an existing claim, or the "
     "size of a new one"),
    ("option of an existing claim", "volumes: {v: {claim: {name: c, keep: §false}, mountPath: /v}}",
     "volumes.v.claim.keep applies only to a claim with a size; remove it"),
    ("option of another source", "volumes: {v: {claim: c, mountPath: /v, items: §{a: b}}}",
     "volumes.v.items is allowed with configMap or secret only; remove it"),
    ("probe of an unknown port", "probes: {liveness: {tcpSocket: {port: §grpc}}}",
     'probes.liveness.tcpSocket.port is "grpc"; expected one of the ports: http, or a number'),
    ("probe in two ways", "probes: {liveness: §{grpc: {port: 1}, exec: {command: [a]}}}",
     "probes.liveness has grpc and exec; expected exactly one; null removes an inherited one"),
    ("liveness succeeds once", "probes: {liveness: {grpc: {port: 1}, successThreshold: §2}}",
     "probes.liveness.successThreshold is 2; expected 1: more is allowed for readiness only"),
    ("port of the ingress", "ingress: {host: a.b, port: §web}",
     'ingress.port is "web"; expected one of the ports: http'),
    ("ingress to no Service", "service: {enabled: false}\ningress: §{host: a.b}",
     "ingress needs the Service, but service.enabled is false"),
    ("port of a policy", "networkPolicy: {allowFrom: {x: {pods: {a: b}, ports: [§grpc]}}}",
     'networkPolicy.allowFrom.x.ports[0] is "grpc"; expected one of the ports: http'),
    ("exception outside",
     "networkPolicy: {allowTo: {x: {cidr: 10.0.0.0/8, except: [§11.0.0.0/8]}}}",
     "networkPolicy.allowTo.x.except[0] is 11.0.0.0/8; expected a part of cidr, 10.0.0.0/8"),
    ("grace", "preStopSeconds: 30\nterminationGracePeriodSeconds: §30",
     "terminationGracePeriodSeconds is 30; expected more than preStopSeconds, which is 30 "
     f"(preStopSeconds at {A}:3)"),
    ("root", "security: {runAsUser: §0}",
     "security.runAsUser is 0; expected another user, or runAsNonRoot: false"),
    ("root of a sidecar", f"sidecars: {{x: {{{_SIDE}, security: {{runAsUser: §0}}}}}}",
     "sidecars.x.security.runAsUser is 0; expected another user, or runAsNonRoot: false"),
    ("privileged", "security: {privileged: §true}",
     "security.privileged is true; expected allowPrivilegeEscalation: true with it"),
    ("toleration", "scheduling: {tolerations: [§{effect: NoSchedule}]}",
     "scheduling.tolerations[0] has no key; expected one, or operator: Exists"),
    ("percent of nothing",
     "autoscaling: {minReplicas: 1, maxReplicas: 2, cpu: §50}\nresources: {requests: {cpu: null}}",
     "autoscaling.cpu is a percentage of the request; set resources.requests.cpu as well"),
    ("crossed", "autoscaling: {minReplicas: §3, maxReplicas: 2, cpu: 50}",
     "autoscaling.minReplicas is 3; expected at most maxReplicas, which is 2"),
    ("zero by CPU", "autoscaling: {minReplicas: §0, maxReplicas: 2, cpu: 50}",
     "autoscaling.minReplicas is 0, but cpu, memory and other metrics of Pods do not exist while "
     "there are no Pods; expected 1 or more, or a metric of type Object or External"),
    ("reserved container", f"sidecars: {{model: §{{{_SIDE}}}}}",
     "sidecars.model has the name of the model's own container; expected another name"),
    ("one name for two", f"initContainers: {{x: {{{_SIDE}}}}}\nsidecars: {{x: §{{{_SIDE}}}}}",
     "sidecars.x has the name of an init container; expected another name"),
    ("reserved volume", "volumes: {config-files: §{claim: c, mountPath: /v}}",
     "volumes.config-files has the name of the volume of config.files; expected another name"),
    ("no hook", "lifecycle: {postStart: §{}}",
     "lifecycle.postStart has none of exec, httpGet and sleepSeconds; expected exactly one"),
    ("headless", "service: {headless: §true, type: NodePort}",
     "service.headless is allowed with type ClusterIP only, not NodePort"),
    ("target of a Service", "service: {ports: {web: {targetPort: §rest}}}",
     'service.ports.web.targetPort is "rest"; expected one of the ports: http, or a number'),
    ("no target", "services: {x: {ports: {web: §80}}}",
     "services.x.ports.web names no port of a container; expected one of the ports: http, or a "
     "number; else set targetPort"),
    ("two targets",
     f"sidecars: {{x: {{{_SIDE}, ports: {{http: 81}}}}}}\nservice: {{ports: {{http: §80}}}}",
     "service.ports.http has two targets, ports.http and sidecars.x.ports.http; rename one of the "
     f"two (ports.http at {DEFAULTS}:1, sidecars.x.ports.http at {A}:3)"),
    ("one name in a Service",
     f"sidecars: {{x: {{{_SIDE}, ports: {{http: §{{containerPort: 81, servicePort: 82}}}}}}}}",
     "sidecars.x.ports.http has the name of ports.http, and a Service has both; expected another "
     f"name (ports.http at {DEFAULTS}:1)"),
    ("one number in a Service",
     "service: {ports: {http: {}, web: {port: §8080, targetPort: http}}}",
     'service.ports.web.port is 8080, like that of "http"; expected another number'),
    ("no ports in a Service", "service: {ports: §{}}",
     "service.ports is empty; give a port, or remove it"),
    ("node port of a ClusterIP", "service: {ports: {http: {nodePort: §30080}}}",
     "service.ports.http.nodePort is allowed with NodePort and LoadBalancer only"),
    ("protocol of a named port", "service: {ports: {http: {protocol: §UDP}}}",
     'service.ports.http.protocol is decided by the port "http" of the container; remove it'),
    ("port in no Service", "ports: {x: {containerPort: 1, servicePort: §2}}\n"
     "service: {ports: {http: 80}}",
     "ports.x.servicePort has no effect: no Service lists the port under ports; remove it"),
    ("protocol of a sidecar's port",
     f"sidecars: {{x: {{{_SIDE}, ports: {{y: {{containerPort: 1, appProtocol: §http}}}}}}}}",
     "sidecars.x.ports.y.appProtocol has no effect without servicePort, which puts the port into "
     "the Service"),
    ("port of an init container",
     f"initContainers: {{x: {{{_SIDE}, ports: {{y: {{containerPort: 1, servicePort: §2}}}}}}}}",
     "initContainers.x.ports.y.servicePort has no effect: an init container ends before the Pod "
     "serves requests; remove it"),
    ("Service of the Ingress", "ingress: {host: x.com, service: §pubic}\nservices: {public: {}}",
     'ingress.service is "pubic"; expected one of services: public'),
    ("no Service for the Ingress", "service: {enabled: false}\ningress: §{host: x.com}",
     "ingress needs the Service, but service.enabled is false"),
    ("two folders", "volumes: {v: {emptyDir: {}}}\n"
     "mounts: {v: {path: /v, subPath: a, subPathExpr: §b}}",
     "mounts.v.subPathExpr is a second folder beside subPath; remove one of them"),
    ("volume of a mount", "mounts: {v: {path: /v, volume: §w}}",
     'mounts.v.volume is "w", which is not a volume of the model; expected one of the volumes: '
     "none"),
    ("files that nobody mounts", "config: §{files: {f: x}}",
     "config.mountPath is missing; config needs it, or a mount of config-files"),
    ("one path for two mounts", "volumes: {v: {emptyDir: {}, mountPath: /v}}\n"
     "mounts: {w: §{path: /v, volume: v}}",
     "mounts.w is /v, where volumes.v.mountPath is mounted too; expected another path "
     f"(volumes.v.mountPath at {A}:3)"),
    ("propagation", "volumes: {v: {emptyDir: {}}}\n"
     "mounts: {v: {path: /v, mountPropagation: §Bidirectional}}",
     "mounts.v.mountPropagation is Bidirectional, which needs security.privileged: true"),
    ("input", "stdinOnce: §true", "stdinOnce has no effect without stdin: true; remove it"),
    ("resource claim", "resources: {claims: {gpu: §{}}}",
     "resources.claims.gpu is not in pod.resourceClaims; expected one of: none"),
    ("two names of a claim", "pod: {resourceClaims: {gpu: §{}}}",
     "pod.resourceClaims.gpu has none of resourceClaimName and resourceClaimTemplateName; expected "
     "exactly one"),
    ("hook of a sidecar",
     f"sidecars: {{x: {{{_SIDE}, lifecycle: {{preStop: {{sleepSeconds: 40}}}}}}}}\n"
     "terminationGracePeriodSeconds: §30",
     "terminationGracePeriodSeconds is 30; expected more than "
     "sidecars.x.lifecycle.preStop.sleepSeconds, which is 40 "
     f"(sidecars.x.lifecycle.preStop.sleepSeconds at {A}:3)"),
    ("percent of a sidecar's nothing",
     f"autoscaling: {{minReplicas: 1, maxReplicas: 2, cpu: §50}}\nsidecars: {{x: {{{_SIDE}}}}}",
     "autoscaling.cpu is a percentage of the request; set sidecars.x.resources.requests.cpu as "
     "well"),
    ("volume of a sidecar's files", "volumes: {config-files-x: §{emptyDir: {}, mountPath: /v}}\n"
     f"sidecars: {{x: {{{_SIDE}, config: {{mountPath: /c, files: {{f: x}}}}}}}}",
     "volumes.config-files-x has the name of the volume of sidecars.x.config.files; expected "
     "another name"),
    ("long name",
     f"sidecars: {{{'x' * 51}: {{{_SIDE}, config: §{{mountPath: /c, files: {{f: x}}}}}}}}",
     f"sidecars.{'x' * 51}.config needs a container with a name of at most 50 characters"),
]  # fmt: skip


def _diagnostics(text: str, tmp_path: Path) -> tuple[list[tuple[str, str, Code]], str]:
    """Returns position, message and code of each error, and the marked position."""
    owner = "" if "owner" in text else "owner: team-a\n"
    marked = f"profiles: [server]\n{owner}{text}\n"
    before = marked[: marked.index("§")]
    position = f"{A}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    checked = check(write_files(tmp_path, {PROFILE: SERVER, A: marked.replace("§", "")}))
    return [(f.position, f.message, f.code) for f in checked.errors if f.path == A], position


@pytest.mark.parametrize(
    ("text", "words"), [case[1:] for case in FORMS], ids=[case[0] for case in FORMS]
)
def test_a_text_of_the_wrong_form_is_an_error(text: str, words: str, tmp_path: Path) -> None:
    ((position, message, code),), expected = _diagnostics(text, tmp_path)
    assert (position, words in message) == (expected, True), message
    assert code in (Code.BAD_NAME, Code.BAD_VALUE)


@pytest.mark.parametrize(
    ("text", "message"), [case[1:] for case in RULES], ids=[case[0] for case in RULES]
)
def test_a_contradiction_is_reported_at_the_wrong_setting(
    text: str, message: str, tmp_path: Path
) -> None:
    diagnostics, position = _diagnostics(text, tmp_path)
    code = Code.MISSING_KEY if "missing" in message else Code.INCONSISTENT
    assert diagnostics == [(position, message, code)]


@pytest.mark.parametrize(
    ("profile", "own", "ending"),
    [
        pytest.param(
            "volumes: {w: {emptyDir: {}, mountPath: /w}}\n",
            "volumes: {v: {emptyDir: {}, mountPath: /w}}\n",
            f"expected another path (volumes.w.mountPath at {PROFILE}:2)", id="mount paths",
        ),
        pytest.param(
            "autoscaling: {minReplicas: 1, maxReplicas: 2, cpu: 50}\n",
            "autoscaling: {minReplicas: 3}\n",
            f"which is 2 (maxReplicas at {PROFILE}:2)", id="limits",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_names_the_layer_of_each_setting(
    profile: str, own: str, ending: str, tmp_path: Path
) -> None:
    [diagnostic] = check(write_files(tmp_path, {PROFILE: SERVER + profile, A: f"+{own}"})).errors
    assert diagnostic.position.startswith(f"{A}:4:")
    assert diagnostic.message.endswith(ending)


def test_every_contradiction_is_reported_in_one_run(tmp_path: Path) -> None:
    text = "preStopSeconds: §40\nports: {b: 8080}\nprobes: {liveness: {tcpSocket: {port: x}}}"
    diagnostics, _ = _diagnostics(text, tmp_path)
    assert len(diagnostics) == 3


@pytest.mark.parametrize("amounts", [("1000m", "1"), ("'0.2k'", "200"), ("'0.5'", "500m")])
def test_equal_quantities_in_different_units_do_not_contradict(
    amounts: tuple[str, str], tmp_path: Path
) -> None:
    request, limit = amounts
    text = (
        f"labels: {{§a: b}}\nresources: {{requests: {{cpu: {request}}}, limits: {{cpu: {limit}}}}}"
    )
    assert _diagnostics(text, tmp_path)[0] == []
