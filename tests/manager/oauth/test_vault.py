"""Grants stay with their address, in the keyring if it takes them, else in the process; and are not shown."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType

import anyio
import pytest

from warroom_mcp.manager import secrets
from warroom_mcp.manager.oauth import vault
from warroom_mcp.manager.oauth.vault import Grant, KeyringVault, MemoryVault, Vault, open_vault, renew_at

URL = "https://mcp.example.com/mcp"


class FakeKeyring(ModuleType):
    """The part of the keyring package that is used; as small as the one of Windows."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.entries: dict[str, str] = {}
        self.fault: str | None = None
        self.stuck = threading.Event()

    def get_password(self, service: str, name: str) -> str | None:
        assert service == "war-room"
        if self.fault == "locked":
            raise RuntimeError("s3cret words")
        if self.fault == "hangs":
            self.stuck.wait(10)
        return self.entries.get(name)

    def set_password(self, service: str, name: str, secret: str) -> None:
        if self.fault == "full" or len(secret) > 1280:
            raise OSError(1783, "The stub received bad data")
        if self.fault != "forgetful":
            self.entries[name] = secret

    def delete_password(self, service: str, name: str) -> None:
        del self.entries[name]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    fake = FakeKeyring()
    monkeypatch.setitem(sys.modules, "keyring", fake)
    return fake


def grant(url: str = URL, size: int = 10) -> Grant:
    return Grant(
        url=url,
        access_token="a" * size,
        refresh_token="r3fresh",
        client_id="c",
        client_secret="s3cret",
        token_endpoint="https://login.example.com/token",
        renew_at=time.time() + 60,
    )


@pytest.mark.parametrize("size", [10, 5000])
async def test_a_grant_outlives_the_process(keyring: FakeKeyring, size: int) -> None:
    kept = grant(size=size)
    first = KeyringVault()
    await first.put(kept)
    assert first.trouble is None
    assert await KeyringVault().get(URL) == kept


async def test_what_a_grant_is_replaced_by_leaves_nothing_behind(keyring: FakeKeyring) -> None:
    vault = KeyringVault()
    for size in (5000, 3000, 10):
        await vault.put(grant(size=size))
    assert len(keyring.entries) == 1
    await vault.put(grant(size=5000))
    await vault.drop(URL)
    assert keyring.entries == {}
    assert await vault.get(URL) is None
    await vault.drop(URL)


async def test_of_grants_that_are_put_at_once_one_is_kept_whole(keyring: FakeKeyring) -> None:
    vault = KeyringVault()
    async with anyio.create_task_group() as tasks:
        for size in (5000, 3000, 4000, 10):
            tasks.start_soon(vault.put, grant(size=size))
    assert vault.trouble is None
    assert await KeyringVault().get(URL) is not None


async def test_an_entry_with_a_part_missing_is_no_grant(keyring: FakeKeyring) -> None:
    await KeyringVault().put(grant(size=5000))
    del keyring.entries[max(keyring.entries, key=len)]
    assert await KeyringVault().get(URL) is None


@pytest.mark.parametrize("other", ["https://mcp.example.com/mcp/", "https://mcp.example.com:8443/mcp"])
@pytest.mark.parametrize("kind", [KeyringVault, MemoryVault])
async def test_another_address_has_no_grant(
    keyring: FakeKeyring, kind: type[KeyringVault] | type[MemoryVault], other: str
) -> None:
    vault = kind()
    await vault.put(grant())
    assert await vault.get(other) is None
    assert await vault.get("HTTPS://MCP.example.com/mcp#x") is not None
    await vault.drop(other)
    assert await vault.get(URL) is not None
    await vault.drop(URL)
    assert await vault.get(URL) is None


async def test_an_entry_that_was_moved_to_another_address_is_no_grant(keyring: FakeKeyring) -> None:
    vault = KeyringVault()
    await vault.put(grant())
    await vault.put(grant("https://evil.example/"))
    names = list(keyring.entries)
    keyring.entries[names[1]] = keyring.entries[names[0]]
    assert await vault.get("https://evil.example/") is None


def test_no_secret_of_a_config_can_name_an_entry() -> None:
    assert not secrets.is_reference(f"keyring:{vault._name(URL)}")


@pytest.mark.parametrize("text", ["", "{}", "1:00000000:{}", "9:00000000:x", "x", '1:00000000:{"url":1}'])
async def test_what_is_no_grant_is_none(
    keyring: FakeKeyring, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    vault = KeyringVault()
    await vault.put(grant())
    keyring.entries = dict.fromkeys(keyring.entries, text)
    assert await vault.get(URL) is None
    assert all("{" not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("fault", ["full", "forgetful", "locked"])
async def test_what_the_keyring_does_not_take_lasts_as_long_as_the_process(
    keyring: FakeKeyring, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    keyring.fault = fault
    kept = grant()
    vault = KeyringVault()
    await vault.put(kept)
    trouble = vault.trouble or ""
    assert "keyring" in trouble
    assert "s3cret" not in trouble + caplog.text
    assert await vault.get(URL) is kept
    keyring.fault = None
    await vault.put(kept)
    assert vault.trouble is None
    assert await KeyringVault().get(URL) == kept


async def test_a_keyring_that_hangs_is_not_waited_for(
    keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warroom_mcp.manager.oauth.vault.KEYRING_DEADLINE", 0.1)
    keyring.fault = "hangs"
    vault = KeyringVault()
    with anyio.fail_after(5):
        assert await vault.get(URL) is None
    assert vault.trouble == "the keyring does not answer"
    keyring.stuck.set()


async def test_a_usable_keyring_is_chosen(keyring: FakeKeyring) -> None:
    chosen: Vault = await open_vault()
    assert isinstance(chosen, KeyringVault)
    keyring.fault = "locked"
    chosen = await open_vault()
    assert isinstance(chosen, MemoryVault)
    assert chosen.trouble == "the keyring does not answer (RuntimeError)"


async def test_without_the_package_the_process_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    chosen = await open_vault()
    assert isinstance(chosen, MemoryVault)
    assert chosen.trouble == "the keyring package is not installed (`pip install warroom-mcp[keyring]`)"


def test_no_secret_of_a_grant_is_shown() -> None:
    shown = repr(grant()) + str(grant())
    assert not any(secret in shown for secret in ("a" * 10, "r3fresh", "s3cret"))


@pytest.mark.parametrize(("lifetime", "early"), [(3600, 30), (60, 6), (10, 1)])
def test_a_token_is_renewed_a_little_before_its_end(lifetime: int, early: int) -> None:
    before = time.time() + lifetime - early
    moment = renew_at(lifetime)
    assert moment is not None
    assert before <= moment <= time.time() + lifetime - early


@pytest.mark.parametrize("lifetime", [None, 0, -1])
def test_a_token_without_an_end_is_not_renewed_by_the_clock(lifetime: int | None) -> None:
    assert renew_at(lifetime) is None
