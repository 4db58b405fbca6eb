"""A person's consent: shown where it may be, taken when it is the answer, kept when it is accepted."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from tests.standins.authorization import Person, StandInAuthorization, standing_in
from warroom_mcp.errors import AuthorizationFailed, InvalidInput
from warroom_mcp.manager.oauth import authority
from warroom_mcp.manager.oauth.authority import may_ask, plain_scopes
from warroom_mcp.manager.oauth.authorizing import Authorized, authorize
from warroom_mcp.manager.oauth.vault import Grant, MemoryVault

pytestmark = pytest.mark.slow

DOCUMENT = "https://warroom.example/client.json"


@pytest.fixture
async def far() -> AsyncIterator[StandInAuthorization]:
    with anyio.fail_after(30):
        async with standing_in() as standin:
            yield standin


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault("no keyring")


@pytest.fixture
def person() -> Person:
    return Person()


async def fails(
    far: StandInAuthorization, vault: MemoryVault, person: Person, words: str, **options: Any
) -> AuthorizationFailed:
    """It fails, and what was kept before stays."""
    kept = Grant(url=far.url, access_token="x", client_id="y", token_endpoint=far.issuer)
    await vault.put(kept)
    with pytest.raises(AuthorizationFailed, match=words) as caught:
        await authorize("far", far.url, vault, present=person, **{"deadline": 20, **options})
    assert await vault.get(far.url) is kept
    return caught.value


async def test_a_consent_becomes_a_grant(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    done = await authorize("far", far.url, vault, present=person, deadline=20)
    assert done == Authorized("read", "no keyring")
    grant = await vault.get(far.url)
    assert grant is not None
    assert grant.access_token in far.tokens
    assert grant.refresh_token in far.renewals
    assert not grant.expired
    assert (grant.issuer, grant.token_endpoint) == (far.issuer, f"{far.issuer}/token")
    assert far.asked["/register"] == far.asked["/authorize"] == far.asked["/token"] == 1
    assert far.called == {401: 1, 200: 1}


async def test_the_page_gets_what_protects_the_answer(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    await authorize("far", far.url, vault, present=person, deadline=20)
    query = {key: values[0] for key, values in parse_qs(urlsplit(person.shown[0]).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert query["resource"] == far.url
    assert len(query["state"]) > 30
    back = urlsplit(query["redirect_uri"])
    assert back.hostname == "127.0.0.1"
    assert len(back.path) > 30
    client = far.clients[query["client_id"]]
    assert (client["client_name"], client["token_endpoint_auth_method"]) == ("War Room", "none")
    assert person.pages[0].text.startswith("War Room has the answer")
    assert person.pages[0].headers["Cache-Control"] == "no-store"


async def test_every_address_and_state_is_new(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    for _ in range(2):
        await authorize("far", far.url, vault, present=person, deadline=20)
    first, second = (parse_qs(urlsplit(page).query) for page in person.shown)
    for name in ("state", "redirect_uri", "code_challenge"):
        assert first[name] != second[name]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("another state", "not to this request"),
        ("another issuer", "iss mismatch"),
        ("no issuer", "missing iss"),
        ("refusal", "answered access_denied"),
        ("no code", "brought no code"),
    ],
)
async def test_an_answer_that_is_wrong_is_not_taken(
    far: StandInAuthorization, vault: MemoryVault, person: Person, fault: str, words: str
) -> None:
    far.faults["page"] = fault
    error = await fails(far, vault, person, words)
    assert not error.retryable
    assert far.asked["/token"] == 0


@pytest.mark.parametrize("place", ["resource metadata", "metadata", "register", "token"])
async def test_a_server_that_is_down_may_be_asked_later(
    far: StandInAuthorization, vault: MemoryVault, person: Person, place: str
) -> None:
    far.faults[place] = 503
    error = await fails(far, vault, person, "503")
    assert error.retryable
    assert "try again later" in error.hint


@pytest.mark.parametrize(
    ("place", "words"),
    [("register", r"does not register War Room \(invalid_grant\)"), ("token", "does not give a token")],
)
async def test_a_refusal_is_told_without_what_else_it_says(
    far: StandInAuthorization, vault: MemoryVault, person: Person, place: str, words: str
) -> None:
    far.faults[place] = 400
    error = await fails(far, vault, person, words)
    assert not error.retryable


@pytest.mark.parametrize("place", ["register", "token"])
async def test_an_answer_that_is_none_is_told_so(
    far: StandInAuthorization, vault: MemoryVault, person: Person, place: str
) -> None:
    far.faults[place] = "garbage"
    await fails(far, vault, person, "answered with something else")


async def test_a_token_that_the_server_refuses_is_not_kept(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.faults["server"] = 401
    await fails(far, vault, person, r"does not accept what its authorization server granted \(401\)")


async def test_a_server_that_is_not_there_is_told(vault: MemoryVault, person: Person) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/mcp"
        with pytest.raises(AuthorizationFailed, match="cannot be reached") as caught:
            await authorize("far", url, vault, present=person, deadline=20)
    assert caught.value.retryable


async def test_a_server_that_wants_nothing_is_told(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.faults |= {"server": "open", "resource metadata": 404}
    await fails(far, vault, person, "does not ask for authorization")
    assert far.asked["/register"] == 0


async def test_a_server_that_asks_only_in_its_calls_can_be_authorised(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.faults["server"] = "open"
    await authorize("far", far.url, vault, present=person, deadline=20)
    assert await vault.get(far.url) is not None


# --- clients -------------------------------------------------------------------------------------


async def test_a_document_stands_in_for_the_registration_where_it_is_taken(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.metadata["client_id_metadata_document_supported"] = True
    await authorize("far", far.url, vault, present=person, deadline=20, client_metadata_url=DOCUMENT)
    query = parse_qs(urlsplit(person.shown[0]).query)
    assert query["client_id"] == [DOCUMENT]
    assert urlsplit(query["redirect_uri"][0]).path == "/callback"
    assert far.asked["/register"] == 0


async def test_elsewhere_it_registers(far: StandInAuthorization, vault: MemoryVault, person: Person) -> None:
    await authorize("far", far.url, vault, present=person, deadline=20, client_metadata_url=DOCUMENT)
    assert far.asked["/register"] == 1


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_takes_a_secret_where_it_has_to(
    far: StandInAuthorization, vault: MemoryVault, person: Person, method: str
) -> None:
    far.metadata["token_endpoint_auth_methods_supported"] = [method]
    await authorize("far", far.url, vault, present=person, deadline=20)
    grant = await vault.get(far.url)
    assert grant is not None
    assert grant.client_secret
    assert grant.client_method == method


async def test_without_registration_the_way_around_is_told(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.metadata["registration_endpoint"] = None
    error = await fails(far, vault, person, "does not register applications")
    assert "Make a token at the service" in error.hint
    assert not person.shown


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://a.example/authorize",
        "http://10.0.0.1/authorize",
        "https://u:p@a.example/authorize",
        "https://a.example/;calc",
        "https://a.example/$(calc)",
        "https://a.example/'x'",
        "https://a.example/" + "x" * 3000,
    ],
)
async def test_a_page_at_a_wrong_address_is_never_shown(
    far: StandInAuthorization, vault: MemoryVault, person: Person, endpoint: str
) -> None:
    far.metadata["authorization_endpoint"] = endpoint
    await fails(far, vault, person, "none that may be shown")
    assert not person.shown


@pytest.mark.parametrize("endpoint", ["javascript:alert(1)", "file:///etc/passwd", "-x", "ms-settings:x", ""])
async def test_a_page_that_is_no_web_page_is_never_shown(
    far: StandInAuthorization, vault: MemoryVault, person: Person, endpoint: str
) -> None:
    far.metadata["authorization_endpoint"] = endpoint
    await fails(far, vault, person, "publishes no metadata")
    assert not person.shown


async def test_a_page_may_have_a_query_of_its_own(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.metadata["authorization_endpoint"] = f"{far.issuer}/authorize?tenant=7"
    await authorize("far", far.url, vault, present=person, deadline=20)
    assert person.shown[0].startswith(f"{far.issuer}/authorize?tenant=7&response_type=code&")


async def test_without_pkce_nothing_is_shown(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.metadata["code_challenge_methods_supported"] = None
    await fails(far, vault, person, "PKCE")
    assert not person.shown


async def test_an_authorization_server_that_may_not_be_named_is_not_asked(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.resource["authorization_servers"] = ["http://intranet.example"]
    await fails(far, vault, person, "leads to intranet.example")
    assert far.total == 0


async def test_metadata_of_another_issuer_is_refused(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.metadata["issuer"] = far.elsewhere
    await fails(far, vault, person, "issuer mismatch")
    assert far.asked["/register"] == 0


async def test_metadata_of_another_resource_is_refused(
    far: StandInAuthorization, vault: MemoryVault, person: Person
) -> None:
    far.resource["resource"] = "https://other.example/mcp"
    await fails(far, vault, person, "does not match")


@pytest.mark.parametrize(
    "url", ["http://a.example/mcp", "ftp://a.example", "https://u:p@a.example/", "x", ""]
)
async def test_a_server_at_a_wrong_address_is_not_authorised(
    vault: MemoryVault, person: Person, url: str
) -> None:
    with pytest.raises(InvalidInput):
        await authorize("far", url, vault, present=person, deadline=20)


@pytest.mark.parametrize(
    ("server", "target", "allowed"),
    [
        ("https://mcp.example.com/mcp", "https://login.example.com/", True),
        ("https://mcp.example.com/mcp", "https://mcp.example.com/token", True),
        ("https://mcp.example.com/mcp", "http://mcp.example.com/token", False),
        ("https://mcp.example.com/mcp", "http://login.example.com/", False),
        ("https://mcp.example.com/mcp", "https://127.0.0.1/", False),
        ("https://mcp.example.com/mcp", "http://localhost:8080/", False),
        ("https://mcp.example.com/mcp", "https://169.254.169.254/latest", False),
        ("https://mcp.example.com/mcp", "https://[::ffff:10.0.0.1]/", False),
        ("https://mcp.example.com/mcp", "https://0x7f.1/", False),
        ("https://mcp.example.com/mcp", "https://sso.corp.internal/", False),
        ("https://mcp.corp.internal/mcp", "https://sso.corp.internal/", True),
        ("https://mcp.corp.internal/mcp", "http://localhost/", False),
        ("http://127.0.0.1:1/mcp", "http://localhost:2/", True),
        ("http://127.0.0.1:1/mcp", "http://10.0.0.1/", False),
        ("http://127.0.0.1:1/mcp", "file:///etc/passwd", False),
    ],
)
def test_a_server_leads_only_to_where_it_could_be_itself(server: str, target: str, allowed: bool) -> None:
    assert may_ask(server, target) is allowed


@pytest.mark.parametrize("scopes", ["", "a  b", 'a"b', "a\x1b[0m", "ä", "x" * 2000])
def test_scopes_that_are_none_are_not_shown(scopes: str) -> None:
    assert plain_scopes(scopes) is None


# --- time ----------------------------------------------------------------------------------------


class Nobody(Person):
    """Sees the page, and does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.saw = anyio.Event()

    async def __call__(self, page: str) -> None:
        self.shown.append(page)
        self.saw.set()

    async def knock(self) -> None:
        """Connect to where the answer is awaited."""
        back = urlsplit(parse_qs(urlsplit(self.shown[0]).query)["redirect_uri"][0])
        assert back.port is not None
        await (await anyio.connect_tcp("127.0.0.1", back.port)).aclose()


async def test_nobody_answers_for_ever(far: StandInAuthorization, vault: MemoryVault) -> None:
    nobody = Nobody()
    error = await fails(far, vault, nobody, "not authorised within 1.5 seconds", deadline=1.5)
    assert error.retryable
    with pytest.raises(OSError):
        await nobody.knock()


async def test_a_server_that_does_not_answer_is_given_up(
    far: StandInAuthorization, vault: MemoryVault, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "REQUEST_DEADLINE", 0.3)
    far.faults["token"] = "slow"
    error = await fails(far, vault, person, "does not answer")
    assert error.retryable


async def test_giving_up_leaves_nothing_open(far: StandInAuthorization, vault: MemoryVault) -> None:
    nobody = Nobody()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: authorize("far", far.url, vault, present=nobody, deadline=20))
        await nobody.saw.wait()
        await nobody.knock()
        tasks.cancel_scope.cancel()
    with pytest.raises(OSError):
        await nobody.knock()
    assert await vault.get(far.url) is None


async def test_what_showing_the_page_raises_is_not_swallowed_nor_logged(
    far: StandInAuthorization, vault: MemoryVault, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(page: str) -> None:
        raise OSError("there is no browser")

    with pytest.raises(OSError, match="there is no browser"):
        await authorize("far", far.url, vault, present=broken, deadline=20)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
