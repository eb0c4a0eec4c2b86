"""Rules of the API server for where Pods run: affinity, tolerations, spread, label selectors."""

from __future__ import annotations

from collections.abc import Iterator

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.plan.patch.rules.base import Object, Rule, Show, broken, items
from framework.plan.patch.rules.fields import LABEL_KEY, LABEL_VALUE


def _check_operator(requirement: Object, show: Show) -> Iterator[SettingDiagnostic]:
    operator, values = requirement["operator"], requirement.get("values") or ()
    if operator in ("In", "NotIn") and not values:
        yield broken((), f'has no values; expected one or more with operator "{operator}"')
    if operator in ("Exists", "DoesNotExist") and values:
        yield broken(("values",), f'is not allowed with operator "{operator}"; remove it')
    # Only the labels of nodes are compared as numbers.
    if operator in ("Gt", "Lt") and len(values) != 1:
        yield broken((), f'has {len(values)} values; expected one with operator "{operator}"')


def _check_node_term(term: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks requirements of labels, and those of `matchFields`, which are about a node's name."""
    for index, requirement in enumerate(term.get("matchExpressions") or ()):
        if not LABEL_KEY.accepts(requirement["key"]):
            path: KeyPath = ("matchExpressions", index, "key")
            yield broken(path, f"is {show(path, requirement['key'])}; expected a label's key")
    for index, requirement in enumerate(term.get("matchFields") or ()):
        here: KeyPath = ("matchFields", index)
        if requirement["key"] != "metadata.name":
            message = f"is {show((*here, 'key'), requirement['key'])}; expected metadata.name"
            yield broken((*here, "key"), message)
        if requirement["operator"] not in ("In", "NotIn"):
            yield broken((*here, "operator"), 'expected "In" or "NotIn" for a field of the node')
        elif len(requirement.get("values") or ()) != 1:
            yield broken(here, "expected exactly one value for a field of the node")


def _check_node_selector(selector: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the values of required terms; in preferred ones the server accepts any text."""
    terms = selector["nodeSelectorTerms"]
    if not terms:
        yield broken(("nodeSelectorTerms",), "is empty; expected at least one term")
    for number, term in enumerate(terms):
        for index, requirement in enumerate(term.get("matchExpressions") or ()):
            for position, value in enumerate(requirement.get("values") or ()):
                if not LABEL_VALUE.accepts(value):
                    path = ("nodeSelectorTerms", number, "matchExpressions", index, "values",
                            position)  # fmt: skip
                    yield broken(path, f"is {show(path, value)}; expected {LABEL_VALUE.expected}")


def _check_pod_term(term: Object, show: Show) -> Iterator[SettingDiagnostic]:
    both = ("matchLabelKeys", "mismatchLabelKeys")
    for name in both:
        if term.get(name) and not term.get("labelSelector"):
            yield broken((name,), "needs a labelSelector with it")
    for key in term.get(both[0]) or ():
        if key in (term.get(both[1]) or ()):
            yield broken((both[1],), f"has {key}, which {both[0]} has too; remove one of them")


def _check_toleration(toleration: Object, show: Show) -> Iterator[SettingDiagnostic]:
    operator = toleration.get("operator") or "Equal"
    value = toleration.get("value") or ""
    if not toleration.get("key") and operator != "Exists":
        yield broken(
            (), "has no key; expected one, or operator: Exists, which tolerates all taints"
        )
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        yield broken(("tolerationSeconds",), "needs effect: NoExecute")
    if operator == "Exists" and value:
        yield broken(("value",), "is not allowed with operator: Exists; remove it")
    if operator == "Equal" and not LABEL_VALUE.accepts(value):
        message = f"is {show(('value',), value)}; expected {LABEL_VALUE.expected}"
        yield broken(("value",), message)
    if operator in ("Gt", "Lt"):
        # Compared as numbers, a feature that is off by default in Kubernetes 1.37.
        yield broken(("operator",), f'is "{operator}"; expected "Equal" or "Exists"')


def _check_spread(constraint: Object, show: Show) -> Iterator[SettingDiagnostic]:
    wanted = "DoNotSchedule"
    if constraint.get("minDomains") is not None and constraint["whenUnsatisfiable"] != wanted:
        yield broken(("minDomains",), f"needs whenUnsatisfiable: {wanted}")
    selector = constraint.get("labelSelector")
    keys = items(constraint, "matchLabelKeys")
    if keys and selector is None:
        yield broken(("matchLabelKeys",), "needs a labelSelector with it")
    for index, key in enumerate(keys):
        if selector and key in _list_selected(selector):
            path: KeyPath = ("matchLabelKeys", index)
            yield broken(path, f"is {show(path, key)}, which the labelSelector has too")


def _list_selected(selector: Object) -> Iterator[str]:
    yield from selector.get("matchLabels") or ()
    for requirement in items(selector, "matchExpressions"):
        yield requirement["key"]


RULES: dict[str, Rule] = {
    "LabelSelectorRequirement": _check_operator,
    "NodeSelector": _check_node_selector,
    "NodeSelectorRequirement": _check_operator,
    "NodeSelectorTerm": _check_node_term,
    "PodAffinityTerm": _check_pod_term,
    "Toleration": _check_toleration,
    "TopologySpreadConstraint": _check_spread,
}
