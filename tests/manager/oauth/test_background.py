"""Requests to a server that wants OAuth: signed, renewed once for all, and parked without a storm."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.standins.authorization import Person, StandInAuthorization, standing_in
from warroom_mcp.errors import AuthorizationFailed, AuthorizationNeeded, ChildGone
from warroom_mcp.manager.entry import hopeless
from warroom_mcp.manager.oauth.authorizing import authorize
from warroom_mcp.manager.oauth.background import remote_auth
from warroom_mcp.manager.oauth.vault import Grant, MemoryVault, may_try_again

pytestmark = pytest.mark.slow

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
DOUBLE = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "tools/call",
    "params": {"name": "double", "arguments": {"number": 21}},
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def far() -> AsyncIterator[StandInAuthorization]:
    with anyio.fail_after(30):
        async with standing_in() as standin:
            yield standin


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault()


class Connection:
    """A client whose requests are authorised as those of a connection are."""

    def __init__(self, url: str, vault: MemoryVault) -> None:
        self.parked: list[AuthorizationNeeded] = []
        self.auth = remote_auth("far", url, vault, on_needed=self.parked.append)
        self._url = url
        self.client = httpx2.AsyncClient(auth=self.auth, headers=HEADERS)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def post(self, message: dict[str, Any] = PING) -> httpx2.Response:
        return await self.client.post(self._url, json=message)


async def granted(far: StandInAuthorization, vault: MemoryVault, **changes: Any) -> Grant:
    """A grant in the vault; the requests that it took are not counted."""
    await authorize("far", far.url, vault, present=Person(), deadline=20)
    grant = await vault.get(far.url)
    assert grant is not None
    grant = replace(grant, **changes)
    await vault.put(grant)
    far.asked.clear()
    far.called.clear()
    return grant


async def all_at_once(number: int, work: Callable[[], Any]) -> list[Any]:
    """What each of many concurrent calls came to."""
    outcomes: list[Any] = []

    async def one() -> None:
        try:
            outcomes.append(await work())
        except (AuthorizationNeeded, AuthorizationFailed) as error:
            outcomes.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(one)
    return outcomes


async def stays_parked(connection: Connection, far: StandInAuthorization) -> None:
    """Fifty further calls reach nobody."""
    before = far.total, far.called.total()
    for _ in range(50):
        with pytest.raises(AuthorizationNeeded):
            await connection.post()
    assert (far.total, far.called.total()) == before
    assert len(connection.parked) == 1


# --- with and without a grant --------------------------------------------------------------------


async def test_a_grant_opens_a_session_of_the_sdk_and_carries_calls(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    await granted(far, vault)
    async with (
        Connection(far.url, vault) as connection,
        streamable_http_client(far.url, http_client=connection.client) as streams,
        ClientSession(*streams) as session,
    ):
        await session.initialize()
        result = await session.call_tool("double", {"number": 21})
    assert json.loads(result.model_dump_json())["content"][0]["text"] == "42"
    assert far.total == 0
    assert far.called[401] == 0


async def test_a_server_that_wants_nothing_is_asked_without_a_grant(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    far.faults["server"] = "open"
    async with Connection(far.url, vault) as connection:
        assert (await connection.post()).status_code != 401
    assert far.total == 0


@pytest.mark.parametrize("fault", [None, "bare"])
async def test_without_a_grant_one_request_is_enough_to_know(
    far: StandInAuthorization, vault: MemoryVault, fault: str | None
) -> None:
    far.faults["server"] = fault
    async with Connection(far.url, vault) as connection:
        with pytest.raises(AuthorizationNeeded, match="far needs to be authorised") as caught:
            await connection.post()
        assert "`warroom authorize far`" in caught.value.hint
        assert caught.value.details == {"credential": "Authorization", "url": far.url, "grant": None}
        assert not caught.value.retryable
        assert hopeless(caught.value)
        await stays_parked(connection, far)
    assert far.total == 0
    assert far.called == {401: 1}


async def test_a_grant_in_the_vault_ends_the_parking(far: StandInAuthorization, vault: MemoryVault) -> None:
    async with Connection(far.url, vault) as connection:
        with pytest.raises(AuthorizationNeeded) as caught:
            await connection.post()
        assert not await may_try_again(vault, caught.value)
        await granted(far, vault)
        assert await may_try_again(vault, caught.value)
        assert (await connection.post()).status_code != 401
        assert connection.auth.failure is None
    assert not await may_try_again(vault, ChildGone("gone", details={"url": far.url}))


async def test_a_vault_that_cannot_be_read_is_named(far: StandInAuthorization) -> None:
    vault = MemoryVault("the keyring does not answer (Locked)")
    async with Connection(far.url, vault) as connection:
        with pytest.raises(AuthorizationNeeded) as caught:
            await connection.post()
    assert "cannot be used now: the keyring does not answer (Locked)." in caught.value.hint


# --- renewal -------------------------------------------------------------------------------------


async def test_an_expired_token_is_renewed_once_for_all_before_it_is_used(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    old = await granted(far, vault, renew_at=0.0)
    async with Connection(far.url, vault) as connection:
        outcomes = await all_at_once(10, connection.post)
    assert {outcome.status_code for outcome in outcomes} == {400}  # of MCP: a ping without a session
    assert far.asked == {"/token": 1}
    assert far.called[401] == 0
    new = await vault.get(far.url)
    assert new is not None
    assert new.id != old.id
    assert new.refresh_token in far.renewals
    assert far.token_requests[-1]["resource"] == far.url


async def test_a_token_that_is_refused_is_renewed_once_for_all(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    await granted(far, vault)
    far.revoke()
    async with Connection(far.url, vault) as connection:
        outcomes = await all_at_once(10, connection.post)
    assert {outcome.status_code for outcome in outcomes} == {400}
    assert far.asked == {"/token": 1}


async def test_a_server_that_keeps_its_refresh_token_is_renewed_again_and_again(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    old = await granted(far, vault)
    far.rotate = False
    async with Connection(far.url, vault) as connection:
        for _ in range(3):
            far.revoke()
            assert (await connection.post()).status_code == 400
    new = await vault.get(far.url)
    assert new is not None
    assert new.refresh_token == old.refresh_token
    assert far.asked == {"/token": 3}


async def test_a_client_with_a_secret_proves_itself_in_a_renewal(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    far.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_basic"]
    await granted(far, vault)
    far.revoke()
    async with Connection(far.url, vault) as connection:
        assert (await connection.post()).status_code == 400
    assert "client_secret" not in far.token_requests[-1]


async def test_a_refused_renewal_parks_all_who_wait_for_it(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    old = await granted(far, vault)
    far.revoke(renewals=True)
    async with Connection(far.url, vault) as connection:
        outcomes = await all_at_once(10, connection.post)
        assert {type(outcome) for outcome in outcomes} == {AuthorizationNeeded}
        assert outcomes[0].message == "far is no longer authorised: 127.0.0.1 refused the renewal (400)."
        assert outcomes[0].details["grant"] == old.id
        assert len({id(outcome) for outcome in outcomes}) == 10
        await stays_parked(connection, far)
    assert far.asked == {"/token": 1}
    assert await vault.get(far.url) == old


async def test_a_grant_that_cannot_be_renewed_parks(far: StandInAuthorization, vault: MemoryVault) -> None:
    await granted(far, vault, refresh_token=None)
    far.revoke()
    async with Connection(far.url, vault) as connection:
        with pytest.raises(AuthorizationNeeded, match="cannot be renewed"):
            await connection.post()
        await stays_parked(connection, far)
    assert far.total == 0


async def test_a_server_that_refuses_the_new_token_too_is_parked(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    await granted(far, vault)
    far.faults["server"] = 401
    async with Connection(far.url, vault) as connection:
        with pytest.raises(AuthorizationNeeded, match="does not accept an authorization that is new"):
            await connection.post()
        await stays_parked(connection, far)
    assert far.asked == {"/token": 1}
    assert far.called == {401: 2}


@pytest.mark.parametrize("fault", [500, 503, 429, "garbage"])
async def test_a_bad_time_is_no_revocation(
    far: StandInAuthorization, vault: MemoryVault, fault: int | str
) -> None:
    await granted(far, vault)
    far.revoke()
    far.faults["refresh"] = fault
    async with Connection(far.url, vault) as connection:
        outcomes = await all_at_once(10, connection.post)
        assert {type(outcome) for outcome in outcomes} == {AuthorizationFailed}
        assert far.asked == {"/token": 1}
        assert outcomes[0].retryable
        assert not hopeless(outcomes[0])
        assert connection.auth.failure is None
        del far.faults["refresh"]
        assert (await connection.post()).status_code == 400


async def test_an_authorization_server_that_is_not_there_is_no_revocation(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/token"
        await granted(far, vault, renew_at=0.0, token_endpoint=nobody)
        async with Connection(far.url, vault) as connection:
            with pytest.raises(AuthorizationFailed, match="cannot be reached") as caught:
                await connection.post()
    assert caught.value.retryable
    assert far.called.total() == 0


async def test_what_another_process_renewed_is_used(far: StandInAuthorization, vault: MemoryVault) -> None:
    old = await granted(far, vault)
    async with Connection(far.url, vault) as first, Connection(far.url, vault) as second:
        await first.post()
        await second.post()
        far.tokens.pop(old.access_token)
        await first.post()
        await second.post()
    assert far.asked == {"/token": 1}


async def test_a_renewal_is_brought_to_its_end_when_its_caller_gives_up(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    old = await granted(far, vault, renew_at=0.0)
    far.faults["refresh"] = "slow"
    async with Connection(far.url, vault) as connection:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.post)
            await far.stuck.wait()
            tasks.cancel_scope.cancel()
            far.released.set()
        new = await vault.get(far.url)
        assert new is not None
        assert new.id != old.id
        assert (await connection.post()).status_code == 400
    assert far.asked == {"/token": 1}


# --- scope ---------------------------------------------------------------------------------------


async def test_a_call_beyond_the_scope_fails_alone_and_the_next_authorization_asks_for_it(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    await granted(far, vault)
    far.calls_need = "write"
    async with Connection(far.url, vault) as connection:
        answer = await connection.post(DOUBLE)
        assert answer.json()["id"] == 7
        told = answer.json()["error"]["data"]
        assert told["code"] == "authorization_needed"
        assert told["details"]["scope"] == "write"
        assert "write" in told["message"]
        assert "credential" not in told["details"]
        assert connection.auth.failure is None
        assert (await connection.post()).status_code == 400
        person = Person()
        assert (await authorize("far", far.url, vault, present=person, deadline=20)).scope == "read write"
        assert (await connection.post(DOUBLE)).status_code == 400
        far.calls_need = "admin"
        assert (await connection.post(DOUBLE)).status_code == 403
    kept = await vault.get(far.url)
    assert kept is not None
    assert kept.wanted_scope == "write admin"


async def test_the_sdk_hands_on_what_a_call_lacks(far: StandInAuthorization, vault: MemoryVault) -> None:
    await granted(far, vault)
    async with (
        Connection(far.url, vault) as connection,
        streamable_http_client(far.url, http_client=connection.client) as streams,
        ClientSession(*streams) as session,
    ):
        await session.initialize()
        far.calls_need = "write"
        with pytest.raises(MCPError, match="the scope write") as caught:
            await session.call_tool("double", {"number": 21})
        assert "`warroom authorize far`" in caught.value.error.data["hint"]
        far.calls_need = None
        await session.call_tool("double", {"number": 21})


async def test_a_connection_beyond_the_scope_is_parked(far: StandInAuthorization, vault: MemoryVault) -> None:
    await granted(far, vault)
    far.faults["server"] = "scope"
    async with Connection(far.url, vault) as connection:
        with pytest.raises(AuthorizationNeeded, match="the scope admin") as caught:
            await connection.post()
        assert caught.value.details["scope"] == "admin"
        assert hopeless(caught.value)
        await stays_parked(connection, far)


async def test_a_refusal_without_a_word_of_scope_is_the_servers_own(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    await granted(far, vault)
    far.faults["server"] = 403
    async with Connection(far.url, vault) as connection:
        assert (await connection.post(DOUBLE)).status_code == 403
        assert connection.auth.failure is None


# --- where the token goes ------------------------------------------------------------------------


async def test_a_redirect_to_another_origin_gets_no_token(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    await granted(far, vault)
    far.faults["server"] = "away"
    async with Connection(far.url, vault) as connection:
        for method in ("GET", "POST"):
            await connection.client.request(method, far.url, follow_redirects=True)
    assert far.strayed == [None, None]


async def test_a_request_to_another_origin_is_not_signed(
    far: StandInAuthorization, vault: MemoryVault
) -> None:
    await granted(far, vault)
    async with Connection(far.url, vault) as connection:
        await connection.client.get(far.elsewhere)
    assert far.strayed == [None]


async def test_a_grant_is_of_its_address_only(far: StandInAuthorization, vault: MemoryVault) -> None:
    await granted(far, vault)
    other = far.url + "/other"
    async with Connection(other, vault) as connection:
        with pytest.raises(AuthorizationNeeded):
            await connection.client.post(other, json=PING)
    assert far.called == {401: 1}


# --- secrets -------------------------------------------------------------------------------------


async def test_no_secret_is_seen_in_errors_logs_or_reprs(
    far: StandInAuthorization, vault: MemoryVault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    grant = await granted(far, vault)
    for fault in ("garbage", 400, 503):
        far.faults["refresh"] = fault
        far.revoke()
        async with Connection(far.url, vault) as connection:
            with pytest.raises((AuthorizationNeeded, AuthorizationFailed)) as caught:
                await connection.post()
            seen += ["".join(traceback.format_exception(caught.value)), repr(caught.value.to_dict())]
            seen += [repr(connection.auth), repr(connection.auth.failure)]
            context: BaseException | None = caught.value
            while context is not None:
                seen.append(repr(context) + str(context))
                context = context.__context__
    for place, fault in (("token", "garbage"), ("token", 400), ("register", "garbage"), ("page", "no code")):
        far.faults = {place: fault}
        with pytest.raises(AuthorizationFailed) as failed:
            await authorize("far", far.url, vault, present=Person(), deadline=20)
        seen += ["".join(traceback.format_exception(failed.value)), repr(failed.value.to_dict())]
    # The stand-in's own log holds the addresses that the browser came to.
    logged = [record for record in caplog.records if not record.name.startswith("uvicorn")]
    seen += [repr(grant), str(grant), *(logging.Formatter().format(record) for record in logged)]
    text = "\n".join(seen)
    assert len(far.given) > 20
    assert [secret for secret in far.given if secret in text] == []
