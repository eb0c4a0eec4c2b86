"""The corpus of malformed input.

A case is one line: the expected code, and a text with "§" before the character that the error must
point at. The text replaces its file in a valid catalog.
"""

from __future__ import annotations

from typing import NamedTuple

from framework.core.diagnostics import Code

MARK = "§"
MODEL = "catalog/m.yaml"
DEFAULTS = "catalog/_defaults.yaml"
PROFILE = "catalog/_profiles/small.yaml"
ENVIRONMENT = "environments/prod/environment.yaml"
OVERLAY = "environments/prod/models/m.yaml"

VALID = {
    DEFAULTS: "ports: {http: 8080}\nreplicas: 2\n",
    PROFILE: "image: {repository: example.com/r, tag: '1'}\n",
    MODEL: "owner: team\nprofiles: [small]\n",
    ENVIRONMENT: "namespace: ml-prod\n",
}


class Case(NamedTuple):
    """One malformed file. MARK stands at each position of a fault; without MARK it has none."""

    path: str
    code: Code
    text: str

    @property
    def id(self) -> str:
        """The ID of the test."""
        body = self.text.removeprefix(VALID.get(self.path, "")).replace(MARK, "")
        return f"{self.code}-{self.path.rpartition('/')[2]}-{body[:40]!r}"


def _append(path: str, code: Code, *texts: str) -> list[Case]:
    """Returns cases that add lines to the valid file."""
    return [Case(path, code, VALID.get(path, "") + text) for text in texts]


def _replace(path: str, code: Code, *texts: str) -> list[Case]:
    """Returns cases that replace the valid file."""
    return [Case(path, code, text) for text in texts]


_YAML = [
    *_append(
        MODEL,
        Code.SYNTAX,
        "§\treplicas: 3\n",
        "env:\n§\tA: b\n",
        "image: §{tag: '1'\n",
        "args: §[a, b\n",
        "description: §'open\n",
        'description: §"open\n',
        "description: a§: b\n",
        "labels:\n  a: b\n §c: d\n",
        "description: §@home\n",
        "description: §`code`\n",
        "description: §%percent\n",
        'description: "a§\\q"\n',
        "args: [a, b]§]\n",
        "image: {tag: '1'}§}\n",
        "§---\nowner: other\n",
        "description: §*nobody\n",
        "description: >9§x\n  a\n",
        "labels:\n  §: b\n",
    ),
    *_replace(MODEL, Code.SYNTAX, "§- owner\n- team\n", "§just text\n", "§42\n", "§[]\n"),
    *_append(
        MODEL,
        Code.DUPLICATE_KEY,
        "§owner: again\n",
        "replicas: 1\n§replicas: 2\n",
        "env: {A: a, §A: b}\n",
        "image: {tag: '1', §tag: '2'}\n",
        "labels:\n  a: b\n  §a: c\n",
        "ports:\n  http: 1\n  grpc: 2\n  §http: 3\n",
    ),
    *_append(
        MODEL,
        Code.AMBIGUOUS,
        "enabled: §yes\n",
        "enabled: §no\n",
        "enabled: §on\n",
        "enabled: §Off\n",
        "service: {enabled: §Yes}\n",
        "description: §2026-11-23\n",
        "description: §2026-11-23T10:00:00Z\n",
        "replicas: §012\n",
        "replicas: §0x10\n",
        "replicas: §0b11\n",
        "replicas: §1_000\n",
        "replicas: §1:30\n",
        "replicas: §1e3\n",
        "replicas: §0o17\n",
        "startupSeconds: §.inf\n",
        "startupSeconds: §.nan\n",
        "env: {A: §012}\n",
        "env: {A: §12:30:45}\n",
        "labels: {since: §2026-01-01}\n",
        "image: {tag: §1e10}\n",
        "image: {tag: §12:30}\n",
        "description: §???\n",
    ),
    *_append(
        MODEL,
        Code.KEY_NOT_TEXT,
        "labels: {§1: a}\n",
        "labels: {§true: a}\n",
        "labels: {§on: a}\n",
        "labels: {§null: a}\n",
        "labels: {§1.5: a}\n",
        "env:\n  §2026-01-01: a\n",
        "labels:\n  §[a]: b\n",
        "labels:\n  §{a: b}: c\n",
    ),
    *_append(
        MODEL,
        Code.UNSUPPORTED_YAML,
        "labels: {<<: §3}\n",
        "labels: {<<: [§a]}\n",
        "labels: §&a {b: *a}\n",
        "args: §&a [*a]\n",
        "labels: §!!set {a}\n",
        "args: §!!omap [a: b]\n",
    ),
    *_append(
        MODEL,
        Code.AMBIGUOUS,
        "description: §!secret x\n",
        "description: §!!binary aGk=\n",
        "description: §!!python/name:os.system x\n",
    ),
]

_SETTINGS = [
    *_append(
        MODEL,
        Code.UNKNOWN_KEY,
        "§replica: 3\n",
        "§profils: [small]\n",
        "§Replicas: 3\n",
        "§max_surge: 3\n",
        "image: {§name: x}\n",
        "image: {§Tag: '2'}\n",
        "rollout: {§maxsurge: 1}\n",
        "rollout: {§max_surge: 1}\n",
        "resources: {§request: {cpu: 1}}\n",
        "resources:\n  §limit: {cpu: 1}\n",
        "probes: {§ready: {}}\n",
        "service: {§kind: ClusterIP}\n",
        "autoscaling: {minReplicas: 1, maxReplicas: 2, cpu: 80, §gpu: 80}\n",
        "canary: {§percent: 10}\n",
        "canary: {candidate: {§imgae: {tag: '2'}}}\n",
        "scheduling: {§nodeselector: {}}\n",
        "security: {§privilege: true}\n",
        "sidecars: {log: {image: 'r/x:1', §arg: [a]}}\n",
        "ingress: {host: a.example.com, §paths: /}\n",
        "§metadata: {}\n",
        "§spec: {}\n",
    ),
    *_replace(MODEL, Code.MISSING_KEY, "§profiles: [small]\n"),
    *_append(
        MODEL,
        Code.MISSING_KEY,
        "ingress: §{path: /}\n",
        "autoscaling: §{maxReplicas: 3, cpu: 80}\n",
        "autoscaling: §{minReplicas: 3, cpu: 80}\n",
        "config: §{mountPath: /etc}\n",
        "config: §{files: {a: b}}\n",
        "sidecars: {log: §{args: [a]}}\n",
        "env: {A: §{secret: s}}\n",
    ),
    *_append(
        MODEL,
        Code.BAD_VALUE,
        "replicas: §two\n",
        "replicas: §'2'\n",
        "replicas: §1.5\n",
        "replicas: §-1\n",
        "replicas: §true\n",
        "replicas: §[2]\n",
        "startupSeconds: §{}\n",
        "enabled: §'true'\n",
        "enabled: §1\n",
        "enabled: §maybe\n",
        "image: {tag: §1.10}\n",
        "image: {tag: §2}\n",
        "image: {tag: §true}\n",
        "image: {tag: §[a]}\n",
        "image: {repository: §7}\n",
        "args: §one\n",
        "args: [a, §1]\n",
        "args: [a, §{b: c}]\n",
        "command: §python\n",
        "rollout: {maxSurge: §2O%}\n",
        "rollout: {maxSurge: §-1}\n",
        "rollout: {maxSurge: §25.5%}\n",
        "rollout: {maxSurge: §half}\n",
        "rollout: {maxUnavailable: §[1]}\n",
        "rollout: {minReadySeconds: §10s}\n",
        "rollout: {progressDeadlineSeconds: §0}\n",
        "startupSeconds: §0\n",
        "startupSeconds: §1m\n",
        "resources: {requests: {cpu: §lots}}\n",
        "resources: {requests: {cpu: §-1}}\n",
        "resources: {requests: {memory: §4 Gi}}\n",
        "resources: {requests: {memory: §4gb}}\n",
        "resources: {limits: {memory: §true}}\n",
        "ports: {http: §0}\n",
        "ports: {http: §65536}\n",
        "ports: {http: §web}\n",
        "env: {A: §true}\n",
        "env: {A: §1.10}\n",
        "env: {A: §[a]}\n",
        "labels: {a: §1}\n",
        "labels: {a: §true}\n",
        "description: §7\n",
        "description: §[a]\n",
        "service: {type: §Clusterip}\n",
        "service: {type: §Ingress}\n",
        "service: {enabled: §'no'}\n",
        "canary: {mode: §beside}\n",
        "canary: {size: §10pct}\n",
        "canary: {size: §-1}\n",
        "ingress: {host: §''}\n",
        "ingress: {host: a.example.com, path: §v1}\n",
        "autoscaling: {minReplicas: §-1, maxReplicas: 3, cpu: 80}\n",
        "autoscaling: {minReplicas: 1, maxReplicas: §many, cpu: 80}\n",
        "autoscaling: {minReplicas: 1, maxReplicas: 3, cpu: §80%}\n",
        "security: {seccomp: §None}\n",
        "security: {runAsUser: §root}\n",
        "preStopSeconds: §-5\n",
    ),
    *_replace(
        MODEL,
        Code.BAD_VALUE,
        "owner: §''\nprofiles: [small]\n",
        "owner: §two words\nprofiles: [small]\n",
        "owner: §7\nprofiles: [small]\n",
    ),
    *_append(
        MODEL,
        Code.BAD_NAME,
        "ports: {§HTTP: 1}\n",
        "ports: {§a-name-too-long-for-a-port: 1}\n",
        "volumes: {§Data: {mountPath: /d, emptyDir: {}}}\n",
        "sidecars: {§Log: {image: 'r/x:1'}}\n",
        "initContainers: {§under_score: {image: 'r/x:1'}}\n",
    ),
    *_append(
        MODEL,
        Code.INCONSISTENT,
        "autoscaling: {minReplicas: §5, maxReplicas: 2, cpu: 80}\n",
        "autoscaling: §{minReplicas: 1, maxReplicas: 2}\n",
        "disruptionBudget: §{}\n",
        "disruptionBudget: §{minAvailable: 1, maxUnavailable: 1}\n",
    ),
]

_MERGING = [
    *_append(
        MODEL,
        Code.SHAPE_CONFLICT,
        "image: §r:1\n",
        "image: §[r]\n",
        "ports: §[8080]\n",
        "ports: §8080\n",
        "image: {tag: §{a: b}}\n",
        "replicas: §{a: 1}\n",
    ),
    *_replace(OVERLAY, Code.SHAPE_CONFLICT, "ports: §[1]\n", "image: §other\n"),
    *_append(
        MODEL,
        Code.BAD_INTERPOLATION,
        "description: §'${oc.env:HOME}'\n",
        "description: §'${env:HOME}'\n",
        "description: §'${oc.decode:x}'\n",
        "description: §'${'\n",
        "description: §'${image.tag'\n",
        "description: §'${}'\n",
        "description: §'is ${image}'\n",
    ),
    *_append(
        MODEL,
        Code.MISSING_REFERENCE,
        "description: §'${nobody}'\n",
        "description: §'${image.nothing}'\n",
        "description: §'${environment.nothing}'\n",
        "description: §'${stack.nothing}'\n",
    ),
    *_append(
        MODEL,
        Code.CIRCULAR_REFERENCE,
        "description: §'${description}'\n",
        "labels: {a: §'${labels.b}', b: §'${labels.a}'}\n",
    ),
    *_append(
        MODEL,
        Code.MISPLACED_KEY,
        "§name: m\n",
        "§environment: {}\n",
        "§stack: prod\n",
        "canary: {candidate: {§canary: {size: 2}}}\n",
        "canary: {candidate: {§profiles: [small]}}\n",
    ),
    *_append(
        MODEL,
        Code.MISPLACED_KEY,
        "canary: {candidate: {§replicas: 2}}\n",
        "canary: {candidate: {§enabled: false}}\n",
        "canary: {candidate: {§ingress: {host: a.example.com}}}\n",
    ),
    *_replace(OVERLAY, Code.MISPLACED_KEY, "§profiles: [small]\n", "§name: m\n"),
    *_append(DEFAULTS, Code.MISPLACED_KEY, "§profiles: [small]\n"),
    *_append(PROFILE, Code.MISPLACED_KEY, "§profiles: [small]\n"),
    *_append(
        ENVIRONMENT,
        Code.MISPLACED_KEY,
        "defaults: {§profiles: [small]}\n",
        "overrides: {§name: m}\n",
    ),
]

_POD = "patch: {Deployment: {spec: {template: {spec: {%s}}}}}\n"
_CONTAINER = _POD % "containers: [{name: model, %s}]"
_PATCHES = [
    *_append(
        MODEL,
        Code.BAD_PATCH,
        _POD % "§hostNetwrok: true",
        _POD % "§hostNetwrok: true, §dnsPolcy: Default",
        _POD % "hostNetwork: §'true'",
        _POD % "dnsPolicy: §clusterFirst",
        _POD % "tolerations: §{key: a}",
        _POD % "terminationGracePeriodSeconds: §'30'",
        _POD % "containers: [{name: §modl, stdin: true}]",
        _POD % "containers: [§{stdin: true}]",
        _POD % "affinity: {nodeAffinity: {§required: {}}}",
        _CONTAINER % "§imagePullPolcy: Always",
        _CONTAINER % "imagePullPolicy: §always",
        _CONTAINER % "env: [{name: A, value: §1}]",
        _CONTAINER % "env: §{A: x}",
        _CONTAINER % "volumeMounts: [{mountPath: §/nowhere}]",
        _CONTAINER % "securityContext: {$retainKeys: §[a]}",
        _CONTAINER % "env: [{name: A, value: x}, {name: §A, value: y}]",
        _CONTAINER % "volumeMounts: [{mountPath: /x, name: §nowhere}]",
        _CONTAINER % "ports: §[{containerPort: 8080, $patch: delete}]",
        _CONTAINER % "livenessProbe: {httpGet: {port: 1}, §tcpSocket: {port: 1}}",
        _POD % "ephemeralContainers: §[{name: x, image: y}]",
        _POD % "containers: [{name: §X_Y, image: y}]",
        _POD % "containers: §{name: model}",
        "patch: {Service: {spec: {ports: §null}}}\n",
        "patch: {Service: {metadata: {uid: §x}}}\n",
        "patch: {Service: {metadata: {labels: {a: §x y}}}}\n",
        "patch: {§Deployment/canry: {}}\n",
        "patch: {Deployment: {spec: {§hostNetwork: true}}}\n",
        "patch: {Deployment: {§metdata: {}}}\n",
        "patch: {Deployment/canary: {spec: {§pausd: true}}}\n",
        "patch: {Service: {spec: {ports: [{port: 80, §targetport: 1}]}}}\n",
        "patch: {Service: {spec: {ports: [{port: §'80'}]}}}\n",
        "patch: {§Servce: {}}\n",
        "patch:\n  Deployment:\n    spec:\n      §pausd: true\n      revisionHistoryLimit: §ten\n",
    ),
    *_replace(OVERLAY, Code.BAD_PATCH, "patch: {ServiceAccount: {§secret: []}}\n"),
    *_append(ENVIRONMENT, Code.BAD_PATCH, "defaults: {patch: {Deployment: {spec: {§x: 1}}}}\n"),
]

_FILES = [
    *_replace(
        MODEL,
        Code.UNKNOWN_PROFILE,
        "owner: t\nprofiles: [small, §smal]\n",
        "owner: t\nprofiles: [small, §small]\n",
        "owner: t\nprofiles: [small, §7]\n",
    ),
    *_append(
        ENVIRONMENT,
        Code.UNKNOWN_KEY,
        "§namespaces: a\n",
        "cluster: {§contxt: a}\n",
        "§replicas: 3\n",
        "§override: {}\n",
    ),
    *_replace(ENVIRONMENT, Code.MISSING_KEY, "§description: no namespace\n"),
    *_replace(ENVIRONMENT, Code.BAD_VALUE, "namespace: §ML_Prod\n", "namespace: §7\n"),
    *_append(
        ENVIRONMENT,
        Code.BAD_VALUE,
        "protect: §1\n",
        "protect: §'true'\n",
        "cluster: §local\n",
        "cluster: {kubernetesVersion: §1.33}\n",
        "cluster: {kubernetesVersion: §v1.33}\n",
        "cluster: {kubernetesVersion: §'1.9999'}\n",
        "cluster: {kubernetesVersion: §'1.28'}\n",
        "overrides: §[a]\n",
        "defaults: §3\n",
        "overrides: {replicas: §many}\n",
        "defaults: {enabled: §1}\n",
    ),
    *_append(ENVIRONMENT, Code.INCONSISTENT, "policy: {minReplicas: §3, maxReplicas: 2}\n"),
    *_append(ENVIRONMENT, Code.BAD_NAME, "capacity: {§memry: 20Gi}\n", "capacity: {§gpus: 4}\n"),
    *_append(ENVIRONMENT, Code.BAD_VALUE, "cluster: {context: §''}\n"),
    *_append(ENVIRONMENT, Code.UNKNOWN_KEY, "overrides: {§replica: 3}\n", "defaults: {§x: 3}\n"),
    *_replace("environments/prod/models/other.yaml", Code.UNKNOWN_MODEL, "replicas: 3\n"),
    *_replace("catalog/Bad_Name.yaml", Code.FILE_NAME, "owner: t\n"),
    *_replace("catalog/m-canary.yaml", Code.FILE_NAME, "owner: t\n"),
    *_replace("catalog/n.yml", Code.FILE_NAME, "owner: t\n"),
    *_replace("catalog/9lives.yaml", Code.FILE_NAME, "owner: t\n"),
    *_replace("catalog/_profiles/Small.yaml", Code.FILE_NAME, "replicas: 2\n"),
    *_replace("environments/prod/models/n.yml", Code.FILE_NAME, "replicas: 2\n"),
]

CASES = [*_YAML, *_SETTINGS, *_MERGING, *_PATCHES, *_FILES]
