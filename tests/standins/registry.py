"""An HTTP server on loopback that answers in the shapes of the MCP registry, npm, PyPI and their counts.

One server plays all of them. What it serves is set as plain values; `faults` makes single services
misbehave in the ways that real ones do.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, overload
from urllib.parse import parse_qs, unquote, urlsplit

from warroom_mcp.settings import Settings

Json = dict[str, Any]
META = "io.modelcontextprotocol.registry/official"

# Services that a fault can be set for; "*" stands for all.
SERVICES = ("registry", "npm", "npm-search", "npm-downloads", "pypi", "pypi-downloads")


def entry(name: str, *, status: str = "active", updated: str = "2026-10-01T00:00:00Z", **server: Any) -> Json:
    """One item of the registry's list."""
    detail = {"name": name, "description": f"{name} for tests", "version": "1.0.0", **server}
    return {
        "server": detail,
        "_meta": {META: {"status": status, "publishedAt": updated, "updatedAt": updated, "isLatest": True}},
    }


_OLDEST = datetime(2025, 9, 1, tzinfo=UTC)


class ManyEntries(Sequence[Json]):
    """`count` entries that are built when they are asked for; `changed` holds those that are told apart.

    Each is named after one of the `subjects`, which take turns, and is 25 minutes younger than the one
    before.
    """

    def __init__(self, count: int, subjects: Sequence[str] = ("redis", "postgres", "kubernetes")) -> None:
        self._count = count
        self._subjects = subjects
        self.changed: dict[int, Json] = {}

    def __len__(self) -> int:
        return self._count

    def name(self, number: int) -> str:
        """The name of the entry with that number."""
        return f"io.github.user{number % 977}/{self._subjects[number % len(self._subjects)]}-mcp-{number}"

    def made(self, number: int, **changes: Any) -> Json:
        """The entry with that number as it is made, with changes."""
        subject = self._subjects[number % len(self._subjects)]
        updated = (_OLDEST + timedelta(minutes=25 * number)).isoformat()
        other = self._subjects[(number * 7 + 3) % len(self._subjects)]
        package = npm_package(f"@user{number % 977}/{subject}-mcp-{number}")
        package["environmentVariables"] = [{"name": "API_TOKEN", "isRequired": True, "isSecret": True}]
        members: Json = {
            "title": f"{subject} server {number}",
            "description": f"Looks into {subject}: lists, reads and watches what {other} has to do with it",
            "repository": {"url": f"https://github.com/user{number % 977}/{subject}-mcp-{number}"},
            "packages": [package],
        }
        return entry(self.name(number), **({"updated": updated} | members | changes))

    @overload
    def __getitem__(self, index: int) -> Json: ...
    @overload
    def __getitem__(self, index: slice) -> list[Json]: ...
    def __getitem__(self, index: int | slice) -> Json | list[Json]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        number = index % self._count
        return self.changed.get(number) or self.made(number)


def npm_package(identifier: str, version: str = "1.0.0", **extra: Any) -> Json:
    """The `packages` member of an entry that is started with npx."""
    package: Json = {"registryType": "npm", "identifier": identifier, "version": version}
    return package | {"transport": {"type": "stdio"}} | extra


def hit(name: str, *, weekly: int | None = None, **package: Any) -> Json:
    """One object of npm's search; its score details say nothing, as the real ones do."""
    members = {"name": name, "version": "1.0.0", "description": f"{name} for tests", "keywords": ["mcp"]}
    found: Json = {"package": members | package, "score": {"final": 431.5, "detail": {"quality": 1.0}}}
    return found | ({} if weekly is None else {"downloads": {"weekly": weekly, "monthly": weekly * 4}})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    standin: "StandInRegistry"


class StandInRegistry:
    """Use as a context manager; `url` is the base of every service.

    `entries` are items of the MCP registry, `hits` npm search objects, `packuments` npm packages and
    `projects` PyPI projects by name, `weekly` downloads by package name (an unknown name answers 404),
    `files` bytes by path. `requests` holds every path that was asked for. `faults` maps a service to
    down, once (down for one request), missing, limited, slow, truncated, html, huge, deep, null, loop or
    `redirect URL`; `repeat_cursor` makes every page of the registry name itself as the next one.

    For copying the whole registry: `many` takes the place of `entries`. Entries are changed in their place
    and added at the end, never taken out, so that a cursor lasts; `forget_cursors` makes those handed out
    so far unknown (400). After `cut_after` more pages it answers 503 until that is None again;
    `page_delay` seconds pass before each page; `token` is wanted from then on (401); `on_page` is called
    with each page's query before it is made.
    """

    def __init__(self) -> None:
        self.entries: list[Json] = []
        self.many: ManyEntries | None = None
        self.hits: list[Json] = []
        self.packuments: dict[str, Json] = {}
        self.projects: dict[str, Json] = {}
        self.weekly: dict[str, int | None] = {}
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, str] = {}
        self.retry_after: str | None = None
        self.page_size = 100
        self.repeat_cursor = False
        self.cut_after: int | None = None
        self.page_delay = 0.0
        self.token: str | None = None
        self.on_page: Callable[[Mapping[str, str]], None] | None = None
        self._epoch = 0
        self._lock = threading.Lock()
        self.requests: list[str] = []
        self.stopping = threading.Event()
        self._server: _Server | None = None

    def __enter__(self) -> "StandInRegistry":
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.standin = self
        # A short poll: shutdown waits for one.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        if self._server is None:
            raise RuntimeError("the stand-in is not running")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point War Room's settings here, for a process of its own."""
        names = ("NPM_REGISTRY", "NPM_DOWNLOADS", "PYPI", "PYPI_DOWNLOADS", "MCP_REGISTRY")
        return {f"WARROOM_{name}_URL": self.url for name in names}

    def settings(self, **changes: Any) -> Settings:
        """Settings whose every service is this server."""
        urls = {name.removeprefix("WARROOM_").lower(): url for name, url in self.environment.items()}
        return Settings(**(urls | changes))

    def serve_npm(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        weekly: int | None = None,
        tarball: bytes = b"",
        time: str = "2026-10-01T00:00:00.000Z",
        **manifest: Any,
    ) -> Json:
        """Publish a version of an npm package as the latest; gives its manifest, to be changed at will."""
        packument = self.packuments.setdefault(
            name, {"name": name, "dist-tags": {}, "versions": {}, "time": {"created": time}}
        )
        file = f"{name.rsplit('/', 1)[-1]}-{version}.tgz"
        self.files[f"/{name}/-/{file}"] = tarball
        digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
        members: Json = {
            "name": name,
            "version": version,
            "description": f"{name} for tests",
            "bin": {name.rsplit("/", 1)[-1]: "index.js"},
            "dist": {"tarball": f"{self.url}/{name}/-/{file}", "integrity": f"sha512-{digest}"},
        }
        packument["versions"][version] = members | manifest
        packument["dist-tags"]["latest"] = version
        packument["time"][version] = time
        if weekly is not None:
            self.weekly[name] = weekly
        return members

    def serve_pypi(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        weekly: int | None = None,
        wheels: Mapping[str, bytes] | None = None,
        time: str = "2026-10-01T00:00:00.000000Z",
        **info: Any,
    ) -> Json:
        """Publish a PyPI project; `wheels` are bytes by file name, one wheel for all platforms by default."""
        given = wheels if wheels is not None else {f"{name}-{version}-py3-none-any.whl": b"wheel"}
        files = []
        for file, body in given.items():
            self.files[f"/files/{file}"] = body
            files.append(
                {
                    "packagetype": "bdist_wheel" if file.endswith(".whl") else "sdist",
                    "filename": file,
                    "url": f"{self.url}/files/{file}",
                    "digests": {"sha256": hashlib.sha256(body).hexdigest()},
                    "upload_time_iso_8601": time,
                    "yanked": False,
                    "size": len(body),
                }
            )
        project: Json = {
            "info": {"name": name, "version": version, "summary": f"{name} for tests", "yanked": False}
            | info,
            "urls": files,
            "releases": {version: files},
            "vulnerabilities": [],
        }
        self.projects[name] = project
        if weekly is not None:
            self.weekly[name] = weekly
        return project

    # --- answers ---------------------------------------------------------------------------------

    def service_of(self, path: str) -> str:
        """Which service a path belongs to."""
        if path.startswith("/v0.1/"):
            return "registry"
        if path.startswith("/-/v1/search"):
            return "npm-search"
        if path.startswith("/downloads/"):
            return "npm-downloads"
        if path.startswith("/pypi/"):
            return "pypi"
        return "pypi-downloads" if path.startswith("/api/packages/") else "npm"

    def answer(self, target: str) -> tuple[int, object]:
        """Status and document for a request."""
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = [unquote(segment) for segment in parts.path.strip("/").split("/")]
        match path:
            case ["v0.1", "servers"]:
                return self._servers(query)
            case ["v0.1", "servers", name, "versions", "latest"]:
                found = [item for item in self.entries if item.get("server", {}).get("name") == name]
                return (200, found[0]) if found else (404, {"error": "Server not found"})
            case ["-", "v1", "search"]:
                return 200, self._search(query.get("text", ""))
            case ["downloads", "point", "last-week", *name]:
                return self._count("/".join(name))
            case ["api", "packages", name, "recent"]:
                weekly = self.weekly.get(name)
                return (
                    (404, {}) if weekly is None else (200, {"data": {"last_week": weekly}, "type": "recent"})
                )
            case ["pypi", name, "json"]:
                return self._or_404(self.projects.get(name))
            case ["pypi", name, version, "json"]:
                project = self.projects.get(name, {"info": {}})
                return self._or_404(project if project["info"].get("version") == version else None)
            case _:
                return self._or_404(self.packuments.get("/".join(path)))

    def _or_404(self, document: Json | None) -> tuple[int, object]:
        return (404, {"error": "Not found"}) if document is None else (200, document)

    def _count(self, name: str) -> tuple[int, object]:
        weekly = self.weekly.get(name)
        if weekly is None:
            return 404, {"error": f"package {name} not found"}
        return 200, {"downloads": weekly, "start": "2026-11-15", "end": "2026-11-21", "package": name}

    def forget_cursors(self) -> None:
        """Know none of the cursors any more that were handed out until now."""
        self._epoch += 1

    def _servers(self, query: Mapping[str, str]) -> tuple[int, object]:
        if self.page_delay:
            self.stopping.wait(self.page_delay)
        if self.on_page is not None:
            self.on_page(query)
        with self._lock:
            if self.cut_after is not None:
                if self.cut_after <= 0:
                    return 503, {"error": "cut off"}
                self.cut_after -= 1
        epoch, _, start = (query.get("cursor") or f"{self._epoch}.0").rpartition(".")
        if epoch != str(self._epoch) or not start.isdigit():
            return 400, {"error": "invalid cursor"}
        return 200, self._page(query, int(start))

    def _page(self, query: Mapping[str, str], start: int) -> Json:
        limit = min(self.page_size, int(query.get("limit", "30")))
        found: list[Json] = []
        following: int | None = None
        entries = self.entries if self.many is None else self.many
        for place in range(start, len(entries)):
            if not _is_listed(item := entries[place], query):
                continue
            if len(found) == limit:
                following = place
                break
            found.append(item)
        metadata: Json = {"count": len(found)}
        if following is not None:
            metadata["nextCursor"] = f"{self._epoch}.{start if self.repeat_cursor else following}"
        return {"servers": found, "metadata": metadata}

    def _search(self, text: str) -> Json:
        words = [word for word in text.lower().split() if word not in ("mcp", "server")]
        found = [
            one
            for one in self.hits
            if any(word in json.dumps(one.get("package", "")).lower() for word in words)
        ]
        return {"objects": found, "total": len(found), "time": "2026-11-22T00:00:00.000Z"}


def _is_listed(item: object, query: Mapping[str, str]) -> bool:
    """Whether the official registry would list the item: deleted ones only to whoever asks for changes."""
    meta = item.get("_meta") if isinstance(item, dict) else None
    meta = meta.get(META) if isinstance(meta, dict) else None
    meta = meta if isinstance(meta, dict) else {}
    since = query.get("updated_since")
    if meta.get("status") == "deleted" and not since and query.get("include_deleted") != "true":
        return False
    if query.get("version") == "latest" and meta.get("isLatest") is False:
        return False
    if since and not _is_after(meta.get("updatedAt"), since):
        return False
    return query.get("search", "").lower() in str(_name(item)).lower()


def _is_after(updated: object, since: str) -> bool:
    try:
        return datetime.fromisoformat(str(updated)) > datetime.fromisoformat(since)
    except (ValueError, TypeError):
        # What has no usable date is listed: a hostile row has to reach whoever is tested.
        return True


def _name(item: object) -> object:
    server = item.get("server") if isinstance(item, dict) else None
    return server.get("name") if isinstance(server, dict) else ""


_JSON = "application/json"
_CANNED = {
    "down": (503, _JSON, b'{"error": "down"}'),
    "once": (503, _JSON, b"{}"),
    "missing": (404, _JSON, b'{"error": "not found"}'),
    "limited": (429, _JSON, b"{}"),
    "html": (200, "text/html", b"<html>Sign in</html>"),
    "huge": (200, _JSON, b'["' + b"x" * 2_000_000 + b'"]'),
    "deep": (200, _JSON, b"[" * 100_000 + b"]" * 100_000),
    "null": (200, _JSON, b"null"),
}


class _Handler(BaseHTTPRequestHandler):
    """Answers one request, in good faith or with the fault that is set."""

    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: standard error belongs to the tests."""

    def do_GET(self) -> None:
        standin = self.server.standin
        standin.requests.append(self.path)
        path = unquote(urlsplit(self.path).path)
        if path in standin.files:
            self._send(200, standin.files[path], "application/octet-stream")
            return
        service = standin.service_of(path)
        if service == "registry" and standin.token and self._token() != standin.token:
            self._send(401, b'{"error": "unauthorized"}')
            return
        fault = standin.faults.get(service) or standin.faults.get("*")
        try:
            self._misbehave(fault) if fault else self._behave()
        except ConnectionError:
            self.close_connection = True

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _behave(self) -> None:
        status, document = self.server.standin.answer(self.path)
        self._send(status, json.dumps(document).encode())

    def _misbehave(self, fault: str) -> None:
        if fault == "slow":
            self._drip()
        elif fault == "truncated":
            whole = json.dumps(self.server.standin.answer(self.path)[1]).encode()
            self._send(200, whole[: len(whole) // 2])
        elif fault == "loop":
            self._redirect(self.path)
        elif fault.startswith("redirect "):
            self._redirect(fault.removeprefix("redirect "))
        else:
            if fault == "once":
                self.server.standin.faults.clear()
            status, kind, body = _CANNED[fault]
            self._send(status, body, kind, retry_after=self.server.standin.retry_after)

    def _send(self, status: int, body: bytes, kind: str = _JSON, *, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self) -> None:
        """A byte now and then, until the client or the test has had enough."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        while not self.server.standin.stopping.wait(0.02):
            self.wfile.write(b" ")
