"""Tests `up` on a cluster in memory: creates, updates, replacements, deletions and refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from framework.core.changes import Op
from framework.core.errors import EngineError, UnknownNameError
from framework.engines.problems import RefusedError
from tests.engines.fakes import Stack, ops

TWO_MODELS = """
    for name in ("a", "b"):
        model = Model(name)
        config_map(f"{name}-settings", {"k": "v"}, model)
        deployment(name, parent=model)
    pulumi.export("names", ["a", "b"])
"""


def test_new_stack_is_created_and_then_unchanged(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    assert set(ops(stack.up()).values()) == {"create"}
    before = stack.state_file.read_bytes()
    assert stack.up().outputs == {"names": ["a", "b"]}
    assert stack.preview().clean
    assert stack.state_file.read_bytes() == before


def test_change_list_has_a_stable_order(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    first = stack.preview()
    kinds = [(change.component, change.kind) for change in first.changes]
    assert kinds == [
        ("", "Stack"),
        ("", "kubernetes"),
        ("a", "Model"),
        ("a", "ConfigMap"),
        ("a", "Deployment"),
        ("b", "Model"),
        ("b", "ConfigMap"),
        ("b", "Deployment"),
    ]
    assert stack.preview() == first


def test_only_what_differs_is_updated(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    stack.up()
    stack.cluster.log.clear()
    stack.program(TWO_MODELS.replace("name, parent", "name, 'v2' if name == 'a' else 'v1', parent"))
    result = stack.up()
    assert ops(result) == {"Deployment a": "update"}
    assert stack.cluster.log == [("update", "Deployment ns/a")]
    (field,) = next(c for c in result.changes if c.op is Op.UPDATE).fields
    assert (field.path, field.old, field.new) == (
        "spec.template.spec.containers[model].image",
        "v1",
        "v2",
    )


def test_removed_resources_are_deleted_dependents_first(stack: Stack) -> None:
    stack.program("base = config_map('base')\nconfig_map('top', depends_on=[base])")
    stack.up()
    stack.cluster.log.clear()
    stack.program("")
    assert ops(stack.up()) == {"ConfigMap base": "delete", "ConfigMap top": "delete"}
    assert stack.cluster.log == [("delete", "ConfigMap ns/top"), ("delete", "ConfigMap ns/base")]


def test_renamed_object_is_created_before_the_old_one_is_deleted(stack: Stack) -> None:
    stack.program("config_map('settings', object_name='settings-1')")
    stack.up()
    stack.cluster.log.clear()
    stack.program("config_map('settings', object_name='settings-2')")
    assert ops(stack.up()) == {"ConfigMap settings": "replace"}
    assert stack.cluster.log == [
        ("create", "ConfigMap ns/settings-2"),
        ("delete", "ConfigMap ns/settings-1"),
    ]
    assert [resource["id"] for resource in stack.resources if "ConfigMap" in resource["type"]] == [
        "ns/settings-2"
    ]


def test_failed_rollout_skips_its_dependents_and_no_others(
    stack: Stack,
) -> None:
    stack.cluster.bad.add("ns/a")
    stack.program("""
        one, two = Model("one"), Model("two")
        a = deployment("a", parent=one)
        config_map("after-a", parent=one, depends_on=[a])
        deployment("b", parent=two)
    """)
    result = stack.up()
    (failure,) = result.failures
    assert (failure.change.name, failure.rollout) == ("a", True)
    assert "Pod x" in failure.reason
    assert stack.cluster.ids() == ["Deployment ns/a", "Deployment ns/b"]
    states = {(p.change.name, p.state) for p in stack.progress}
    assert {("a", "failed"), ("after-a", "skipped"), ("b", "done")} <= states


def test_failed_rollout_is_waited_for_by_the_next_up(stack: Stack) -> None:
    stack.cluster.bad.add("ns/a")
    stack.program("deployment('a')")
    stack.up()
    assert next(e for e in stack.resources if e["urn"].endswith("::a"))["initErrors"]
    stack.cluster.bad.clear()
    (change,) = [c for c in stack.preview().changes if c.op is not Op.SAME]
    assert change.note == "its last rollout did not finish"
    assert not stack.up().failures
    assert stack.preview().clean


def test_removed_object_of_a_failed_component_is_kept(stack: Stack) -> None:
    stack.program("m = Model('m')\nconfig_map('old', parent=m)\ndeployment('d', parent=m)")
    stack.up()
    stack.cluster.bad.add("ns/d")
    stack.program("m = Model('m')\ndeployment('d', 'v2', parent=m)")
    stack.up()
    assert "ConfigMap ns/old" in stack.cluster.ids()
    stack.cluster.bad.clear()
    stack.up()
    assert "ConfigMap ns/old" not in stack.cluster.ids()


# A ConfigMap whose name changes with its content, and a Deployment that needs it.
_REPLACED = """
    m = Model('m')
    c = config_map('c', object_name='c-{0}', parent=m)
    deployment('d', 'v{0}', parent=m, depends_on=[c])
"""


def _fail_to_replace(stack: Stack) -> None:
    """Deploys version 1, then version 2, whose Deployment fails."""
    stack.program(_REPLACED.format(1))
    stack.up()
    stack.cluster.bad.add("ns/d")
    stack.program(_REPLACED.format(2))
    stack.up()


def test_replaced_object_is_kept_while_its_component_fails(stack: Stack) -> None:
    _fail_to_replace(stack)
    assert {"ConfigMap ns/c-1", "ConfigMap ns/c-2"} <= set(stack.cluster.ids())
    stack.cluster.bad.clear()
    stack.up()
    assert "ConfigMap ns/c-1" not in stack.cluster.ids()
    assert stack.preview().clean


def test_reverted_replacement_keeps_the_old_object(stack: Stack) -> None:
    _fail_to_replace(stack)
    stack.cluster.bad.clear()
    stack.program(_REPLACED.format(1))
    stack.up()
    assert stack.cluster.ids() == ["ConfigMap ns/c-1", "Deployment ns/d"]
    assert stack.preview().clean


def test_refused_write_is_not_a_rollout_failure(stack: Stack) -> None:
    stack.cluster.refused.add("ns/x")
    stack.program("config_map('x')\nconfig_map('y')")
    (failure,) = stack.up().failures
    assert not failure.rollout
    assert "is invalid" in failure.reason
    assert stack.cluster.ids() == ["ConfigMap ns/y"]


def test_created_object_whose_answer_a_proxy_lost_is_recorded_by_the_next_command(
    stack: Stack,
) -> None:
    stack.program("config_map('x')\nconfig_map('y')")
    stack.cluster.unanswered.add("ns/x")
    (failure,) = stack.up().failures
    assert "gateway timeout" in failure.reason
    assert not any(resource["urn"].endswith("::x") for resource in stack.resources)
    stack.cluster.unanswered.clear()
    assert not stack.destroy().failures
    assert stack.cluster.ids() == []


def test_recorded_name_of_others_is_refused_before_any_write(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    stack.up()
    stack.cluster.log.clear()
    stack.cluster.taken.add("ns/a")
    stack.program(TWO_MODELS.replace("name, parent", "name, 'v2', parent"))
    (problem,) = stack.preview().problems
    assert (problem.component, problem.object, problem.belongs_to_others) == (
        "a",
        "Deployment ns/a",
        True,
    )
    assert "take it over with `make adopt`" in problem.message
    with pytest.raises(RefusedError, match="make adopt"):
        stack.up()
    assert stack.cluster.log == []
    # The other model is none of it, and `adopt` ends the refusal.
    assert ops(stack.up("b")) == {"Deployment b": "update"}
    request = replace(stack.request("a"), adopts=True)
    assert stack.engine.up(request, lambda _: True, stack.progress.append) is not None
    assert stack.cluster.log[1:] == [("adopt", "Deployment ns/a")]
    assert stack.preview().clean


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("config_map('x', protect=True)", "", "would be deleted"),
        (
            "config_map('x', object_name='x1', protect=True)",
            "config_map('x', object_name='x2', protect=True)",
            "would be replaced",
        ),
    ],
    ids=["delete", "replace"],
)
def test_change_of_a_protected_resource_is_refused_before_any_write(
    stack: Stack, before: str, after: str, reason: str
) -> None:
    stack.program(before)
    stack.up()
    stack.cluster.log.clear()
    stack.program(f"{after}\nconfig_map('other')")
    with pytest.raises(EngineError, match=reason):
        stack.up()
    assert stack.cluster.log == []


def test_retained_object_stays_in_the_cluster(stack: Stack) -> None:
    stack.program("config_map('x', retain_on_delete=True)")
    stack.up()
    stack.program("")
    (change,) = [c for c in stack.up().changes if c.op is Op.DELETE]
    assert "retainOnDelete" in change.note
    assert stack.cluster.ids() == ["ConfigMap ns/x"]


def test_changed_option_is_recorded_although_no_object_changes(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    stack.program("config_map('x', protect=True)")
    assert stack.preview().clean
    stack.up()
    assert stack.resources[-1]["protect"] is True


def test_removed_protect_is_a_warning_although_no_object_changes(stack: Stack) -> None:
    stack.program("config_map('x', protect=True)")
    stack.up()
    stack.program("config_map('x')")
    preview = stack.preview()
    assert preview.clean
    assert preview.messages == ("warning: `up` removes `protect` from 1 resource",)
    stack.up()
    assert stack.preview().messages == ()


def test_alias_renames_without_a_write(stack: Stack) -> None:
    stack.program("m = Model('old')\nconfig_map('old-settings', object_name='x', parent=m)")
    stack.up()
    stack.cluster.log.clear()
    stack.program("""
        m = Model('new', pulumi.ResourceOptions(aliases=[pulumi.Alias(name='old')]))
        config_map('new-settings', object_name='x', parent=m)
    """)
    assert stack.preview().clean
    stack.up()
    assert stack.cluster.log == []
    names = {e["urn"].rpartition("::")[2] for e in stack.resources}
    assert {"new", "new-settings"} <= names
    assert names.isdisjoint({"old", "old-settings"})


def test_alias_urn_renames_without_a_write(stack: Stack) -> None:
    stack.program("config_map('old', object_name='x')")
    stack.up()
    urn = stack.resources[-1]["urn"]
    stack.program(f"config_map('new', object_name='x', aliases=[{urn!r}])")
    assert stack.preview().clean


def test_unknown_inputs_are_planned_once_they_are_known(stack: Stack) -> None:
    stack.program("""
        config_map("first", {"seen": provider.id})
    """)
    [note] = [change.note for change in stack.preview().changes if change.name == "first"]
    assert "known only after" in note
    assert not stack.up().failures
    [provider] = [raw for raw in stack.resources if raw["type"] == "pulumi:providers:kubernetes"]
    seen = stack.cluster.objects["ConfigMap", "ns/first"]["data"]["seen"]
    assert seen == provider["id"]


def test_id_of_a_new_object_is_known_in_the_preview(stack: Stack) -> None:
    program = """
        first = config_map("first", object_name="{name}")
        config_map("second", {{"seen": first.id}})
    """
    for name, op in (("a", "create"), ("b", "replace")):
        stack.program(program.format(name=name))
        preview = stack.preview()
        assert ops(preview)["ConfigMap first"] == op
        assert not any("known only after" in change.note for change in preview.changes)
        assert not stack.up().failures
        second = stack.cluster.objects["ConfigMap", "ns/second"]
        assert second["data"] == {"seen": f"ns/{name}"}


def test_up_of_one_component_updates_no_other(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    stack.up()
    stack.cluster.log.clear()
    stack.program(TWO_MODELS.replace("parent=model", "image='v2', parent=model"))
    assert ops(stack.up("a")) == {"Deployment a": "update"}
    assert stack.cluster.log == [("update", "Deployment ns/a")]
    assert ops(stack.preview()) == {"Deployment b": "update"}


def test_up_of_one_component_deletes_no_other(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    stack.up()
    stack.program("m = Model('a')\ndeployment('a', parent=m)")
    assert ops(stack.up("a")) == {"ConfigMap a-settings": "delete"}
    assert "Deployment ns/b" in stack.cluster.ids()


def test_removed_component_can_be_deleted_by_name(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    stack.up()
    stack.program("")
    assert set(ops(stack.up("b"))) == {"ConfigMap b-settings", "Deployment b", "Model b"}


def test_new_component_whose_dependency_is_left_out_is_refused(stack: Stack) -> None:
    stack.program("base = config_map('base')\nm = Model('a')\n"
                  "config_map('x', parent=m, depends_on=[base])")  # fmt: skip
    with pytest.raises(EngineError, match="once, without MODEL"):
        stack.up("a")
    assert stack.cluster.log == []


def test_unknown_component_is_refused(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    with pytest.raises(UnknownNameError, match='no component is called "sentimnt"'):
        stack.preview("sentimnt")


def test_unconfirmed_up_changes_nothing(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    assert stack.engine.up(stack.request(), lambda _: False, stack.progress.append) is None
    assert stack.cluster.log == []
    assert not stack.state_file.exists()


def test_messages_of_the_program_are_redacted(stack: Stack) -> None:
    stack.program("""
        config_map("x", {"token": pulumi.Output.secret("hunter22")})
        pulumi.log.warn("no GPU nodes")
        pulumi.log.warn("no GPU nodes")
        pulumi.log.error("hunter22 is old")
        pulumi.log.info("for the author")
    """)
    expected = ("error: [secret] is old", "warning: no GPU nodes")
    assert stack.preview().messages == expected
    assert stack.up().messages == expected
    assert stack.up().messages == expected


def test_error_of_the_program_has_its_line(stack: Stack) -> None:
    stack.program("config_map('x')\nraise ValueError('no such thing')")
    with pytest.raises(EngineError, match=r"__main__\.py:\d+: ValueError: no such thing"):
        stack.up()
    assert stack.cluster.log == []
