"""Reads the settings of a model from the objects beside its Deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.edits.importing.containers import Settings, unused_name
from framework.edits.importing.pods import read_claim
from framework.edits.importing.translation import Translation
from framework.settings.reserved import MODEL_CONTAINER

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_DNS_RULE = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
# Fields of a Service that have the name of their setting.
_SERVICE = ("type", "sessionAffinity", "externalTrafficPolicy", "loadBalancerClass")


def read_companions(translation: Translation, settings: Settings) -> None:
    """Adds what the objects beside the Deployment decide to the settings of the model."""
    _read_services(translation, settings)
    settings["serviceAccount"] |= _read_account(translation)
    autoscaler = translation.find("HorizontalPodAutoscaler")
    settings["autoscaling"] = translation.scaling or _read_autoscaler(autoscaler)
    settings["disruptionBudget"] = _read_budget(translation.find("PodDisruptionBudget"))
    settings["ingress"] = _read_ingress(translation)
    settings["networkPolicy"] = _read_policy(translation.find("NetworkPolicy"))
    for container, config in translation.configs.items():
        _settings_of(container, settings)["config"] = config
    for volume, spec in translation.claims.items():
        if volume in settings["volumes"]:
            settings["volumes"][volume]["claim"] = read_claim(spec)
    if settings["autoscaling"]:
        del settings["replicas"]


def _settings_of(container: str, settings: Settings) -> Settings:
    if container == MODEL_CONTAINER:
        return settings
    kind = "sidecars" if container in settings["sidecars"] else "initContainers"
    found: Settings = settings[kind][container]
    return found


def _read_services(translation: Translation, settings: Settings) -> None:
    """Adds `service` and `services`; the Service that is not headless comes first."""
    found = [obj for obj in translation.objects if obj["kind"] == "Service"]
    # Python's sort is stable: of two Services, the one with the name of the model comes first, and
    # of the others those that are not headless.
    found.sort(key=lambda obj: obj["spec"].get("clusterIP") == "None")
    found.sort(key=lambda obj: obj["metadata"]["name"] != translation.model)
    settings["services"] = {}
    settings["service"] = {"enabled": False}
    for index, obj in enumerate(found):
        if not obj["spec"].get("ports"):
            continue
        service = _read_service(obj, settings, is_first=index == 0)
        name = str(obj["metadata"]["name"])
        if index == 0:
            settings["service"] = service | ({"name": name} if name != translation.model else {})
            continue
        key = unused_name(name.removeprefix(f"{translation.model}-")[:40], settings["services"])
        own = {"name": name} if name != f"{translation.model}-{key}" else {}
        settings["services"][key] = service | own
        translation.service_keys[name] = key


def _read_service(obj: Mapping[str, Any], settings: Settings, *, is_first: bool) -> Settings:
    spec = obj["spec"]
    read: Settings = {key: spec[key] for key in _SERVICE if key in spec}
    read["annotations"] = dict(obj["metadata"].get("annotations") or {})
    labels = obj["metadata"].get("labels") or {}
    read["labels"] = {k: v for k, v in labels.items() if settings["labels"].get(k) != v}
    read["headless"] = spec.get("clusterIP") == "None"
    ports, own = spec["ports"], settings["ports"]
    targets = [port.get("targetPort") for port in ports]
    names = [port.get("name") for port in ports]
    if is_first and names == targets and sorted(map(str, targets)) == sorted(own):
        for port in ports:
            target = own[port["name"]]
            if port.get("port") != target["containerPort"]:
                target["servicePort"] = port.get("port")
            target |= {key: port[key] for key in ("appProtocol", "nodePort") if key in port}
        return read
    read["ports"] = {str(port.get("name")): _read_service_port(port, own) for port in ports}
    return read


def _read_service_port(port: Mapping[str, Any], own: Settings) -> Settings:
    target = port.get("targetPort")
    settings: Settings = {key: port[key] for key in ("appProtocol", "nodePort") if key in port}
    if target != port.get("name"):
        settings["targetPort"] = target
    if not isinstance(target, str) and port.get("protocol", "TCP") != "TCP":
        settings["protocol"] = port["protocol"]
    if port.get("port") != own.get(str(target), {}).get("containerPort", target):
        settings["port"] = port.get("port")
    return settings or {"port": port.get("port")}


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


def _read_ingress(translation: Translation) -> Settings | None:
    """Returns the first host and path; the others are patched."""
    ingress = translation.find("Ingress")
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
        "service": translation.service_keys.get(str(service.get("name"))),
        "tlsSecret": next(iter(secrets), None),
        "annotations": dict(ingress["metadata"].get("annotations") or {}),
    }
    return {key: value for key, value in settings.items() if value is not None}


def _read_policy(policy: Mapping[str, Any] | None) -> Settings | None:
    if policy is None:
        return None
    spec = policy["spec"]
    # The default of the API server:
    # https://kubernetes.io/docs/concepts/services-networking/network-policies
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
    """Returns the peers of rules that have one peer each, as `normalize` makes them."""
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
            if "namespaceSelector" in peer and not namespaces:
                settings["namespaceLabels"] = {}
            if "podSelector" in peer:
                settings["pods"] = peer["podSelector"].get("matchLabels") or {}
        if not rule.get(direction):
            settings["anyone"] = True
        if ports := [port.get("port") for port in rule.get("ports") or ()]:
            settings["ports"] = ports
        name = str(
            settings.get("namespace") or next(iter(settings.get("pods", {}).values()), "peer")
        )
        peers[unused_name(name.lower(), peers)] = settings
    return peers
