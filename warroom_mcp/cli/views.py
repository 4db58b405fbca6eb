"""How answers look to a person: JSON-ready values in, lines and tables out. Foreign text is made harmless."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from warroom_mcp.cli.visible import one_line, visible

Answer = Mapping[str, Any]
Lines = Iterator[RenderableType]

# What is shown of long lists; --json has all.
_SIGNALS = 20
_TOOLS = 12
_GOOD, _BAD, _DIM = "green", "red", "dim"


def line(text: str, style: str = "") -> Text:
    """One line of text, foreign or not."""
    return Text(one_line(text), style=style)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table of plain cells; None is shown as a dash."""
    made = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else line(_cell(cell)) for cell in row))
    return made


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def analysis(answer: Answer) -> Lines:
    """Needs, then signals with their evidence."""
    yield line(f"problem {answer['problem_id']}, a {answer['kind']}, severity {answer['severity']}")
    if answer["secrets_redacted"]:
        yield line(f"{answer['secrets_redacted']} secrets were taken out of the text")
    yield from (line(note, _DIM) for note in answer["notes"])
    if answer["why_nothing"]:
        yield line(f"No server is needed: {answer['why_nothing']}.")
        return
    if not answer["needs"]:
        yield line("No technology speaks in this text.")
        return
    yield table(
        ("need", "capabilities", "confidence", "parameters"),
        [
            (n["technology"], n["capabilities"], n["confidence"], _pairs(n["parameters"]))
            for n in answer["needs"]
        ],
    )
    shown = answer["signals"][:_SIGNALS]
    if shown:
        yield table(("signal", "value", "evidence"), [(s["kind"], s["value"], s["evidence"]) for s in shown])
    if len(answer["signals"]) > len(shown):
        yield line(f"and {len(answer['signals']) - len(shown)} more signals (--json shows all)")
    yield line(f"keywords: {', '.join(answer['keywords'])}")


def found(answer: Answer) -> Lines:
    """Candidates with their scores, the reasons of the best, and the sources that were not fresh."""
    candidates = answer["candidates"]
    if answer.get("why_nothing"):
        yield line(f"No server is needed: {answer['why_nothing']}.")
    elif not candidates:
        yield line("Nothing fits. Search with other words, or name the technology.")
    else:
        yield table(
            ("score", "candidate", "runtime", "origin", "needs", "description"),
            [
                (
                    c["score"],
                    c["candidate_id"],
                    c["runtime"],
                    c["origin"],
                    [*c["inputs"], *c["credentials"]],
                    _about(c),
                )
                for c in candidates
            ],
        )
        yield line(f"why {candidates[0]['candidate_id']}:", _DIM)
        yield from (line(f"  {why}", _DIM) for why in candidates[0]["why"])
        if len(answer["cover"]) > 1:
            yield line(f"together for all needs: {', '.join(answer['cover'])}")
        if answer["not_covered"]:
            yield line(f"not covered: {', '.join(answer['not_covered'])}", _BAD)
        able = [c["candidate_id"] for c in candidates if not c["unconfirmed"]]
        yield line(f"next: warroom add {able[0]}" if able else "None of these can be started as they are.")
    yield from _sources(answer)


def steps(answer: Answer) -> Lines:
    """The best candidates of each step, then the set that covers all of them."""
    yield table(
        ("step", "candidates"),
        [
            (
                step["query"],
                step["why_nothing"] or [c["candidate_id"] for c in step["candidates"][:3]] or "none",
            )
            for step in answer["steps"]
        ],
    )
    yield line(f"together: {', '.join(answer['cover']) or 'nothing'}")
    if answer["not_covered"]:
        yield line(f"not covered: {', '.join(answer['not_covered'])}", _BAD)
    yield from _sources(answer)


def synced(answer: Answer) -> Lines:
    """What each sync did, and why one was cut off."""
    yield table(
        ("source", "seen", "removed", "pages", "kind", "seconds"),
        [
            (
                row["source"],
                f"{row['seen']:,}",
                row["removed"],
                row["pages"],
                "whole" if row["whole"] else "changes",
                row["seconds"],
            )
            for row in answer["synced"]
        ],
    )
    for row in answer["synced"]:
        if row["reason"]:
            yield line(
                f"{row['source']} was cut off: {row['reason']}. The next sync goes on from there.", _BAD
            )


def catalog(answer: Answer) -> Lines:
    """What there is of each source, and how old it is."""
    yield table(
        ("source", "servers", "age", "state"),
        [
            (row["source"], f"{row['servers']:,}", _aged(row["age_seconds"]), _state(row))
            for row in answer["catalog"]
        ],
    )


def exported(answer: Answer) -> Lines:
    """How many servers were written, and where."""
    yield line(f"{answer['servers']:,} servers written to {answer['file']}")


def _aged(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


def _state(row: Mapping[str, Any]) -> str:
    if row["reason"]:
        return f"cut off: {row['reason']}"
    return "a sync was cut off" if row["cut_off"] else "complete" if row["synced"] else "answers of searches"


def incident(answer: Answer) -> Lines:
    """What is ready, what waits, what failed, what nothing covers, and what to do next."""
    yield line(f"severity {answer['severity']}, needs: {', '.join(answer['needs']) or 'none found'}")
    for ready in answer["ready"]:
        yield from added(ready)
    for waiting in answer["waiting_for_approval"]:
        yield from _attempt("waits for approval", waiting)
    for failed in answer["failed"]:
        yield from _attempt("not started", failed)
    if answer["not_covered"]:
        yield line(f"not covered: {', '.join(answer['not_covered'])}")
    yield from _sources(answer)
    if not answer["needs"]:
        yield line("next: name the technology that the problem comes from.")


def added(answer: Answer) -> Lines:
    """A server that is ready, and how its tools are called."""
    how = "ready" if answer["new"] else "was added before, and is ready"
    yield line(f"{answer['server']} ({answer['candidate_id']} {answer['version'] or ''}): {how}", _GOOD)
    yield line(f"  approved by {answer['approved_by']}", _DIM)
    tools = answer["tools"]
    yield from (line(f"  {tool['name']}  {_first(tool['description'])}") for tool in tools[:_TOOLS])
    if len(tools) > _TOOLS:
        yield line(f"  and {len(tools) - _TOOLS} more: `warroom tools`", _DIM)
    if tools:
        yield line(f"next: warroom call {tools[0]['name']} JSON, or use it in your host.")


def servers(answer: Answer) -> Lines:
    """One row a server, and what to do about those that are not well."""
    rows = answer["servers"]
    if not rows:
        yield line("No server is added yet: `warroom solve` with a problem, or `warroom find`.")
        return
    yield table(
        ("server", "state", "version", "tools", "calls", "approved by", "reason"),
        [
            (
                s["name"],
                Text(one_line(s["state"]), style=_BAD if s["state"] in ("failed", "unapproved") else ""),
                s["version"],
                len(s["tools"]),
                sum(u["calls"] for u in s["usage"]),
                s["approved_by"],
                s["reason"],
            )
            for s in rows
        ],
    )
    yield from (line(f"{s['name']}: {s['next_step']}") for s in rows if s["next_step"])


def stats(answer: Answer) -> Lines:
    """One row a tool that was called."""
    if not answer["usage"]:
        yield line("No tool was called yet.")
        return
    yield table(
        ("server", "tool", "calls", "errors", "mean seconds", "last used"),
        [
            (u["server"], u["tool"], u["calls"], u["errors"], _mean(u), u["last_used"])
            for u in answer["usage"]
        ],
    )


def tools(answer: Answer) -> Lines:
    """One row a tool."""
    if not answer["tools"]:
        yield line(f"No tool matches; {answer['available']} tools are there.")
        return
    yield table(
        ("tool", "arguments", "description"),
        [(t["name"], _arguments(t), _first(t["description"])) for t in answer["tools"]],
    )


def called(answer: Answer) -> Lines:
    """What a tool answered: its text as it stands, everything else as JSON."""
    for content in answer.get("content") or ():
        if isinstance(content, Mapping) and content.get("type") == "text":
            yield Text(visible(str(content.get("text"))))
        else:
            yield Text(visible(json.dumps(content, ensure_ascii=False)))
    if not answer.get("content"):
        yield Text(visible(json.dumps(dict(answer), ensure_ascii=False, indent=2)))


def proposals(answer: Answer) -> Lines:
    """What is, or was, to be done."""
    if not answer["proposals"]:
        yield line("Nothing to retire.")
        return
    yield table(
        ("server", "action", "reason", "tokens saved", "MB saved"),
        [
            (p["server"], p["action"], p["reason"], p["tokens_saved"], round(p["memory_saved"] / 1e6, 1))
            for p in answer["proposals"]
        ],
    )
    yield line("Done." if answer["applied"] else "next: warroom optimize --apply")


def removed(answer: Answer) -> Lines:
    """That a server is gone."""
    yield line(f"{answer['removed']} is stopped and forgotten.")


def authorized(answer: Answer) -> Lines:
    """That a remote server has the person's consent."""
    yield line(f"{answer['authorized']} is authorised.")
    if note := answer.get("note"):
        yield line(note)


def pending(answer: Answer) -> Lines:
    """Every question that waits, with its whole card."""
    if not answer["pending"]:
        yield line("Nothing waits for an answer.")
        return
    for ticket in answer["pending"]:
        yield line(f"{ticket['ticket']}  {ticket['candidate_id']}  ({ticket['why']})", "bold")
        yield from (Text(f"  {visible(row)}") for row in ticket["card"])
        yield line(f"  {ticket['command']}   or   warroom deny {ticket['ticket']}")


def settled(answer: Answer) -> Lines:
    """What became of a ticket."""
    yield line(f"{answer['ticket']} ({answer['candidate_id']}) is {answer['state']}.")
    if answer["next"]:
        yield line(f"next: {answer['next']}")


def doctor(answer: Answer) -> Lines:
    """One row a check."""
    styles = {"ok": _GOOD, "note": "yellow", "broken": _BAD}
    yield table(
        ("check", "state", "what"),
        [(r["check"], Text(r["state"], style=styles[r["state"]]), r["what"]) for r in answer["checks"]],
    )
    yield line("War Room can work." if answer["ok"] else "Mend what is broken, and run it again.")


def _attempt(what: str, attempt: Answer) -> Lines:
    yield line(f"{attempt['candidate_id']} (for {attempt['for']}): {what} [{attempt['code']}]", "yellow")
    yield line(f"  {attempt['message']}")
    yield from (Text(f"  | {visible(row)}") for row in attempt.get("details", {}).get("card", ()))
    yield line(f"  {attempt['hint']}")


def _sources(answer: Answer) -> Lines:
    for source in answer["sources"]:
        if source["state"] != "ok":
            yield line(f"source {source['source']} is {source['state']}: {source['reason'] or '-'}", _DIM)


def _about(candidate: Answer) -> str:
    if candidate["deprecated"]:
        heir = f"; use {candidate['heir']}" if candidate["heir"] else ""
        return f"deprecated: {candidate['deprecated']}{heir}"
    if candidate["unconfirmed"]:
        return f"unconfirmed: {candidate['unconfirmed']}"
    return str(candidate["description"])[:160]


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _arguments(tool: Answer) -> list[str]:
    """The names of a tool's arguments; an optional one in brackets."""
    schema = tool["inputSchema"]
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return []
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    return [str(name) if name in needed else f"[{name}]" for name in properties]


def _first(description: str) -> str:
    text = description.strip().partition("\n")[0]
    return text if len(text) <= 100 else text[:97] + "..."


def _mean(usage: Answer) -> str:
    return f"{usage['seconds'] / usage['calls']:.3f}" if usage["calls"] else "-"
