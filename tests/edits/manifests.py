"""Manifests for the tests of `import`, as teams write them and as a cluster returns them."""

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
