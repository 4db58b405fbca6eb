"""Secrets are references until a child starts."""

import sys
from types import ModuleType

import pytest

from warroom_mcp.errors import MissingInput
from warroom_mcp.manager import secrets


class FakeKeyring(ModuleType):
    """The part of the keyring package that is used."""

    def __init__(self, entries: dict[tuple[str, str], str], *, broken: bool = False) -> None:
        super().__init__("keyring")
        self.errors = ModuleType("keyring.errors")
        self.failure = type("KeyringError", (Exception,), {})
        setattr(self.errors, "KeyringError", self.failure)  # noqa: B010 - a module has no such attribute yet
        self._entries = entries
        self._broken = broken

    def get_password(self, service: str, name: str) -> str | None:
        if self._broken:
            raise self.failure("no backend")
        return self._entries.get((service, name))


def put_in_place(monkeypatch: pytest.MonkeyPatch, keyring: FakeKeyring) -> None:
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", keyring.errors)


@pytest.mark.parametrize("text", ["env:TOKEN", "keyring:github", "keyring:a.b-c", "env:_X1"])
def test_references_are_recognised(text: str) -> None:
    assert secrets.is_reference(text)


@pytest.mark.parametrize(
    "text",
    ["", "TOKEN", "env:", "env:A B", "env:A\n", "env:1", "file:/etc/passwd", "ghp_abc", "keyring:../x"],
)
def test_everything_else_is_no_reference(text: str) -> None:
    assert not secrets.is_reference(text)


def test_an_environment_variable_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANTED_TOKEN", "s3cret")
    assert secrets.resolve("env:WANTED_TOKEN") == "s3cret"


@pytest.mark.parametrize("value", [None, ""])
def test_a_secret_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("WANTED_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("WANTED_TOKEN", value)
    with pytest.raises(MissingInput) as raised:
        secrets.resolve("env:WANTED_TOKEN")
    assert "env:WANTED_TOKEN" in raised.value.message
    assert "WANTED_TOKEN" in raised.value.hint
    assert raised.value.details == {"missing": ["env:WANTED_TOKEN"]}


def test_a_text_that_is_no_reference_is_not_repeated() -> None:
    with pytest.raises(MissingInput) as raised:
        secrets.resolve("hunter2-the-real-one")
    assert "hunter2" not in str(raised.value.to_dict())


def test_the_keyring_is_asked_under_the_service_of_war_room(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, FakeKeyring({("war-room", "github"): "s3cret", ("other", "gitlab"): "no"}))
    assert secrets.resolve("keyring:github") == "s3cret"
    with pytest.raises(MissingInput, match="keyring:gitlab") as raised:
        secrets.resolve("keyring:gitlab")
    assert "keyring set war-room gitlab" in raised.value.hint


def test_a_keyring_without_backend_is_told_with_the_way_around(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, FakeKeyring({}, broken=True))
    with pytest.raises(MissingInput, match="does not answer") as raised:
        secrets.resolve("keyring:github")
    assert "env:github" in raised.value.hint


def test_a_missing_keyring_package_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingInput, match="not installed") as raised:
        secrets.resolve("keyring:github")
    assert "warroom-mcp[keyring]" in raised.value.hint
