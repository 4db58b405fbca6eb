"""Tiny npm packages that play MCP servers of every bad kind, served by the stand-in registry.

A package's program is one plain script that speaks JSON-RPC on its own, so that it starts at once and can
break every rule. Where it runs it leaves `env.json` (its environment and arguments) and `pids` (its own id
and that of a process it started) in its working directory.
"""

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

from tests.standins.registry import StandInRegistry, entry, npm_package

_PROGRAM = r"""#!/usr/bin/env node
'use strict';
const fs = require('fs');
const MODE = __MODE__;
fs.writeFileSync('env.json', JSON.stringify({env: process.env, argv: process.argv}));
const object = {type: 'object', properties: {}};
let tools = ['echo', 'die', 'hang', 'garble'].map(name => ({name, description: name, inputSchema: object}));
tools.push({name: 'fragile', inputSchema: object, annotations: {readOnlyHint: true}});
if (MODE === 'broken-tool') {
  tools = [{name: 7, inputSchema: object}, {description: 'no name'}, {name: 'shapeless', inputSchema: 'none'},
    null, {name: 'listed', inputSchema: {type: 'array'}}, {name: 'echo', inputSchema: object},
    {name: 'echo', inputSchema: object}];
}
const send = message => fs.writeSync(1, JSON.stringify({jsonrpc: '2.0', ...message}) + '\n');
function call(id, params) {
  switch (params.name) {
    case 'die': console.error('the disk is on fire'); process.exit(7);
    case 'fragile':
      if (!fs.existsSync('died')) { fs.writeFileSync('died', ''); process.exit(8); }
      break;
    case 'hang': return;
    case 'garble': fs.writeSync(1, `{"jsonrpc":"2.0","id":${id},"result":{"content":[`+ '\n'); return;
  }
  const text = MODE + ' ' + JSON.stringify(params.arguments || {});
  send({id, result: {content: [{type: 'text', text}]}});
}
function answer({id, method, params}) {
  if (id === undefined) return;
  if (method === 'initialize') {
    const version = params.protocolVersion;
    send({id, result: {protocolVersion: version, capabilities: {tools: {}},
      serverInfo: {name: 'stand-in', version: '1'}}});
  } else if (method === 'tools/list') {
    if (MODE !== 'never-lists') send({id, result: {tools}});
  } else if (method === 'tools/call') {
    call(id, params);
  } else {
    send({id, error: {code: -32601, message: 'unknown method'}});
  }
}
if (MODE === 'exits') { console.error('cannot read its settings'); process.exit(3); }
if (MODE === 'usage') { console.log('usage: --endpoint HOST'); process.exit(2); }
if (MODE === 'rubbish') {
  fs.writeSync(1, 'Welcome!\n\n{"level":"info"}\n[1,2]\n');
  fs.writeSync(1, Buffer.from([0, 255, 254, 10]));
}
if (MODE === 'floods') setInterval(() => fs.writeSync(1, 'no message\n'), 20);
if (MODE === 'family') {
  const started = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'],
    {detached: true, stdio: 'ignore'});
  fs.writeFileSync('pids', `${process.pid} ${started.pid}`);
}
if (MODE === 'silent' || MODE === 'floods') {
  process.stdin.resume();
} else {
  require('readline').createInterface({input: process.stdin}).on('line', line => answer(JSON.parse(line)));
}
"""


@dataclass(frozen=True)
class Served:
    """One package of the stand-in: its candidate id, and the manifest of the registry, to be spoilt."""

    id: str
    manifest: dict[str, Any]


def program(mode: str) -> str:
    """The script of a package; its modes are ok, family, and the ways to be bad that it names."""
    return _PROGRAM.replace("__MODE__", json.dumps(mode))


def tarball(manifest: dict[str, Any], files: dict[str, str]) -> bytes:
    """A package as the npm registry stores it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in {"package.json": json.dumps(manifest), **files}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size, member.mode = len(text.encode()), 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    # Without a time, so that the same package has the same integrity in every test.
    return gzip.compress(packed.getvalue(), mtime=0)


def serve(
    stand_in: StandInRegistry,
    technology: str,
    mode: str,
    *,
    weekly: int | None = 5000,
    listed: bool = True,
    bin: bool = True,
    scope: str = "",
    **package: Any,
) -> Served:
    """Publish `SCOPE/mcp-TECHNOLOGY-MODE` on npm and, if `listed`, in the MCP registry.

    `package` are further members of its registry entry, such as `environmentVariables`. From 1,000 weekly
    downloads on, a person in a host may approve it; the more, the earlier it is tried.
    """
    plain = f"mcp-{technology}-{mode}"
    name = f"{scope}/{plain}" if scope else plain
    manifest: dict[str, Any] = {"name": name, "version": "1.0.0"}
    if bin:
        manifest["bin"] = {plain: "index.js"}
    packed = tarball(manifest, {"index.js": program(mode)})
    served = stand_in.serve_npm(name, weekly=weekly, tarball=packed)
    if not bin:
        del stand_in.packuments[name]["versions"]["1.0.0"]["bin"]
    if listed:
        stand_in.entries.append(
            entry(
                f"io.test{scope.replace('@', '.')}/{technology}-{mode}",
                packages=[npm_package(name, **package)],
            )
        )
    return Served(f"npm:{name}", served)
