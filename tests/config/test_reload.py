"""What a changed file asks of a running worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorq.config import Changes, Config, Declared, Plan, Refusal, changes, settle
from actorq.config.reading import Draft
from actorq.core.tree import Node, Tree, resolve
from actorq.model.durations import Rate
from actorq.model.policy import Policy
from actorq.model.supervision import SupervisorSpec
from tests.config.shop import GOOD, SHOP, drafted


def plan(folder: Path, text: str) -> Plan:
    return settle(drafted(folder, text), SHOP)


def change(folder: Path, *edits: tuple[str, str]) -> Changes | Refusal:
    text = GOOD
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return changes(plan(folder, GOOD), plan(folder, text))


def applied(folder: Path, *edits: tuple[str, str]) -> Changes:
    found = change(folder, *edits)
    assert isinstance(found, Changes)
    return found


def test_the_same_file_changes_nothing(tmp_path: Path) -> None:
    assert not applied(tmp_path)
    assert not applied(tmp_path, ("\n", "\n\n"))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('backend = "asyncio" ', 'backend = "trio" ', "18: worker.backend: (asyncio -> trio)"),
        ("workers = 1", "workers = 2", "19: worker.workers: (1 -> 2)"),
        ('namespace = "shop"', 'namespace = "x"', "2: namespace: (shop -> x)"),
        ("shop.tasks:system", "shop.web:system", "17: worker.app: (shop.tasks:system -> shop.web:system)"),
        ('ack_wait = "30s"', 'ack_wait = "1m"', "21: worker.ack_wait: (30s -> 1m)"),
        ('dead_ttl = "14d"', 'dead_ttl = "1d"', "13: streams.dead_ttl: (14d -> 1d)"),
        (
            '"nats://127.0.0.1:4222"', '"nats://me:hush@b"',
            "5: nats.servers: (nats://127.0.0.1:4222 -> nats://***@b)",
        ),
        ("servers = ", 'token = "hush"\nservers = ', "5: nats.token: "),
    ],
)  # fmt: skip
def test_what_cannot_change_is_refused_by_name(tmp_path: Path, old: str, new: str, line: str) -> None:
    key, colon, values = line.rpartition(": ")
    told = f"{key}{colon}cannot change while running{values and f' {values}'}; restart the worker"
    assert change(tmp_path, (old, new)) == Refusal((f"actorq.toml:{told}",))


def test_a_key_that_a_variable_overrides_may_come_and_go(tmp_path: Path) -> None:
    url = {"nats.servers": ("env NATS_URL", ("nats://b:4222",))}
    draft = drafted(tmp_path, GOOD)
    beside = settle(replace(draft, config=draft.config.laid_over(url)), SHOP)
    without = plan(tmp_path, GOOD.replace('servers = ["nats://127.0.0.1:4222"]\n', ""))
    assert changes(without, beside) == changes(beside, without) == Changes()


def test_a_refusal_names_every_key_and_one_that_was_taken_out(tmp_path: Path) -> None:
    found = change(tmp_path, ('namespace = "shop"', ""), ("workers = 1", "workers = 2"), ("25/s", "5/s"))
    assert found == Refusal(
        (
            "namespace: cannot change while running (shop -> none); restart the worker",
            "actorq.toml:19: worker.workers: cannot change while running (1 -> 2); restart the worker",
        )
    )


def test_a_file_that_is_gone_is_no_file_without_keys(tmp_path: Path) -> None:
    old, new = plan(tmp_path, GOOD), plan(tmp_path, GOOD)
    gone = replace(new, config=Config())
    text = "actorq.toml: it is not there any more; put it back, or restart the worker"
    assert changes(old, gone) == Refusal((text,))


def test_a_default_that_is_written_down_is_no_change(tmp_path: Path) -> None:
    assert not applied(tmp_path, ("crash_budget = 5", "crash_budget = 5\nstop_timeout = 5\nlog_level = 'info'"))


def test_limits_retries_and_time_outs_apply_live(tmp_path: Path) -> None:
    found = applied(tmp_path, ("25/s", "5/s"), ("max_attempts = 6", "max_attempts = 2"), ('"10m"', '"1m"'))
    assert found.policies["charge"].rate_limit == Rate(5.0, 1.0)
    assert found.policies["charge"].retry.max_attempts == 2
    assert found.policies["ledger"].timeout == 60.0
    assert set(found.policies) == {*SHOP.policies}
    assert found == Changes(policies=found.policies)


def test_settings_of_the_worker_apply_live(tmp_path: Path) -> None:
    found = applied(
        tmp_path, ('shutdown_timeout = "30s"', 'shutdown_timeout = "5s"'), ("crash_budget = 5", "max_tasks = 7")
    )
    assert found == Changes(worker={"shutdown_timeout": 5.0, "max_tasks": 7})


def test_another_queue_or_cluster_wide_limit_restarts_the_actor(tmp_path: Path) -> None:
    assert applied(tmp_path, ('"payments"', '"other"')).restart == ("charge",)
    assert applied(tmp_path, ("global_concurrency = 10", "isolation = 'process'")).restart == ("charge",)
    assert applied(tmp_path, ("rate_limit", "burst = 3\nrate_limit")).restart == ()


def test_other_queues_to_serve_restart_all(tmp_path: Path) -> None:
    found = applied(tmp_path, ('queues = ["*"]', 'queues = ["media"]'))
    assert found.worker == {"queues": ("media",)}
    assert set(found.restart) == {*SHOP.policies}
    assert not found.policies


def test_strategy_and_intensity_apply_live(tmp_path: Path) -> None:
    found = applied(tmp_path, ("max_restarts = 5", "max_restarts = 6"), ('initial = "100ms"', 'initial = "1s"'))
    assert set(found.supervisors) == {"root", "root/billing"}
    assert found.supervisors["root/billing"].max_restarts == 6
    assert found.supervisors["root"].backoff.initial == 1.0
    assert found == Changes(supervisors=found.supervisors)


def test_what_a_parent_thinks_of_a_child_applies_live(tmp_path: Path) -> None:
    found = applied(tmp_path, ("[actors.charge]", 'stop_timeout = "9s"\n[actors.charge]\nrestart = "transient"'))
    assert {path: child.restart for path, child in found.children.items()} == {
        "root/media": "permanent",
        "root/billing/charge": "transient",
    }
    assert found.children["root/media"].stop_timeout == 9.0
    assert (found.restart, found.removed, found.added) == ((), (), ())


def test_a_child_of_another_supervisor_is_moved(tmp_path: Path) -> None:
    taken = ('["ledger", "charge", "invoice"]', '["charge", "invoice"]')
    found = applied(tmp_path, taken, ('["transcode", ', '["transcode", "ledger", '))
    assert found.removed == ("root/billing/ledger",)
    assert [(added.parent, added.node.name, added.after) for added in found.added] == [
        ("root/media", "ledger", ("thumbnail",))
    ]
    assert found.restart == ()


def test_a_supervisor_is_added_with_all_below_it_and_removed_likewise(tmp_path: Path) -> None:
    moved = ('["billing", "media", "send_email"]', '["billing", "media"]')
    found = applied(
        tmp_path,
        ('["transcode", "thumbnail"]', '["thumbnail", "inner"]\n[supervisors.inner]\nchildren = ["transcode"]'), moved,
    )  # fmt: skip
    assert found.removed == ("root/send_email", "root/media/transcode")
    (added,) = found.added
    assert [node.path for node in added.node.walk()] == ["root/media/inner", "root/media/inner/transcode"]


ACTORS = ("a", "b", "c", "d")
GROUPS = ("x", "y")


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Each actor under the root, a group, or none; groups under the root or under one another."""
    children: dict[str, list[str]] = {"root": [], **{name: [] for name in GROUPS}}
    for name in draw(st.permutations(ACTORS)):
        parent = draw(st.sampled_from([*children, ""]))
        if parent:
            children[parent].append(name)
    for index, name in enumerate(GROUPS):
        siblings = children[draw(st.sampled_from(["root", *GROUPS[:index]]))]
        siblings.insert(draw(st.integers(0, len(siblings))), name)
    specs = {
        name: SupervisorSpec(name=name, children=tuple(below), max_restarts=draw(st.integers(0, 1)))
        for name, below in children.items()
    }
    tree = resolve(specs, {name: Policy() for name in ACTORS})
    assert isinstance(tree, Tree)
    return tree


def grown(node: Node, found: Changes) -> Node:
    """The old tree with the changes made to it."""
    below = [grown(child, found) for child in node.children if child.path not in found.removed]
    for added in found.added:
        if added.parent == node.path:
            present = [child.name for child in below]
            before = next((name for name in added.after if name in present), None)
            below.insert(len(present) if before is None else present.index(before), added.node)
    spec = found.supervisors.get(node.path, node.supervisor)
    names = tuple(child.name for child in below)
    return replace(node, supervisor=spec and replace(spec, children=names), children=tuple(below))


def planned(tree: Tree) -> Plan:
    return Plan(Config(), {name: Policy() for name in ACTORS}, tree)


@given(trees(), trees())
def test_the_changes_lead_from_the_one_tree_to_the_other(old: Tree, new: Tree) -> None:
    found = changes(planned(old), planned(new))
    assert isinstance(found, Changes)
    assert grown(old.root, found) == new.root
    assert bool(found) == (old.root != new.root)
    restarted = {added.node.name for added in found.added}
    assert not restarted & set(found.restart)


policies = st.builds(
    Policy, queue=st.sampled_from(["a", "b"]), concurrency=st.integers(1, 3), timeout=st.sampled_from([None, 1.0])
)


@given(policies, policies)
def test_policies_change_and_only_some_of_them_restart(old: Policy, new: Policy) -> None:
    before, after = (settle(Draft(Config()), Declared({"a": policy, "b": Policy()})) for policy in (old, new))
    found = changes(before, after)
    assert isinstance(found, Changes)
    assert found.policies == ({} if old == new else {"a": new})
    assert found.restart == (() if old.queue == new.queue else ("a",))
    assert not changes(before, before)
