"""The digest of a plan: one for each plan, and no other."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.examples import PACKAGE, PLAN
from warroom_mcp.models import InputPlace, LaunchPlan, Package, PackageInput, PackageKind
from warroom_mcp.store.digest import digest

OTHER_PACKAGE: dict[str, object] = {
    "kind": PackageKind.NPM,
    "identifier": "redis-mcp-servers",
    "version": "0.5.2",
    "integrity": None,
    "arguments": ("x",),
    "inputs": (),
    "executable": None,
}
OTHER_INPUT: dict[str, object] = {
    "name": "REDIS_HOSTS",
    "place": InputPlace.ARGUMENT,
    "description": "another",
    "required": True,
    "secret": True,
    "default": None,
    "template": None,
    "choices": ("a",),
}
OTHER_PLAN: dict[str, object] = {
    "server": "redis2",
    "candidate_id": "npm:redis-mcp-server",
    "package": replace(PACKAGE, version="0.5.2"),
    "command": (*PLAN.command, "--verbose"),
    "arguments": ("--mode single",),
    "environment": {"REDIS_HOST": "127.0.0.2"},
    "headers": {"X": "y"},
    "secrets": {},
}


def test_every_field_has_another_value_to_test_with() -> None:
    for kind, others in (
        (LaunchPlan, OTHER_PLAN),
        (Package, OTHER_PACKAGE),
        (PackageInput, OTHER_INPUT),
    ):
        assert {f.name for f in fields(kind)} == set(others)


@pytest.mark.parametrize("name", sorted(OTHER_PLAN))
def test_another_plan_has_another_digest(name: str) -> None:
    other = replace(PLAN, **{name: OTHER_PLAN[name]})  # type: ignore[arg-type] # values match their names
    assert digest(other) != digest(PLAN)


@pytest.mark.parametrize("name", sorted(OTHER_PACKAGE))
def test_another_package_has_another_digest(name: str) -> None:
    package = replace(PACKAGE, **{name: OTHER_PACKAGE[name]})  # type: ignore[arg-type] # as above
    assert digest(replace(PLAN, package=package)) != digest(PLAN)


@pytest.mark.parametrize("name", sorted(OTHER_INPUT))
def test_another_input_has_another_digest(name: str) -> None:
    first = replace(PACKAGE.inputs[0], **{name: OTHER_INPUT[name]})  # type: ignore[arg-type] # as above
    package = replace(PACKAGE, inputs=(first, *PACKAGE.inputs[1:]))
    assert digest(replace(PLAN, package=package)) != digest(PLAN)


def test_the_order_of_variables_does_not_matter() -> None:
    one = replace(PLAN, environment={"A": "1", "B": "2"})
    two = replace(PLAN, environment={"B": "2", "A": "1"})
    assert digest(one) == digest(two)


words = st.lists(st.text(st.characters(), max_size=6), max_size=4).map(tuple)


@given(words, words)
def test_two_commands_share_a_digest_only_when_they_are_equal(
    one: tuple[str, ...], two: tuple[str, ...]
) -> None:
    same = digest(replace(PLAN, command=one)) == digest(replace(PLAN, command=two))
    assert same == (one == two)


@pytest.mark.parametrize(
    "move",
    [
        lambda plan: replace(plan, environment={}, secrets={**plan.secrets, **plan.environment}),
        lambda plan: replace(plan, environment={**plan.environment, **plan.secrets}, secrets={}),
        lambda plan: replace(plan, command=plan.command[:-2], arguments=(*plan.arguments, "x")),
    ],
)
def test_moving_a_value_elsewhere_changes_the_digest(move: Callable[[LaunchPlan], LaunchPlan]) -> None:
    assert digest(move(PLAN)) != digest(PLAN)


def test_the_digest_names_its_hash() -> None:
    name, _, value = digest(PLAN).partition(":")
    assert name == "sha256"
    assert len(bytes.fromhex(value)) == 32
