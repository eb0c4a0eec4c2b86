"""Every field that real manifests of model servers use has a setting that renders it.

The fields were counted in 27 public manifests; DESIGN.md asks for some more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.plan import ModelPlan
from tests.plan.small_catalog import check, first_model, write_files

_SIDE = "image: r/side:1"
_PVC = "volumes: {data: {claim: weights, mountPath: /data%s}}"
_SECRETS = "volumes: {keys: {secret: tls, mountPath: /keys%s}}"
_CMAP = "volumes: {files: {configMap: cfg, mountPath: /cfg%s}}"

# (the field as manifests write it, its setting, the path where it is rendered, the value there;
# m is the model's container, p the Pod's spec, t the Pod template, d the Deployment's spec)
FIELDS: list[tuple[str, str, str, Any]] = [
    ("volumeMounts", _PVC % "", "m.volumeMounts.0", {"name": "data", "mountPath": "/data"}),
    ("replicas", "replicas: 7", "d.replicas", 7),
    ("ports", "ports: {http: 9000}", "m.ports.0.containerPort", 9000),
    ("named ports", "ports: {rest: 1}\nprobes: null", "m.ports.0.name", "http"),
    ("limits", "resources: {limits: {memory: 2Gi}}", "m.resources.limits.memory", "2Gi"),
    ("requests", "resources: {requests: {cpu: 1}}", "m.resources.requests.cpu", "1"),
    ("nvidia.com/gpu", "resources: {limits: {nvidia.com/gpu: 1}}",
     "m.resources.limits.nvidia.com/gpu", "1"),
    ("args", "args: [--x]", "m.args", ["--x"]),
    ("command", "command: [serve]", "m.command", ["serve"]),
    ("workingDir", "workingDir: /srv", "m.workingDir", "/srv"),
    ("Service", "service: {type: NodePort}", "Service.spec.type", "NodePort"),
    ("nodePort", "service: {type: NodePort}\nports: {b: {containerPort: 1, nodePort: 30080}}",
     "Service.spec.ports.1.nodePort", 30080),
    ("appProtocol", "ports: {b: {containerPort: 1, appProtocol: kubernetes.io/h2c}}",
     "Service.spec.ports.1.appProtocol", "kubernetes.io/h2c"),
    ("headless", "service: {headless: true}", "Service.spec.clusterIP", "None"),
    ("sessionAffinity", "service: {sessionAffinity: ClientIP}", "Service.spec.sessionAffinity",
     "ClientIP"),
    ("env value", "env: {A: x}", "m.env.0", {"name": "A", "value": "x"}),
    ("secretKeyRef", "env: {A: {secret: s, key: k}}", "m.env.0.valueFrom.secretKeyRef",
     {"name": "s", "key": "k"}),
    ("configMapKeyRef", "env: {A: {configMap: s, key: k}}", "m.env.0.valueFrom.configMapKeyRef",
     {"name": "s", "key": "k"}),
    ("fieldRef", "env: {A: {field: status.podIP}}", "m.env.0.valueFrom.fieldRef.fieldPath",
     "status.podIP"),
    ("resourceFieldRef", "env: {A: {resource: limits.memory, divisor: 1Mi}}",
     "m.env.0.valueFrom.resourceFieldRef", {"resource": "limits.memory", "divisor": "1Mi"}),
    ("envFrom configMapRef", "envFrom: {x: {configMap: c}}", "m.envFrom.0.configMapRef.name", "c"),
    ("envFrom secretRef", "envFrom: {x: {secret: c, optional: true}}", "m.envFrom.0.secretRef",
     {"name": "c", "optional": True}),
    ("livenessProbe", "probes: {liveness: {httpGet: {path: /l}}}", "m.livenessProbe.httpGet.path",
     "/l"),
    ("readinessProbe", "probes: {readiness: {httpGet: {path: /r}}}",
     "m.readinessProbe.httpGet.path", "/r"),
    ("startupProbe", "startupSeconds: 300\nprobes: {startup: {tcpSocket: {port: http}}}",
     "m.startupProbe.failureThreshold", 31),
    ("tcpSocket probe", "probes: {liveness: {tcpSocket: {port: http}}}",
     "m.livenessProbe.tcpSocket.port", "http"),
    ("exec probe", "probes: {liveness: {exec: {command: [ok]}}}", "m.livenessProbe.exec.command",
     ["ok"]),
    ("grpc probe", "probes: {liveness: {grpc: {port: 9}}}", "m.livenessProbe.grpc.port", 9),
    ("HTTPS probe scheme", "probes: {liveness: {httpGet: {scheme: HTTPS}}}",
     "m.livenessProbe.httpGet.scheme", "HTTPS"),
    ("probe headers", "probes: {liveness: {httpGet: {httpHeaders: {Host: x}}}}",
     "m.livenessProbe.httpGet.httpHeaders", [{"name": "Host", "value": "x"}]),
    ("emptyDir Memory", "volumes: {shm: {emptyDir: {medium: Memory}, mountPath: /dev/shm}}",
     "p.volumes.0.emptyDir.medium", "Memory"),
    ("emptyDir sizeLimit", "volumes: {shm: {emptyDir: {sizeLimit: 1Gi}, mountPath: /dev/shm}}",
     "p.volumes.0.emptyDir.sizeLimit", "1Gi"),
    ("PVC volume", _PVC % "", "p.volumes.0.persistentVolumeClaim.claimName", "weights"),
    ("new claim", "volumes: {w: {claim: {size: 9Gi, accessModes: [ReadWriteMany]}, mountPath: /w}}",
     "p.volumes.0.persistentVolumeClaim.claimName", "a-w"),
    ("read-only mount", _PVC % ", readOnly: true", "m.volumeMounts.0.readOnly", True),
    ("subPath", _PVC % ", subPath: v2", "m.volumeMounts.0.subPath", "v2"),
    ("ConfigMap volume", _CMAP % "", "p.volumes.0.configMap.name", "cfg"),
    ("ConfigMap items", _CMAP % ", items: {a: b}", "p.volumes.0.configMap.items",
     [{"key": "a", "path": "b"}]),
    ("Secret volume", _SECRETS % ", optional: true", "p.volumes.0.secret",
     {"secretName": "tls", "optional": True}),
    ("defaultMode", _SECRETS % ", defaultMode: '0440'", "p.volumes.0.secret.defaultMode", 0o440),
    ("hostPath", "volumes: {n: {hostPath: /mnt, hostPathType: Directory, mountPath: /n}}",
     "p.volumes.0.hostPath", {"path": "/mnt", "type": "Directory"}),
    ("nfs", "volumes: {n: {nfs: {server: s, path: /p}, mountPath: /n}}", "p.volumes.0.nfs.server",
     "s"),
    ("csi", "volumes: {n: {csi: {driver: d}, mountPath: /n}}", "p.volumes.0.csi.driver", "d"),
    ("projected", "volumes: {n: {projected: {sources: []}, mountPath: /n, defaultMode: '0400'}}",
     "p.volumes.0.projected", {"sources": [], "defaultMode": 0o400}),
    ("ephemeral volume", "volumes: {n: {ephemeral: {size: 9Gi, storageClass: ssd}, mountPath: /n}}",
     "p.volumes.0.ephemeral.volumeClaimTemplate.spec",
     {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "9Gi"}},
      "storageClassName": "ssd"}),
    ("image volume", "volumes: {n: {image: r/w:1, pullPolicy: Always, mountPath: /n}}",
     "p.volumes.0.image", {"reference": "r/w:1", "pullPolicy": "Always"}),
    ("Pod annotations", "podAnnotations: {a: b}", "t.metadata.annotations.a", "b"),
    ("labels", "labels: {tier: x}", "t.metadata.labels.tier", "x"),
    ("container securityContext", "security: {readOnlyRootFilesystem: true}",
     "m.securityContext.readOnlyRootFilesystem", True),
    ("added capabilities", "security: {addCapabilities: [IPC_LOCK]}",
     "m.securityContext.capabilities.add", ["IPC_LOCK"]),
    ("privileged", "security: {privileged: true, allowPrivilegeEscalation: true}",
     "m.securityContext.privileged", True),
    ("Pod securityContext", "security: {runAsUser: 7}", "p.securityContext.runAsUser", 7),
    ("fsGroup", "security: {fsGroup: 7, fsGroupChangePolicy: OnRootMismatch}",
     "p.securityContext.fsGroup", 7),
    ("supplementalGroups", "security: {supplementalGroups: [7]}",
     "p.securityContext.supplementalGroups", [7]),
    ("a container's own security",
     f"sidecars: {{x: {{{_SIDE}, security: {{runAsUser: 9, seccomp: Unconfined}}}}}}",
     "p.initContainers.0.securityContext.runAsUser", 9),
    ("initContainers", f"initContainers: {{x: {{{_SIDE}, workingDir: /w}}}}",
     "p.initContainers.0.workingDir", "/w"),
    ("mount of an init container",
     f"volumes: {{v: {{claim: c}}}}\ninitContainers: {{x: {{{_SIDE}, mounts: "
     "{v: {path: /v, readOnly: true}}}}",
     "p.initContainers.0.volumeMounts.0", {"name": "v", "mountPath": "/v", "readOnly": True}),
    ("native sidecars", f"sidecars: {{x: {{{_SIDE}}}}}", "p.initContainers.0.restartPolicy",
     "Always"),
    ("several containers", f"sidecars: {{x: {{{_SIDE}, ports: {{admin: 1}}}}}}",
     "p.initContainers.0.ports.0.name", "admin"),
    ("probe of a sidecar", f"sidecars: {{x: {{{_SIDE}, probes: {{startup: {{grpc: {{port: 1}}, "
     "failureThreshold: 9}}}}", "p.initContainers.0.startupProbe.failureThreshold", 9),
    ("nodeSelector", "scheduling: {nodeSelector: {pool: gpu}}", "p.nodeSelector.pool", "gpu"),
    ("tolerations", "scheduling: {tolerations: [{key: gpu, operator: Exists}]}", "p.tolerations",
     [{"key": "gpu", "operator": "Exists"}]),
    ("affinity", "scheduling: {affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuring"
     "Execution: [{weight: 9, podAffinityTerm: {topologyKey: zone}}]}}}",
     "p.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.weight", 9),
    ("topology spread",
     "scheduling: {topologySpread: {kubernetes.io/hostname: {whenUnsatisfiable: DoNotSchedule}}}",
     "p.topologySpreadConstraints.1.whenUnsatisfiable", "DoNotSchedule"),
    ("priorityClass", "scheduling: {priorityClass: high}", "p.priorityClassName", "high"),
    ("runtimeClassName", "scheduling: {runtimeClass: nvidia}", "p.runtimeClassName", "nvidia"),
    ("schedulerName", "scheduling: {scheduler: volcano}", "p.schedulerName", "volcano"),
    ("hostIPC", "scheduling: {hostIPC: true}", "p.hostIPC", True),
    ("hostPID", "scheduling: {hostPID: true}", "p.hostPID", True),
    ("hostNetwork", "scheduling: {hostNetwork: true}\nrollout: {maxSurge: 0, maxUnavailable: 1}",
     "p.hostNetwork", True),
    ("serviceAccountName", "serviceAccount: {name: robot}", "p.serviceAccountName", "robot"),
    ("imagePullSecrets", "image: {pullSecrets: [reg]}", "p.imagePullSecrets", [{"name": "reg"}]),
    ("imagePullPolicy", "image: {pullPolicy: Always}", "m.imagePullPolicy", "Always"),
    ("image digest", f"image: {{digest: 'sha256:{'a' * 64}'}}", "m.image",
     f"ghcr.io/acme/server:v1@sha256:{'a' * 64}"),
    ("HPA", "autoscaling: {minReplicas: 2, maxReplicas: 9, cpu: 60}",
     "HorizontalPodAutoscaler.spec.maxReplicas", 9),
    ("HPA metrics", "autoscaling: {minReplicas: 2, maxReplicas: 9, metrics: {q: {type: Pods, pods: "
     "{metric: {name: queue}, target: {type: AverageValue, averageValue: 5}}}}}",
     "HorizontalPodAutoscaler.spec.metrics.0.pods.metric.name", "queue"),
    ("HPA behaviour", "autoscaling: {minReplicas: 2, maxReplicas: 9, memory: 60, behavior: "
     "{scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 60}]}}}",
     "HorizontalPodAutoscaler.spec.behavior",
     {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}),
    ("PDB", "disruptionBudget: {maxUnavailable: 1}", "PodDisruptionBudget.spec.maxUnavailable", 1),
    ("strategy", "rollout: {maxSurge: 3}", "d.strategy.rollingUpdate.maxSurge", 3),
    ("progressDeadlineSeconds", "rollout: {progressDeadlineSeconds: 900}",
     "d.progressDeadlineSeconds", 900),
    ("terminationGracePeriod", "terminationGracePeriodSeconds: 99",
     "p.terminationGracePeriodSeconds", 99),
    ("preStop sleep", "preStopSeconds: 9", "m.lifecycle.preStop.sleep.seconds", 9),
    ("preStop exec", "lifecycle: {preStop: {exec: {command: [bye]}}}", "m.lifecycle.preStop",
     {"exec": {"command": ["bye"]}}),
    ("postStart", "lifecycle: {postStart: {httpGet: {path: /warm}}}",
     "m.lifecycle.postStart.httpGet.path", "/warm"),
    ("enableServiceLinks", "pod: {enableServiceLinks: false}", "p.enableServiceLinks", False),
    ("hostAliases", "pod: {hostAliases: {10.0.0.1: [a.example]}}", "p.hostAliases",
     [{"ip": "10.0.0.1", "hostnames": ["a.example"]}]),
    ("hostname", "pod: {hostname: h}", "p.hostname", "h"),
    ("subdomain", "pod: {subdomain: s}", "p.subdomain", "s"),
    ("dnsPolicy", "pod: {dnsPolicy: Default}", "p.dnsPolicy", "Default"),
    ("dnsConfig", "pod: {dnsConfig: {searches: [x]}}", "p.dnsConfig.searches", ["x"]),
    ("shareProcessNamespace", "pod: {shareProcessNamespace: true}", "p.shareProcessNamespace",
     True),
    ("terminationMessage", "terminationMessagePolicy: FallbackToLogsOnError",
     "m.terminationMessagePolicy", "FallbackToLogsOnError"),
    ("Ingress", "ingress: {host: '*.example.com', pathType: Exact}",
     "Ingress.spec.rules.0.http.paths.0.pathType", "Exact"),
    ("NetworkPolicy from", "networkPolicy: {allowFrom: {gw: {namespace: ingress, ports: [http]}}}",
     "NetworkPolicy.spec.ingress",
     [{"ports": [{"protocol": "TCP", "port": "http"}], "from": [
         {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]}]),
    ("NetworkPolicy to", "networkPolicy: {dns: false, allowTo: {s3: {cidr: 10.0.0.0/8, except: "
     "[10.1.0.0/16], ports: [443]}}}", "NetworkPolicy.spec.egress",
     [{"ports": [{"protocol": "TCP", "port": 443}],
       "to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]),
    ("NetworkPolicy nobody", "networkPolicy: {allowFrom: {}}", "NetworkPolicy.spec.ingress", []),
]  # fmt: skip


def build_covered(tmp_path: Path, text: str) -> ModelPlan:
    files = {
        "catalog/_profiles/server.yaml": "image: {repository: ghcr.io/acme/server, tag: v1}\n",
        "catalog/a.yaml": f"owner: team-a\nprofiles: [server]\n{text}\n",
    }
    checked = check(write_files(tmp_path, files))
    assert [
        diagnostic.message for diagnostic in checked.errors if not diagnostic.code.is_warning
    ] == []
    return first_model(checked)


# Abbreviations for the beginning of a path into the Deployment.
_BEGINNINGS = {
    "m": "spec.template.spec.containers.0",
    "p": "spec.template.spec",
    "t": "spec.template",
    "d": "spec",
}


def _at(plan: ModelPlan, where: str) -> Any:
    head, _, path = where.partition(".")
    manifest = plan.find("Deployment" if head in _BEGINNINGS else head)
    assert manifest is not None
    found: Any = manifest.object
    steps = f"{_BEGINNINGS[head]}.{path}" if head in _BEGINNINGS else path
    while steps:
        step, _, steps = steps.partition(".")
        if isinstance(found, dict) and step not in found:
            step, steps = f"{step}.{steps}", ""
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


@pytest.mark.parametrize(
    ("text", "where", "expected"), [case[1:] for case in FIELDS], ids=[case[0] for case in FIELDS]
)
def test_a_field_of_real_manifests_has_a_setting(
    text: str, where: str, expected: Any, tmp_path: Path
) -> None:
    assert _at(build_covered(tmp_path, text), where) == expected


def test_a_field_without_a_setting_can_be_patched(tmp_path: Path) -> None:
    text = "patch: {Deployment: {spec: {template: {spec: {setHostnameAsFQDN: true}}}}}"
    plan = build_covered(tmp_path, text)
    assert _at(plan, "p.setHostnameAsFQDN") is True
    assert plan.patched == {"Deployment/a": ("spec.template.spec.setHostnameAsFQDN",)}
