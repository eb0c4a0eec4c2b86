"""Manifests for the tests of `import`, as teams write them and as a cluster returns them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import yaml

CHAT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: chat
  namespace: serving
  labels: {app: chat}
spec:
  replicas: 2
  selector: {matchLabels: {app: chat}}
  template:
    metadata:
      labels: {app: chat, version: v1}
      annotations: {prometheus.io/scrape: "true"}
    spec:
      serviceAccountName: chat-runner
      nodeSelector: {gpu: l4}
      containers:
        - name: server
          image: vllm/vllm-openai:v0.10.1
          command: [python3, -m, vllm]
          args: ["--model=$(MODEL_ID)", "--path=${HOME}"]
          ports:
            - containerPort: 8000
          env:
            - {name: MODEL_ID, value: llama}
            - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
            - name: HUB_TOKEN
              valueFrom: {secretKeyRef: {name: hub, key: token}}
          envFrom:
            - configMapRef: {name: shared.settings}
          resources:
            requests: {cpu: 500m, memory: 1Gi, nvidia.com/gpu: 1}
            limits: {memory: 1024Mi, nvidia.com/gpu: 1}
          startupProbe:
            httpGet: {path: /health, port: 8000}
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            httpGet: {path: /health, port: 8000}
          volumeMounts:
            - {name: shm, mountPath: /dev/shm}
            - {name: models, mountPath: /models, readOnly: true}
          securityContext: {runAsUser: 1000}
      volumes:
        - {name: shm, emptyDir: {medium: Memory, sizeLimit: 2Gi}}
        - {name: models, persistentVolumeClaim: {claimName: model-store}}
---
apiVersion: v1
kind: Service
metadata: {name: chat}
spec:
  selector: {app: chat}
  ports:
    - {port: 80, targetPort: 8000}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: chat-scaler}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: chat}
  minReplicas: 2
  maxReplicas: 6
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: chat}
spec: {minAvailable: 1, selector: {matchLabels: {app: chat}}}
"""

# A proxy beside the model, init containers in an order that is not that of their names, a volume
# that is mounted twice, and a ConfigMap with a script.
TWO_CONTAINERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: ranker}
spec:
  selector: {matchLabels: {app: ranker}}
  template:
    metadata: {labels: {app: ranker}}
    spec:
      initContainers:
        - {name: prepare, image: "busybox:1.36", command: [sh, -c, "true"]}
        - name: fetch
          image: busybox:1.36
          securityContext: {runAsUser: 0}
          volumeMounts: [{name: data, mountPath: /data}]
      containers:
        - name: proxy
          image: envoyproxy/envoy:v1.31.0
          ports: [{name: public, containerPort: 9000}]
        - name: server
          image: nvcr.io/nvidia/tritonserver:25.03-py3
          ports: [{containerPort: 8000}, {name: grpc, containerPort: 8001}]
          resources: {limits: {nvidia.com/gpu: 1}}
          volumeMounts:
            - {name: data, mountPath: /models, subPath: models}
            - {name: data, mountPath: /cache, subPath: cache}
            - {name: script, mountPath: /scripts}
      volumes:
        - {name: data, emptyDir: {}}
        - {name: script, configMap: {name: start-script}}
---
apiVersion: v1
kind: Service
metadata: {name: ranker-public}
spec:
  selector: {app: ranker}
  ports: [{name: web, port: 80, targetPort: public}]
---
apiVersion: v1
kind: Service
metadata: {name: ranker-headless}
spec:
  clusterIP: None
  selector: {app: ranker}
  ports: [{name: grpc, port: 8001}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: start-script}
data:
  start.sh: |
    for name in a b; do echo ${name}; done
"""


def change(text: str, path: str, value: Any) -> str:
    """Returns manifests in which a field of the first object has another value."""
    first, *others = yaml.safe_load_all(text)
    *parents, last = path.split(".")
    target = first
    for key in parents:
        target = target[int(key)] if key.isdigit() else target.setdefault(key, {})
    target[int(last) if last.isdigit() else last] = value
    return str(yaml.safe_dump_all([first, *others], sort_keys=False))


def change_spec(text: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the object of a kind with other fields in its `spec`."""
    obj = next(obj for obj in yaml.safe_load_all(text) if obj["kind"] == kind)
    obj["spec"] |= fields
    return dict(obj)


def make_live(obj: dict[str, Any]) -> dict[str, Any]:
    """Returns an object as a cluster has it: with defaults, assigned values and a status."""
    live = deepcopy(obj)
    live["status"] = {"observedGeneration": 4, "loadBalancer": {}}
    live["metadata"] |= {
        "uid": "4f1e", "resourceVersion": "2", "generation": 4, "namespace": "serving",
        "creationTimestamp": "2026-11-26T02:28:07Z",
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "annotations": {"deployment.kubernetes.io/revision": "3"},
    }  # fmt: skip
    spec = live["spec"]
    if live["kind"] == "Deployment":
        spec |= {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10}
        spec["strategy"] = {
            "type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}
        }  # fmt: skip
        restarted = {"kubectl.kubernetes.io/restartedAt": "2026-11-26T02:28:07Z"}
        spec["template"]["metadata"]["annotations"] |= restarted
        pod = spec["template"]["spec"]
        pod |= {
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "securityContext": {},
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30,
            "serviceAccount": pod["serviceAccountName"],
        }  # fmt: skip
        container = pod["containers"][0]
        container |= {
            "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }  # fmt: skip
        container["ports"][0]["protocol"] = "TCP"
        for name in ("startupProbe", "readinessProbe"):
            container[name] |= {"timeoutSeconds": 1, "successThreshold": 1}
            container[name]["httpGet"]["scheme"] = "HTTP"
    elif live["kind"] == "Service":
        spec |= {
            "type": "ClusterIP", "clusterIP": "10.96.225.5", "clusterIPs": ["10.96.225.5"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
        }  # fmt: skip
        spec["ports"][0] |= {"protocol": "TCP", "nodePort": 31251}
    elif live["kind"] == "HorizontalPodAutoscaler":
        percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
        pods = {"type": "Pods", "value": 4, "periodSeconds": 15}
        up = {"selectPolicy": "Max", "stabilizationWindowSeconds": 0, "policies": [pods, percent]}
        down = {"selectPolicy": "Max", "policies": [percent]}
        spec["behavior"] = {"scaleUp": up, "scaleDown": down}
    return live
