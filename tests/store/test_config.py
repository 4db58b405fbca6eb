"""The config file: what hosts read, what is believed, what is never lost."""

import json
import os
import resource
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.examples import PLAN, REMOTE, added
from tests.store.processes import finish, running
from warroom_mcp.errors import (
    ConfigCorrupt,
    InvalidInput,
    Refusal,
    StateError,
    StateNotWritable,
)
from warroom_mcp.models import LaunchPlan, Package, PackageKind
from warroom_mcp.store import ConfigFile, Desired
from warroom_mcp.store.digest import digest

HOST_ENTRY = {"command": "npx", "args": ["-y", "other"]}


@pytest.fixture
def path(home: Path) -> Path:
    return home / "mcp-config.json"


@pytest.fixture
def config(path: Path) -> ConfigFile:
    return ConfigFile(path)


def write(path: Path, document: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


# --- the shape -------------------------------------------------------------------------------


def test_a_server_is_written_in_the_shape_that_hosts_use(config: ConfigFile, path: Path) -> None:
    config.add(added())
    assert read(path) == {
        "mcpServers": {
            "redis": {
                "command": "uvx",
                "args": ["--from", "redis-mcp-server==0.5.1", "redis-mcp-server", "--mode", "single"],
                "env": {"REDIS_HOST": "127.0.0.1", "REDIS_PWD": "env:REDIS_PWD"},
                "warroom": {
                    "candidate": "pypi:redis-mcp-server",
                    "package": {
                        "kind": "pypi",
                        "identifier": "redis-mcp-server",
                        "version": "0.5.1",
                        "integrity": "sha256:" + "a" * 64,
                        "inputs": [
                            {"name": "REDIS_HOST", "default": "", "template": "{host}"},
                            {"name": "REDIS_PWD", "required": True, "secret": True},
                            {"name": "REDIS_MODE", "choices": ["single", "cluster"]},
                        ],
                        "executable": "redis-mcp-server",
                    },
                    "arguments": ["--mode", "single"],
                    "secrets": ["REDIS_PWD"],
                    "approved": digest(PLAN),
                    "approvedBy": "elicitation (t-1)",
                    "added": "2026-11-22T12:00:00.123456+00:00",
                },
            }
        }
    }


def test_a_remote_is_written_with_its_address_and_headers(config: ConfigFile, path: Path) -> None:
    config.add(added(REMOTE))
    entry = read(path)["mcpServers"]["docs"]
    assert {key: entry[key] for key in entry if key != "warroom"} == {
        "type": "http",
        "url": "https://docs.example/mcp",
        "headers": {"X-Team": "운영", "Authorization": "keyring:docs-token"},
    }
    assert "운영" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "plan",
    [PLAN, REMOTE, replace(REMOTE, package=Package(PackageKind.SSE, "https://docs.example/sse"))],
)
def test_what_is_added_is_loaded_again(config: ConfigFile, path: Path, plan: LaunchPlan) -> None:
    server = added(plan)
    config.add(server)
    assert ConfigFile(path).load() == Desired({server.name: server}, {})


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
mappings = st.dictionaries(texts, texts, max_size=3)
references = st.dictionaries(
    texts.map(lambda name: "S" + name), st.sampled_from(["env:A", "keyring:b.c"]), max_size=2
)


@settings(max_examples=60, deadline=None)
@given(
    server=texts,
    command=st.lists(texts, max_size=4).map(tuple),
    environment=mappings,
    headers=mappings,
    secrets=references,
    remote=st.booleans(),
)
def test_a_plan_is_read_back_as_it_was_approved_or_not_written_at_all(
    tmp_path_factory: pytest.TempPathFactory,
    server: str,
    command: tuple[str, ...],
    environment: dict[str, str],
    headers: dict[str, str],
    secrets: dict[str, str],
    remote: bool,
) -> None:
    path = tmp_path_factory.mktemp("config") / "mcp-config.json"
    plan = replace(
        REMOTE if remote else PLAN,
        server=server,
        command=() if remote else command,
        environment=environment,
        headers=headers,
        secrets=secrets,
    )
    try:
        ConfigFile(path).add(added(plan))
    except InvalidInput:
        # Nothing to start, or one name with two values: there is no such entry.
        holder = headers if remote else environment
        assert (not remote and not "".join(command[:1])) or set(holder) & set(secrets)
        assert not path.exists()
    else:
        assert ConfigFile(path).load() == Desired({server: added(plan)}, {})


def test_the_file_is_closed_to_others(config: ConfigFile, path: Path) -> None:
    write(path, {})
    path.chmod(0o644)
    config.add(added())
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {
        "mcp-config.json": 0o600,
        "mcp-config.json.lock": 0o600,
    }


def test_a_new_directory_is_closed_to_others(config: ConfigFile, path: Path) -> None:
    config.add(added())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_a_link_is_written_where_it_points(config: ConfigFile, path: Path) -> None:
    target = path.parent.parent / "dotfiles.json"
    write(path, {})
    path.rename(target)
    path.symlink_to(target)
    config.add(added())
    assert path.is_symlink()
    assert list(read(target)["mcpServers"]) == ["redis"]


# --- adding and removing ---------------------------------------------------------------------


def test_reading_and_removing_nothing_touch_nothing(config: ConfigFile, path: Path) -> None:
    assert config.load() == Desired({}, {})
    assert config.remove("redis") is False
    assert not path.parent.exists()


def test_a_removed_server_is_gone(config: ConfigFile) -> None:
    config.add(added())
    config.add(added(REMOTE))
    assert config.remove("redis") is True
    assert config.remove("redis") is False
    assert list(config.load().servers) == ["docs"]


def test_a_newly_approved_plan_takes_the_place_of_the_old_one(config: ConfigFile) -> None:
    config.add(added())
    newer = added(replace(PLAN, environment={"REDIS_HOST": "10.0.0.1"}))
    config.add(newer)
    assert config.load() == Desired({"redis": newer}, {})


def test_a_plan_that_was_not_approved_is_not_written(config: ConfigFile, path: Path) -> None:
    server = replace(added(), plan=replace(PLAN, environment={"REDIS_HOST": "10.0.0.1"}))
    with pytest.raises(Refusal, match="differs from what was approved"):
        config.add(server)
    assert not path.exists()


@pytest.mark.parametrize("value", ["hunter2", "env:", "env:A B", "vault:x", "env:A\n"])
def test_a_secret_that_is_no_reference_is_not_written(config: ConfigFile, path: Path, value: str) -> None:
    with pytest.raises(InvalidInput, match="REDIS_PWD") as caught:
        config.add(added(replace(PLAN, secrets={"REDIS_PWD": value})))
    assert "hunter2" not in caught.value.message
    assert not path.exists()


def test_unknown_keys_survive(config: ConfigFile, path: Path) -> None:
    config.add(added())
    document = read(path)
    document["$schema"] = "https://example.org/schema"
    document["mcpServers"]["redis"]["note"] = {"by": "me", "상태": [1, 2.5, None]}
    document["mcpServers"]["redis"]["warroom"]["ours"] = "too"
    write(path, document)
    newer = added(replace(PLAN, environment={"REDIS_HOST": "10.0.0.1"}))
    config.add(newer)
    config.add(added(REMOTE))
    config.remove("docs")
    after = read(path)
    assert after["$schema"] == "https://example.org/schema"
    assert after["mcpServers"]["redis"]["note"] == {"by": "me", "상태": [1, 2.5, None]}
    assert after["mcpServers"]["redis"]["warroom"]["ours"] == "too"
    assert config.load().servers == {"redis": newer}


def test_an_escape_that_utf8_cannot_hold_survives(config: ConfigFile, path: Path) -> None:
    write(path, '{"note": "\\ud800 운영"}')
    config.add(added())
    assert read(path)["note"] == "\ud800 운영"


# --- foreign edits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry", [HOST_ENTRY, {"type": "http", "url": "https://a.example"}, {}, "x", None, []]
)
def test_an_entry_added_by_hand_is_told_and_kept(config: ConfigFile, path: Path, entry: object) -> None:
    write(path, {"mcpServers": {"mine": entry}})
    config.add(added())
    assert config.load() == Desired({"redis": added()}, {"mine": "added by hand: not approved"})
    assert read(path)["mcpServers"]["mine"] == entry


def edit_secret(entry: dict[str, Any]) -> None:
    entry["env"]["REDIS_PWD"] = "hunter2"


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another command": lambda e: e.update(command="/bin/sh"),
    "another version": lambda e: e["args"].__setitem__(1, "redis-mcp-server==0.5.2"),
    "one more argument": lambda e: e["args"].append("--all"),
    "arguments that are no texts": lambda e: e["args"].append(1),
    "another variable": lambda e: e["env"].update(LD_PRELOAD="/tmp/x.so"),
    "another value": lambda e: e["env"].update(REDIS_HOST="10.0.0.1"),
    "a secret's value": edit_secret,
    "another reference": lambda e: e["env"].update(REDIS_PWD="env:HOME"),
    "no variables": lambda e: e.pop("env"),
    "no command": lambda e: e.pop("command"),
    "an address beside the command": lambda e: e.update(url="https://evil.example"),
    "another type": lambda e: e.update(type="http"),
    "headers": lambda e: e.update(headers={"A": "b"}),
    "another package": lambda e: e["warroom"]["package"].update(identifier="redis-mcp-servers"),
    "another integrity": lambda e: e["warroom"]["package"].pop("integrity"),
    "another candidate": lambda e: e["warroom"].update(candidate="pypi:other"),
    "fewer secrets": lambda e: e["warroom"].update(secrets=[]),
    "other arguments": lambda e: e["warroom"].update(arguments=[]),
    "another approval": lambda e: e["warroom"].update(approved="sha256:" + "0" * 64),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_entry_changed_after_approval_is_not_started_and_not_touched(
    config: ConfigFile, path: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    config.add(added())
    document = read(path)
    edit(document["mcpServers"]["redis"])
    write(path, document)
    assert config.load() == Desired({}, {"redis": "changed after approval"})
    with pytest.raises(StateError, match="left as it is: changed after approval"):
        config.add(added())
    with pytest.raises(StateError, match="left as it is"):
        config.remove("redis")
    config.add(added(REMOTE))
    assert read(path)["mcpServers"]["redis"] == document["mcpServers"]["redis"]


def test_a_command_beside_an_approved_address_is_not_believed(config: ConfigFile, path: Path) -> None:
    config.add(added(REMOTE))
    document = read(path)
    document["mcpServers"]["docs"]["command"] = "/bin/sh"
    write(path, document)
    assert config.load().foreign == {"docs": "changed after approval"}


def test_an_entry_under_another_name_is_not_believed(config: ConfigFile, path: Path) -> None:
    config.add(added())
    document = read(path)
    document["mcpServers"]["other"] = document["mcpServers"].pop("redis")
    write(path, document)
    assert config.load() == Desired({}, {"other": "changed after approval"})


@pytest.mark.parametrize(
    "block", [None, {}, "x", [], {"package": {"kind": "shell"}}, {"candidate": 1, "package": {}}]
)
def test_an_approval_that_cannot_be_read_is_none(config: ConfigFile, path: Path, block: object) -> None:
    write(path, {"mcpServers": {"redis": {**HOST_ENTRY, "warroom": block}}})
    assert config.load() == Desired({}, {"redis": "its approval cannot be read: not approved"})


def test_what_hosts_write_without_meaning_is_no_change(config: ConfigFile, path: Path) -> None:
    config.add(added())
    document = read(path)
    document["mcpServers"]["redis"].update(type="stdio", headers={})
    write(path, document)
    assert config.load().servers == {"redis": added()}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_edit_of_what_would_be_started_is_believed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("config") / "mcp-config.json"
    config = ConfigFile(path)
    config.add(added())
    document = read(path)
    entry = document["mcpServers"]["redis"]
    key = data.draw(st.sampled_from(["command", "args", "env", "url", "headers", "type"]))
    value = data.draw(
        st.text(max_size=5)
        | st.lists(st.text(max_size=5), min_size=1, max_size=3)
        | st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), min_size=1, max_size=3)
        | st.none()
        | st.integers()
    )
    same = (key in entry and entry[key] == value) or (key == "type" and value == "stdio")
    entry[key] = value
    path.write_text(json.dumps(document))
    assert (config.load().servers == {"redis": added()}) == same


# --- files that cannot be used ---------------------------------------------------------------

CORRUPT = {
    '{"mcpServers": {\n  "a": }}': "line 2, column 8",
    "": "line 1, column 1",
    '{"mcpServers": {}} x': "line 1, column 20",
    "[]": "not an object",
    '{"mcpServers": []}': '"mcpServers" is not an object',
    '{"mcpServers": {"a": {}, "a": {}}}': "'a' appears twice",
    '{"a": ' * 100_000: "nested too deeply",
    '{"a": ' + "1" * 5000 + "}": "cannot be used",
}


@pytest.mark.parametrize(("content", "why"), CORRUPT.items(), ids=range(len(CORRUPT)))
def test_a_corrupt_file_is_told_and_not_overwritten(
    config: ConfigFile, path: Path, content: str, why: str
) -> None:
    write(path, content)
    for attempt in (config.load, lambda: config.add(added()), lambda: config.remove("redis")):
        with pytest.raises(ConfigCorrupt, match=r"mcp-config\.json") as caught:
            attempt()
        assert why in caught.value.message
    assert path.read_text() == content


def test_bytes_that_are_no_text_are_told_by_their_place(config: ConfigFile, path: Path) -> None:
    write(path, "")
    path.write_bytes(b'{\n"a": "\xff"}')
    with pytest.raises(ConfigCorrupt, match="line 2, column 7: not UTF-8"):
        config.load()


@given(st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_told(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("config") / "mcp-config.json"
    path.write_bytes(content)
    try:
        ConfigFile(path).load()
    except ConfigCorrupt:
        assert path.read_bytes() == content


def test_a_byte_order_mark_is_no_fault(config: ConfigFile, path: Path) -> None:
    write(path, "")
    path.write_bytes(b'\xef\xbb\xbf{"mcpServers": {"a": {}}}')
    assert list(config.load().foreign) == ["a"]


def test_a_directory_in_the_files_place_is_told(config: ConfigFile, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StateError, match="cannot be read"):
        config.load()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateNotWritable, match=r"mcp-config\.json"):
        ConfigFile(tmp_path / "file" / "home" / "mcp-config.json").add(added())


def test_a_full_disk_is_told_and_changes_nothing(config: ConfigFile, path: Path) -> None:
    config.add(added())
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(StateNotWritable, match=r"mcp-config\.json"):
            config.add(added(REMOTE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["mcp-config.json", "mcp-config.json.lock"]


def test_a_lock_that_is_held_too_long_is_told_as_retryable(path: Path) -> None:
    config = ConfigFile(path, lock_seconds=0.05)
    config.add(added())
    with FileLock(f"{path}.lock"), pytest.raises(StateError, match="another process") as caught:
        config.add(added(REMOTE))
    assert caught.value.retryable
    config.add(added(REMOTE))
    assert set(config.load().servers) == {"redis", "docs"}


# --- crashes and other processes -------------------------------------------------------------

ADDER = """
import sys
from pathlib import Path
from tests.store.examples import added
from warroom_mcp.store import ConfigFile

config = ConfigFile(Path(sys.argv[1]), lock_seconds=60)
sys.stdin.readline()
for number in range(25):
    config.add(added(name=f"{sys.argv[2]}-{number}"))
"""


@pytest.mark.slow
def test_two_processes_that_add_lose_no_server(path: Path, config: ConfigFile) -> None:
    with running(ADDER, str(path), "a") as one, running(ADDER, str(path), "b") as two:
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        finish(one)
        finish(two)
    desired = config.load()
    assert desired.foreign == {}
    assert set(desired.servers) == {f"{name}-{number}" for name in "ab" for number in range(25)}


# Forks one child a trial; the child kills itself at the n-th line that it executes in the package,
# n growing from trial to trial until a write goes through unkilled.
KILLER = """
import os, signal, sys
from pathlib import Path
from tests.store.examples import added
from warroom_mcp.store import ConfigFile

path = Path(sys.argv[1])
config = ConfigFile(path)
config.add(added(name="first"))

def write(trial):
    left = trial
    def trace(frame, event, argument):
        nonlocal left
        if not frame.f_code.co_filename.endswith(("store/config.py", "store/private.py", "store/entries.py")):
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    config.add(added(name=f"trial-{trial}"))
    sys.settrace(None)
    os._exit(0)

killed, known, trial = 0, {"first"}, 0
while True:
    child = os.fork()
    if child == 0:
        write(trial)
    _, status = os.waitpid(child, 0)
    desired = config.load()
    assert not desired.foreign, desired.foreign
    names = set(desired.servers)
    assert names in (known, known | {f"trial-{trial}"}), (trial, names ^ known)
    if not os.WIFSIGNALED(status):
        assert f"trial-{trial}" in names
        break
    if f"trial-{trial}" in names:
        config.remove(f"trial-{trial}")
    killed += 1
    trial += 1
config.add(added(name="last"))
assert sorted(os.listdir(path.parent)) == ["mcp-config.json", "mcp-config.json.lock"], os.listdir(path.parent)
print(killed)
"""


@pytest.mark.slow
def test_a_kill_at_any_line_of_a_write_leaves_the_old_file_or_the_new_one(path: Path) -> None:
    with running(KILLER, str(path)) as process:
        killed = int(finish(process))
    assert killed >= 100


def test_a_new_server_takes_nobodys_name(config: ConfigFile, path: Path) -> None:
    config.add(added(), new=True)
    config.add(added(), new=True)
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match="another server called 'redis'") as caught:
        config.add(added(replace(PLAN, environment={"REDIS_HOST": "10.0.0.1"})), new=True)
    assert caught.value.retryable
    assert path.read_bytes() == before
