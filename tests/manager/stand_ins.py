"""Stand-ins for installer tests: programs that play npm, uv or docker, and registries on loopback."""

import base64
import hashlib
import io
import json
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from warroom_mcp.settings import Settings


def settings(**values: Any) -> Settings:
    """Settings with some values set."""
    return Settings(**values)


def program(directory: Path, name: str, body: str) -> Path:
    """An executable Python script; it starts without site packages, which is quick."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / name
    file.write_text(f"#!{sys.executable} -IS\n{body}", encoding="utf-8")
    file.chmod(0o755)
    return file


def file_answer(body: bytes, kind: str = "application/octet-stream") -> tuple[str, bytes]:
    return kind, body


@contextmanager
def serving(answers: dict[str, tuple[str, bytes]]) -> Iterator[str]:
    """Serve fixed answers by path on loopback; the address. Everything else is 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = answers.get(self.path.replace("%2F", "/").replace("%2f", "/"), ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the standard library looks for this name

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def npm_tarball(manifest: Mapping[str, object], files: Mapping[str, str]) -> bytes:
    """A package as the npm registry stores it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in {"package.json": json.dumps(manifest), **files}.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text.encode())
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def npm_answers(base: str, manifest: dict[str, object], tarball: bytes) -> dict[str, tuple[str, bytes]]:
    """What a registry at `base` answers for one version of one package."""
    name, version = manifest["name"], str(manifest["version"])
    path = f"/{name}/-/package-{version}.tgz"
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    described = {**manifest, "dist": {"tarball": base + path, "integrity": integrity}}
    scripts = manifest.get("scripts")
    if isinstance(scripts, dict) and {"preinstall", "install", "postinstall"} & set(scripts):
        described["hasInstallScript"] = True
    packument = {"name": name, "dist-tags": {"latest": version}, "versions": {version: described}}
    return {
        f"/{name}": file_answer(json.dumps(packument).encode(), "application/json"),
        path: file_answer(tarball),
    }


def wheel(name: str, version: str, files: Mapping[str, str], requires: tuple[str, ...] = ()) -> bytes:
    """A pure Python wheel."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD,,\n"
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return packed.getvalue()


def pypi_answers(name: str, files: Mapping[str, bytes]) -> dict[str, tuple[str, bytes]]:
    """What a simple index answers for one project; `files` are its archives by file name."""
    links = "".join(
        f'<a href="/files/{file}#sha256={hashlib.sha256(data).hexdigest()}">{file}</a><br>'
        for file, data in files.items()
    )
    page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
    served = {f"/files/{file}": file_answer(data) for file, data in files.items()}
    return {f"/simple/{name}/": file_answer(page, "text/html"), **served}
