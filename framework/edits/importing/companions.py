"""Reads the settings of a model from the objects beside its Deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.edits.importing.containers import Settings, unused_name
from framework.edits.importing.pods import read_claim
from framework.edits.importing.translation import Translation

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_DNS_RULE = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
# Fields of a Service that have the name of their setting.
_SERVICE = ("type", "sessionAffinity", "externalTrafficPolicy", "loadBalancerClass")


def read_companions(translation: Translation, settings: Settings) -> None:
    """Adds what the objects beside the Deployment decide to the settings of the model."""
    settings["service"] = _read_service(translation, settings)
    settings["serviceAccount"] |= _read_account(translation)
    settings["autoscaling"] = _read_autoscaler(translation.find("HorizontalPodAutoscaler"))
    settings["disruptionBudget"] = _read_budget(translation.find("PodDisruptionBudget"))
    settings["ingress"] = _read_ingress(translation.find("Ingress"))
    settings["networkPolicy"] = _read_policy(translation.find("NetworkPolicy"))
    settings["config"] = translation.config
    for volume, spec in translation.claims.items():
        if volume in settings["volumes"]:
            settings["volumes"][volume]["claim"] = read_claim(spec)
    if settings["autoscaling"]:
        del settings["replicas"]


def _read_service(translation: Translation, settings: Settings) -> Settings:
    service = translation.find("Service")
    ports = (service or {}).get("spec", {}).get("ports") or []
    if service is None or not settings["ports"]:
        return {"enabled": False}
    for port in ports:
        own = settings["ports"].get(port.get("targetPort"))
        if own is None:
            continue
        if port.get("port") != own["containerPort"]:
            own["servicePort"] = port.get("port")
        own |= {key: port[key] for key in ("appProtocol", "nodePort") if key in port}
    spec = service["spec"]
    read: Settings = {key: spec[key] for key in _SERVICE if key in spec}
    read["annotations"] = dict(service["metadata"].get("annotations") or {})
    read["headless"] = spec.get("clusterIP") == "None"
    return read


def _read_account(translation: Translation) -> Settings:
    account = translation.find("ServiceAccount")
    if account is None:
        return {}
    return {"name": None, "annotations": dict(account["metadata"].get("annotations") or {})}


def _read_autoscaler(autoscaler: Mapping[str, Any] | None) -> Settings | None:
    if autoscaler is None:
        return None
    spec = autoscaler["spec"]
    settings: Settings = {
        "minReplicas": spec.get("minReplicas", 1),
        "maxReplicas": spec.get("maxReplicas"),
        "metrics": {},
        "behavior": dict(spec.get("behavior") or {}),
    }
    for metric in spec.get("metrics") or ():
        resource = metric.get("resource") or {}
        target = resource.get("target") or {}
        name = resource.get("name")
        if name in ("cpu", "memory") and target.get("type") == "Utilization":
            settings[name] = target.get("averageUtilization")
        else:
            key = _name_metric(metric)
            settings["metrics"][unused_name(key, settings["metrics"])] = metric
    return settings


def _name_metric(metric: Mapping[str, Any]) -> str:
    """Returns a short name for a metric: `queue-size` for `vllm:queue_size`."""
    kind = str(metric.get("type", "metric"))
    source = metric.get(kind[0].lower() + kind[1:]) or {}
    name = str((source.get("metric") or {}).get("name") or source.get("name") or kind)
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return "-".join(words)[-63:].strip("-") or "metric"


def _read_budget(budget: Mapping[str, Any] | None) -> Settings | None:
    spec = (budget or {}).get("spec") or {}
    found = {key: spec[key] for key in ("minAvailable", "maxUnavailable") if key in spec}
    return found or None


def _read_ingress(ingress: Mapping[str, Any] | None) -> Settings | None:
    """Returns the first host and path; the others are patched."""
    if ingress is None:
        return None
    spec = ingress["spec"]
    rule: Mapping[str, Any] = next(iter(spec.get("rules") or ()), {})
    paths = (rule.get("http") or {}).get("paths")
    path: Mapping[str, Any] = next(iter(paths or ()), {})
    service = (path.get("backend") or {}).get("service") or {}
    secrets = [tls.get("secretName") for tls in spec.get("tls") or ()]
    settings: Settings = {
        "host": rule.get("host"),
        "path": path.get("path", "/"),
        "pathType": path.get("pathType", "Prefix"),
        "className": spec.get("ingressClassName"),
        "port": (service.get("port") or {}).get("name"),
        "tlsSecret": next(iter(secrets), None),
        "annotations": dict(ingress["metadata"].get("annotations") or {}),
    }
    return {key: value for key, value in settings.items() if value is not None}


def _read_policy(policy: Mapping[str, Any] | None) -> Settings | None:
    if policy is None:
        return None
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    settings: Settings = {"dns": False}
    if "Ingress" in types:
        settings["allowFrom"] = _read_peers(spec.get("ingress") or (), "from")
    if "Egress" in types:
        rules = list(spec.get("egress") or ())
        if _DNS_RULE in rules:
            rules.remove(_DNS_RULE)
            settings["dns"] = True
        settings["allowTo"] = _read_peers(rules, "to")
    return settings


def _read_peers(rules: Any, direction: str) -> Settings:
    """Returns the peers of rules that have one peer each, as `normalise` makes them."""
    peers: Settings = {}
    for rule in rules:
        settings: Settings = {}
        for peer in rule.get(direction) or ():
            namespaces = (peer.get("namespaceSelector") or {}).get("matchLabels") or {}
            if block := peer.get("ipBlock"):
                settings["cidr"] = block.get("cidr")
                settings |= {"except": block["except"]} if block.get("except") else {}
            if set(namespaces) == {_NAMESPACE_LABEL}:
                settings["namespace"] = namespaces[_NAMESPACE_LABEL]
            elif namespaces:
                settings["namespaceLabels"] = namespaces
            if pods := (peer.get("podSelector") or {}).get("matchLabels"):
                settings["pods"] = pods
        if ports := [port.get("port") for port in rule.get("ports") or ()]:
            settings["ports"] = ports
        name = str(
            settings.get("namespace") or next(iter(settings.get("pods", {}).values()), "peer")
        )
        peers[unused_name(name.lower(), peers)] = settings
    return peers
