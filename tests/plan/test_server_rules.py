"""Rules of the API server that compare fields: a valid object, and one change that breaks a rule.

`tests/kube/test_random_objects.py` holds all rules to the real server. Here each kind of rule has a
case with its message.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import yaml

from framework.core.diagnostics import SettingDiagnostic
from framework.core.field_paths import FieldPath
from framework.plan.patch.field_checks import find_definition_diagnostics
from framework.settings.messages import show
from tests.random_models.annotations import ANNOTATED, annotate
from tests.random_models.objects import OBJECTS

Json = dict[str, Any]
POD = "spec.template.spec"
MODEL = f"{POD}.containers.0"
JOB = "Job"


def _change(kind: str, path: str, text: str) -> Json:
    """Returns the valid object of a kind with one value replaced; `~` removes the value."""
    changed: Json = deepcopy(OBJECTS[kind])
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    target: Any = changed
    for step in parents:
        target = target[step] if isinstance(step, int) else target.setdefault(step, {})
    value = yaml.safe_load(text)
    if value is None:
        del target[last]
    else:
        target[last] = value
    return changed


def _find(kind: str, content: Json) -> list[SettingDiagnostic]:
    return [*find_definition_diagnostics(kind, content, show)]


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_a_valid_object_of_each_kind_breaks_no_rule(kind: str) -> None:
    assert _find(kind, OBJECTS[kind]) == []


@pytest.mark.parametrize(
    ("kind", "path", "text", "at", "words"),
    [
        # Workloads
        ("Deployment", "spec.selector", "{matchLabels: {x: y}}", "spec.selector", "not match"),
        ("Deployment", "spec.selector", "{}", "spec.selector", "is empty; expected a label"),
        ("DaemonSet", f"{POD}.restartPolicy", "Never", f"{POD}.restartPolicy", '"Always"'),
        ("StatefulSet", f"{POD}.activeDeadlineSeconds", "5", f"{POD}.activeDeadlineSeconds", "J"),
        ("Deployment", "spec.progressDeadlineSeconds", "0", "spec.progressDeadlineSeconds", "more"),
        ("Deployment", "spec.minReadySeconds", "600", "spec.minReadySeconds", "deadline is 600"),
        ("Deployment", "spec.replicas", "-1", "spec.replicas", "expected 0 or more"),
        ("Deployment", "spec.strategy", "{type: Recreate, rollingUpdate: {maxSurge: 1}}",
         "spec.strategy.rollingUpdate", "type: Recreate"),
        ("Deployment", "spec.strategy", "{rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}",
         "spec.strategy.rollingUpdate", "one of them above 0"),
        ("DaemonSet", "spec.updateStrategy.rollingUpdate", "{maxSurge: 1}",
         "spec.updateStrategy.rollingUpdate", "the other one 0"),
        ("StatefulSet", "spec.updateStrategy.type", "Recreate", "spec.updateStrategy.type", "On"),
        ("ReplicationController", "spec.selector", "{x: y}", "spec.selector", "does not match"),
        ("Job", f"{POD}.restartPolicy", "~", POD, "Never or OnFailure"),
        ("Job", "spec.backoffLimitPerIndex", "1", "spec.backoffLimitPerIndex", "Indexed"),
        ("Job", "spec.selector", "{matchLabels: {app: a}}", "spec.selector", "by the server"),
        ("Job", "spec.managedBy", "a", "spec.managedBy", "a domain before it"),
        ("Job", "spec.podFailurePolicy", "{rules: [{action: Ignore}]}",
         "spec.podFailurePolicy.rules[0]", "onExitCodes or onPodConditions"),
        ("Job", "spec.podFailurePolicy",
         "{rules: [{action: Ignore, onExitCodes: {operator: In, values: [0]}}]}",
         "spec.podFailurePolicy.rules[0].onExitCodes.values", "not a failure"),
        ("Job", "spec", "{completionMode: Indexed, successPolicy: {rules: [{succeededCount: 2}]}, "
         "template: {spec: {containers: [{name: a, image: a}], restartPolicy: Never}}}",
         "spec.successPolicy.rules[0].succeededCount", "at most 1"),
        ("Job", "spec", "{completionMode: Indexed, completions: 2, successPolicy: {rules: "
         "[{succeededIndexes: a}]}, template: {spec: {containers: [{name: a, image: a}], "
         "restartPolicy: Never}}}", "spec.successPolicy.rules[0].succeededIndexes", "0-2,5"),
        ("CronJob", "spec.schedule", "0 3 * *", "spec.schedule", "five parts"),
        ("CronJob", "spec.schedule", "0 24 * * *", "spec.schedule", "five parts"),
        ("CronJob", "spec.timeZone", "Berlin", "spec.timeZone", "Europe/Berlin"),
        # Pods and containers
        ("Deployment", f"{MODEL}.volumeMounts", "[{name: x, mountPath: /x}]",
         f"{POD}.containers[0].volumeMounts[0].name", "not a volume of the Pod"),
        ("Deployment", f"{MODEL}.volumeDevices", "[{name: data, devicePath: /dev/x}]",
         f"{POD}.containers[0].volumeDevices[0].name", "not a volume with a claim"),
        ("Deployment", f"{MODEL}.resources.claims", "[{name: gpu}]",
         f"{POD}.containers[0].resources.claims[0].name", "not one of resourceClaims"),
        ("Deployment", f"{POD}.containers", "[]", f"{POD}.containers", "one container or more"),
        ("Deployment", f"{POD}.initContainers", "[{name: model, image: a}]",
         f"{POD}.containers[0].name", "an init container has too"),
        ("Deployment", f"{POD}.initContainers", "[{name: i, image: a, lifecycle: {}}]",
         f"{POD}.initContainers[0].lifecycle", "restartPolicy: Always"),
        ("Deployment", f"{POD}.dnsPolicy", "None", f"{POD}.dnsPolicy", "dnsConfig.nameservers"),
        ("Deployment", f"{POD}.os", "{name: windows}", f"{POD}.securityContext.fsGroup", "windows"),
        ("Deployment", f"{MODEL}.lifecycle.preStop", "{sleep: {seconds: 31}}",
         f"{POD}.containers[0].lifecycle.preStop.sleep.seconds", "GracePeriodSeconds, 30"),
        ("Deployment", f"{MODEL}.livenessProbe", "{}", f"{POD}.containers[0].livenessProbe",
         "has no handler"),
        ("Deployment", f"{MODEL}.livenessProbe", "{exec: {command: [a]}, successThreshold: 2}",
         f"{POD}.containers[0].livenessProbe.successThreshold", "must be 1"),
        ("Deployment", f"{MODEL}.securityContext",
         "{allowPrivilegeEscalation: false, privileged: true}",
         f"{POD}.containers[0].securityContext.allowPrivilegeEscalation", "privileged: true"),
        ("Deployment", f"{POD}.securityContext", "{seccompProfile: {type: Localhost}}",
         f"{POD}.securityContext.seccompProfile", "localhostProfile"),
        ("Deployment", f"{MODEL}.ports", "[{containerPort: 1}, {containerPort: 1}]",
         f"{POD}.containers[0].ports[1]", "containerPort and protocol of an earlier item"),
        ("Deployment", f"{MODEL}.envFrom", "[{prefix: A_}]", f"{POD}.containers[0].envFrom[0]",
         "has no source"),
        ("Deployment", f"{POD}.tolerations", "[{operator: Exists, value: x}]",
         f"{POD}.tolerations[0].value", "operator: Exists"),
        ("Deployment", f"{POD}.topologySpreadConstraints",
         "[{maxSkew: 0, topologyKey: z, whenUnsatisfiable: DoNotSchedule}]",
         f"{POD}.topologySpreadConstraints[0].maxSkew", "1 or more"),
        # Amounts
        ("Deployment", f"{MODEL}.resources", "{requests: {memory: 2Gi}, limits: {memory: 1Gi}}",
         f"{POD}.containers[0].resources.requests.memory", "at most its limit, 1Gi"),
        ("Deployment", f"{MODEL}.resources", "{requests: {nvidia.com/gpu: 1}}",
         f'{POD}.containers[0].resources.requests["nvidia.com/gpu"]', "has no limit"),
        ("Deployment", f"{MODEL}.resources", "{limits: {nvidia.com/gpu: 500m}}",
         f'{POD}.containers[0].resources.limits["nvidia.com/gpu"]', "a whole number"),
        ("Deployment", f"{MODEL}.resources", "{limits: {gpu: 1}}",
         f"{POD}.containers[0].resources.limits.gpu", "nvidia.com/gpu"),
        ("Deployment", f"{MODEL}.resources", "{limits: {hugepages-2Mi: 3Mi, cpu: 1}}",
         f"{POD}.containers[0].resources.limits.hugepages-2Mi", "the size of a page"),
        ("LimitRange", "spec.limits.0.type", "Containr", "spec.limits[0].type", "Container, Pod"),
        ("LimitRange", "spec.limits.0.max", "{cpu: 500m}", "spec.limits[0].default.cpu", "500m"),
        ("ResourceQuota", "spec.hard", "{pods: 1.5}", "spec.hard.pods", "a whole number"),
        ("ResourceQuota", "spec.scopes", "[Terminating, NotTerminating]", "spec.scopes", "exclude"),
        # Volumes and claims
        ("Deployment", f"{POD}.volumes.0", "{name: data, secret: {}}", f"{POD}.volumes[0].secret",
         "has no secretName"),
        ("Deployment", f"{POD}.volumes.0", "{name: data, quobyte: {registry: a, volume: b}}",
         f"{POD}.volumes[0].quobyte.registry", "host:port"),
        ("Deployment", f"{POD}.volumes.0",
         "{name: data, projected: {sources: [{clusterTrustBundle: {path: a}}]}}",
         f"{POD}.volumes[0].projected.sources[0].clusterTrustBundle", "name or signerName"),
        ("PersistentVolumeClaim", "spec.accessModes", "[]", "spec", "has no accessModes"),
        ("PersistentVolumeClaim", "spec.resources", "{}", "spec", "resources.requests.storage"),
        ("PersistentVolumeClaim", "spec.accessModes", "[ReadWriteOncePod, ReadWriteOnce]",
         "spec.accessModes", "beside another mode"),
        # Networks
        ("Service", "spec.ports", "[{port: 1}, {port: 2, name: b}]", "spec.ports[0]", "no name"),
        ("Service", "spec.ports.0.nodePort", "30080", "spec.ports[0].nodePort", "type: NodePort"),
        ("Service", "spec.loadBalancerClass", "a/b", "spec.loadBalancerClass", "LoadBalancer"),
        ("Service", "spec.type", "ExternalName", "spec.type", "a DNS name as externalName"),
        ("Service", "spec.ports", "~", "spec.ports", "a Service needs one"),
        ("Ingress", "spec.rules.0.http.paths.0.path", "/a//b", "spec.rules[0].http.paths[0].path",
         "without //"),
        ("Ingress", "spec.rules.0.http.paths.0.backend", "{service: {name: a}}",
         "spec.rules[0].http.paths[0].backend.service", "its name or number"),
        ("Ingress", "spec.rules.0.http.paths.0.backend",
         "{resource: {apiGroup: '', kind: a, name: b}}",
         "spec.rules[0].http.paths[0].backend.resource.apiGroup", "or no apiGroup"),
        ("NetworkPolicy", "spec.ingress.0.ports.0.endPort", "79",
         "spec.ingress[0].ports[0].endPort", "at least the port, 80"),
        ("NetworkPolicy", "spec.egress.0.to.0.ipBlock.except", "[10.0.0.0/8]",
         "spec.egress[0].to[0].ipBlock.except[0]", "a part of 10.0.0.0/8"),
        ("NetworkPolicy", "spec.egress.0.to", "[{}]", "spec.egress[0].to[0]", "is empty"),
        # Others
        ("HorizontalPodAutoscaler", "spec.minReplicas", "3", "spec.maxReplicas", "minReplicas, 3"),
        ("HorizontalPodAutoscaler", "spec.scaleTargetRef.apiVersion", "v1",
         "spec.scaleTargetRef.apiVersion", "a group and a version"),
        ("PodDisruptionBudget", "spec.maxUnavailable", "101%", "spec.maxUnavailable", "percentage"),
        ("Role", "rules.0.nonResourceURLs", "[/x]", "rules[0].nonResourceURLs", "a ClusterRole"),
        ("Role", "rules.0.resources", "~", "rules[0]", "has no resources"),
        ("RoleBinding", "subjects.0.apiGroup", "rbac.authorization.k8s.io", "subjects[0].apiGroup",
         "ServiceAccount"),
        ("RoleBinding", "roleRef.apiGroup", "''", "roleRef.apiGroup", "rbac.authorization.k8s.io"),
        ("RoleBinding", "subjects.0", "{kind: User, name: a, apiGroup: ''}", "subjects[0].apiGroup",
         "expected rbac.authorization.k8s.io"),
        ("ConfigMap", "binaryData", "{a: YQ==}", "data.a", "in binaryData as well"),
        ("ConfigMap", "binaryData", "{b: a}", "binaryData.b", "text in base64"),
        ("ConfigMap", "metadata.finalizers", "[a]", "metadata.finalizers[0]", "a domain before it"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)  # fmt: skip
def test_an_object_that_the_server_would_refuse_is_reported(
    kind: str, path: str, text: str, at: str, words: str
) -> None:
    found = _find(kind, _change(kind, path, text))
    assert (at, True) in [(str(FieldPath(p.path)), words in p.message) for p in found], found


def test_a_stateful_set_may_mount_what_it_claims() -> None:
    changed = _change("StatefulSet", "spec.volumeClaimTemplates", """[
      {metadata: {name: models}, spec: {accessModes: [ReadWriteOnce],
       resources: {requests: {storage: 1Gi}}}}]""")  # fmt: skip
    mounts = [{"name": "models", "mountPath": "/models"}, {"name": "model", "mountPath": "/model"}]
    changed["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts
    [problem] = _find("StatefulSet", changed)
    assert str(FieldPath(problem.path)) == f"{POD}.containers[0].volumeMounts[1].name"


@pytest.mark.parametrize(("kind", "annotations", "fields", "words"), ANNOTATED)
def test_annotations_that_the_server_reads_are_checked(
    kind: str, annotations: Json, fields: Json, words: str
) -> None:
    found = _find(kind, annotate(kind, annotations, fields))
    at = ("spec", "template") if kind == "Deployment" else ()
    assert [problem.path for problem in found] == (
        [(*at, "metadata", "annotations", next(iter(annotations)))] if words else []
    )
    assert all(words in problem.message for problem in found), found
