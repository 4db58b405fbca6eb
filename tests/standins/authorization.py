"""A remote MCP server that wants OAuth, and its authorization server, each at an origin of its own.

Both run in the test's own loop, as one application behind three ports; the third is an origin that has
nothing to do with either.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode
from urllib.request import urlopen

import anyio
import uvicorn
from anyio import to_thread
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

Json = dict[str, Any]
AS_METADATA = "/.well-known/oauth-authorization-server"
RESOURCE_METADATA = "/.well-known/oauth-protected-resource/mcp"


@dataclass
class StandInAuthorization:
    """`url` is the MCP server's address, `issuer` the authorization server's, `elsewhere` the third origin.

    `asked` counts the requests to the authorization server by path, `called` those to the MCP server by
    status; `strayed` holds the Authorization headers that reached the third origin. `metadata` and
    `resource` change members of the two documents; None leaves one out. `calls_need` is a scope that tools
    want beyond what opens a connection. `faults` says what is wrong in a place:

    - `register`, `token`, `refresh`: a status, garbage, or slow (`stuck` until `released`)
    - `metadata`, `resource metadata`: a status
    - `page`: what it sends back that it should not
    - `server`: a status; 401 also with a good token; bare (401 without a challenge); open; scope (403);
      away (redirects to the third origin)
    """

    url: str
    issuer: str
    elsewhere: str
    expires_in: int | None = 3600
    scopes: str = "read"
    calls_need: str | None = None
    rotate: bool = True
    faults: dict[str, Any] = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    resource: Json = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    called: Counter[int] = field(default_factory=Counter)
    strayed: list[str | None] = field(default_factory=list)
    clients: dict[str, Json] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    renewals: dict[str, str] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    token_requests: list[dict[str, str]] = field(default_factory=list)
    stuck: anyio.Event = field(default_factory=anyio.Event)
    released: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def total(self) -> int:
        """How many requests the authorization server had."""
        return self.asked.total()

    def revoke(self, *, renewals: bool = False) -> None:
        """No access token is accepted any more; no refresh token either if `renewals`."""
        self.tokens.clear()
        if renewals:
            self.renewals.clear()

    def secret(self, kind: str) -> str:
        """A value that must not be seen anywhere; `given` remembers it."""
        made = f"{kind}-{next(self._numbers)}-Zq7secret"
        self.given.add(made)
        return made

    # --- the authorization server --------------------------------------------------------------

    async def authority(self, request: Request) -> Response:
        path = request.url.path
        self.asked[path] += 1
        if path == AS_METADATA:
            return self._document("metadata", self._own_metadata() | self.metadata)
        if path == "/register":
            return await self._register(request)
        if path == "/authorize":
            return self._page(dict(request.query_params))
        if path == "/token":
            return await self._token(request)
        return PlainTextResponse("", 404)

    def _own_metadata(self) -> Json:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _document(self, name: str, members: Json) -> Response:
        if (status := self.faults.get(name)) is not None:
            return PlainTextResponse("", status)
        return JSONResponse({key: value for key, value in members.items() if value is not None})

    async def _fault(self, place: str) -> Response | None:
        fault = self.faults.get(place)
        if fault == "slow":
            self.stuck.set()
            await self.released.wait()
            return None
        if fault is None:
            return None
        if fault == "garbage":
            return JSONResponse({"token_type": "Bearer", "refresh_token": self.secret("garbage")})
        said = {"error": "invalid_grant", "error_description": self.secret("words")}
        return JSONResponse(said, fault)

    async def _register(self, request: Request) -> Response:
        wanted = await request.json()
        if (fault := await self._fault("register")) is not None:
            return fault
        client = self.secret("client")
        made: Json = {**wanted, "client_id": client}
        if wanted.get("token_endpoint_auth_method") != "none":
            made["client_secret"] = self.secret("client-secret")
        self.clients[client] = made
        return JSONResponse(made, 201)

    def _page(self, query: dict[str, str]) -> Response:
        """Consents at once."""
        fault = self.faults.get("page")
        client = self.clients.get(query["client_id"], {"redirect_uris": [query["redirect_uri"]]})
        assert query["redirect_uri"] in client["redirect_uris"]
        self.given |= {query["state"], query["code_challenge"]}
        code = self.secret("code")
        self._codes[code] = query
        answer: Json = {"code": code, "state": query["state"], "iss": self.issuer}
        changes: dict[str, Json] = {
            "another state": {"state": "another"},
            "another issuer": {"iss": self.elsewhere},
            "no issuer": {"iss": None},
            "refusal": {"code": None, "error": "access_denied"},
            "no code": {"code": None},
        }
        answer |= changes.get(fault or "", {})
        given = urlencode({key: value for key, value in answer.items() if value is not None})
        return RedirectResponse(f"{query['redirect_uri']}?{given}", 302)

    async def _token(self, request: Request) -> Response:
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        self.token_requests.append(form)
        renews = form["grant_type"] == "refresh_token"
        if (fault := await self._fault("refresh" if renews else "token")) is not None:
            return fault
        if not self._proved(form, request.headers.get("authorization")):
            return JSONResponse({"error": "invalid_client"}, 401)
        scope = self.renewals.get(form["refresh_token"]) if renews else self._scope_of_code(form)
        if scope is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(self._new_tokens(scope, form.get("refresh_token")))

    def _proved(self, form: dict[str, str], authorization: str | None) -> bool:
        client = self.clients.get(form.get("client_id", ""))
        if client is None:
            return form.get("client_id", "").startswith("https://")
        if (secret := client.get("client_secret")) is None:
            return True
        pair = base64.b64encode(f"{client['client_id']}:{secret}".encode()).decode()
        return authorization == f"Basic {pair}" or form.get("client_secret") == secret

    def _scope_of_code(self, form: dict[str, str]) -> str | None:
        asked = self._codes.pop(form["code"], None)
        self.given.add(form["code_verifier"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge or form["resource"] != self.url:
            return None
        return asked.get("scope", "")

    def _new_tokens(self, scope: str, renewal: str | None) -> Json:
        token = self.secret("access")
        self.tokens[token] = scope
        answer: Json = {"access_token": token, "token_type": "Bearer", "scope": scope}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        if renewal is None or self.rotate:
            self.renewals.pop(renewal or "", None)
            renewal = answer["refresh_token"] = self.secret("refresh")
            self.renewals[renewal] = scope
        return answer

    # --- the MCP server ------------------------------------------------------------------------

    async def refusal(self, request: Request) -> Response | None:
        """What the MCP server answers in the place of MCP, if it does."""
        if request.url.path == RESOURCE_METADATA:
            members = {
                "resource": self.url,
                "authorization_servers": [self.issuer],
                "scopes_supported": self.scopes.split(),
            }
            return self._document("resource metadata", members | self.resource)
        refused = await self._refused(request)
        self.called[refused.status_code if refused else 200] += 1
        return refused

    async def _refused(self, request: Request) -> Response | None:
        fault = self.faults.get("server")
        if fault == "open":
            return None
        if fault == "away":
            return RedirectResponse(f"{self.elsewhere}/taken", 307)
        if fault == "scope":
            return _scope_missing("admin")
        if isinstance(fault, int) and fault != 401:
            return PlainTextResponse("", fault)
        scope = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if scope is None or fault == 401:
            where = f"{self.url.removesuffix('/mcp')}{RESOURCE_METADATA}"
            challenge = {} if fault == "bare" else {"www-authenticate": f'Bearer resource_metadata="{where}"'}
            return JSONResponse({"error": "invalid_token"}, 401, challenge)
        if self.calls_need and self.calls_need not in scope.split() and await _calls(request):
            return _scope_missing(self.calls_need)
        return None

    def stray(self, request: Request) -> Response:
        """A request at the third origin."""
        self.strayed.append(request.headers.get("authorization"))
        return PlainTextResponse("")


def _scope_missing(scope: str) -> Response:
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    return JSONResponse({"error": "insufficient_scope"}, 403, {"www-authenticate": challenge})


async def _calls(request: Request) -> bool:
    if request.method != "POST":
        return False
    return bool(json.loads(await request.body()).get("method") == "tools/call")


def tools() -> MCPServer:
    """What is behind it."""
    server = MCPServer("far away")

    @server.tool()
    def double(number: int) -> int:
        """Twice the number."""
        return 2 * number

    return server


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@asynccontextmanager
async def standing_in(**options: Any) -> AsyncIterator[StandInAuthorization]:
    """Both servers, until the block is left; `options` are those of StandInAuthorization."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        listeners = [one, two, three]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1] for listener in listeners]
        far, authority, elsewhere = (f"http://127.0.0.1:{port}" for port in ports)
        standin = StandInAuthorization(f"{far}/mcp", authority, elsewhere, **options)
        config = uvicorn.Config(
            _app(standin, ports),
            log_config=None,
            lifespan="on",
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listeners)
            await server.up.wait()
            try:
                yield standin
            finally:
                standin.released.set()
                server.should_exit = True


def _app(standin: StandInAuthorization, ports: list[int]) -> Any:
    mcp = tools().streamable_http_app(json_response=True)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await mcp(scope, receive, send)
            return
        again = _Replay(receive)
        request = Request(scope, again)
        port = scope["server"][1]
        if port == ports[1]:
            response: Response | None = await standin.authority(request)
        elif port == ports[2]:
            response = standin.stray(request)
        else:
            response = await standin.refusal(request)
        if response is not None:
            await response(scope, again, send)
        else:
            again.rewind()
            await mcp(scope, again, send)

    return app


class _Replay:
    """The messages of a request, which may be read twice."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen: list[Any] = []
        self._next = 0

    async def __call__(self) -> Any:
        if self._next == len(self._seen):
            self._seen.append(await self._receive())
        self._next += 1
        return self._seen[self._next - 1]

    def rewind(self) -> None:
        self._next = 0


@dataclass
class Page:
    """What a browser shows at the end."""

    status: int
    text: str
    headers: Mapping[str, str]


class Person:
    """Follows the page they are shown, as a browser does, and keeps what it says at the end."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.pages: list[Page] = []

    async def __call__(self, page: str) -> None:
        self.shown.append(page)
        self.pages.append(await to_thread.run_sync(visit, page))


def visit(url: str) -> Page:
    """Not with the client under test: its log would hold the address."""
    try:
        with urlopen(url, timeout=10) as answer:
            return Page(answer.status, answer.read().decode(), dict(answer.headers))
    except HTTPError as error:
        with error:
            return Page(error.code, error.read().decode(), dict(error.headers))
