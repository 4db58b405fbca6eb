"""The commands as the shell sees them: names, arguments, help. What they do is loaded when one runs."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from warroom_mcp.cli import completing, failing

app = typer.Typer(
    name="warroom",
    help="Finds, approves, starts and proxies the MCP servers an incident needs.",
    epilog=(
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused or blocked, 4 waits for a person's approval, "
        "130 interrupted. WARROOM_HOME chooses the state directory."
    ),
    no_args_is_help=True,
    # Rich would make every help page and usage error slower; tables have their own import of it.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Write machine-readable JSON to stdout.")]
Problem = Annotated[
    list[str], typer.Argument(metavar="TEXT|-", help="The problem as it stands, or - to read it from stdin.")
]
AutoApprove = Annotated[
    bool, typer.Option("--auto-approve", help="Skip the question where the operator's policy allows it.")
]
ServerName = Annotated[str, typer.Argument(metavar="NAME", autocompletion=completing.server_names)]
TicketId = Annotated[str, typer.Argument(metavar="ID", autocompletion=completing.ticket_ids)]


def run_app() -> None:
    """Run the command line; whatever goes wrong outside of a command is told like any other error."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding shows escapes instead of failing.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        app(prog_name="warroom")
    except (KeyboardInterrupt, Exception) as error:
        failing.tell(error)
        sys.exit(failing.exit_code(error))


def _version(wanted: bool) -> None:
    if wanted:
        from warroom_mcp.version import __version__

        typer.echo(f"warroom {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Finds, approves, starts and proxies the MCP servers an incident needs."""


@app.command()
def serve(
    http: Annotated[bool, typer.Option("--http", help="Serve Streamable HTTP at /mcp, not stdio.")] = False,
    host: Annotated[str, typer.Option(help="A loopback address, for --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="For --http.")] = 8765,
    no_token: Annotated[bool, typer.Option("--no-token", help="Let every local program in.")] = False,
) -> None:
    """Run the MCP server that hosts talk to, on stdin and stdout."""
    from warroom_mcp.cli import serving

    code = serving.serve_http(host, port, open_to_all=no_token) if http else serving.serve()
    raise typer.Exit(code)


@app.command()
def solve(problem: Problem, auto_approve: AutoApprove = False, json: Json = False) -> None:
    """Find, approve and start the servers a problem needs.

    With a terminal you are shown what would be started and asked; without one, a ticket waits for
    `warroom approve` and the exit code is 4.
    """
    from warroom_mcp.cli import preparing, problems, running

    async def work(session: running.Session) -> running.Outcome:
        text = preparing.read_problem(problem, session.settings.max_problem_bytes)
        return await problems.solve(session, text, auto_approve=auto_approve)

    running.run(work, as_json=json)


@app.command()
def analyze(
    problem: Problem,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Let a model read it too, where the setting deep_analysis allows it."),
    ] = False,
    json: Json = False,
) -> None:
    """Read a problem and show what it needs; starts nothing."""
    from warroom_mcp.cli import preparing, problems, running

    async def work(session: running.Session) -> running.Outcome:
        text = preparing.read_problem(problem, session.settings.max_problem_bytes)
        return await problems.analyze(session, text, deep=deep)

    running.run(work, as_json=json)


@app.command()
def repl(auto_approve: AutoApprove = False, json: Json = False) -> None:
    """Type problems one by one (status, optimize, exit)."""
    from warroom_mcp.cli.repl import repl

    raise typer.Exit(repl(as_json=json, auto_approve=auto_approve))


@app.command()
def demo(json: Json = False) -> None:
    """Show the whole flow on example incidents."""
    from importlib import import_module

    # By name: the demo brings its own stand-ins, which nothing else needs.
    run_demo: Any = import_module("warroom_mcp.cli.demo").run_demo
    raise typer.Exit(run_demo(as_json=json) or 0)


@app.command()
def find(
    query: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]...", help="Words, or an error line.")
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option("--step", metavar="TEXT", help="One step of a task; give it again.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many candidates.")] = 5,
    json: Json = False,
) -> None:
    """Rank the MCP servers for some words, with reasons.

    A task of several steps is searched for with --step, once for each: the answer names the smallest set
    of servers that covers all of them.
    """
    from warroom_mcp.cli import problems, running

    if not query and not step:
        raise typer.BadParameter("give words, or a --step for each step of a task", param_hint="QUERY")
    if step:
        queries = [*([" ".join(query)] if query else []), *step]
        running.run(lambda session: problems.find_for_steps(session, queries, limit), as_json=json)
    running.run(lambda session: problems.find(session, " ".join(query or ()), limit), as_json=json)


catalogs = typer.Typer(no_args_is_help=True, help="The local copies of the catalogs.")
app.add_typer(catalogs, name="catalog")


@catalogs.command("sync")
def catalog_sync(
    whole: Annotated[
        bool, typer.Option("--all", help="Walk through everything, not only what changed.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy the MCP registries of the settings to this machine.

    The first time brings everything, later ones what changed since. One that is cut off goes on from
    where it was.
    """
    from warroom_mcp.cli import catalog, running

    running.run(lambda session: catalog.sync(session, whole=whole), as_json=json)


@catalogs.command("status")
def catalog_status(json: Json = False) -> None:
    """Show what there is of each source, and how old it is."""
    from warroom_mcp.cli import catalog, running

    running.run(catalog.status, as_json=json)


@catalogs.command("export")
def catalog_export(file: Annotated[Path, typer.Argument(metavar="FILE")], json: Json = False) -> None:
    """Write the copies to a file, for machines without internet."""
    from warroom_mcp.cli import catalog, running

    running.run(lambda session: catalog.export(session, file), as_json=json)


@catalogs.command("import")
def catalog_import(file: Annotated[Path, typer.Argument(metavar="FILE")], json: Json = False) -> None:
    """Read a file that `warroom catalog export` wrote, in the place of what is here."""
    from warroom_mcp.cli import catalog, running

    running.run(lambda session: catalog.import_(session, file), as_json=json)


@app.command()
def add(
    candidate_id: Annotated[str, typer.Argument(metavar="CANDIDATE_ID", help="As `find` shows it.")],
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A value; for a secret env:NAME or keyring:NAME."),
    ] = None,
    auto_approve: AutoApprove = False,
    json: Json = False,
) -> None:
    """Verify one server, ask you, and start it."""
    from warroom_mcp.cli import running, servers

    async def work(session: running.Session) -> running.Outcome:
        given = servers.parse_values(values or ())
        return await servers.add(session, candidate_id, given, auto_approve=auto_approve)

    running.run(work, as_json=json)


@app.command("list")
def list_servers(json: Json = False) -> None:
    """Show every server: state, reason, next step."""
    from warroom_mcp.cli import running, servers

    running.run(servers.listed, as_json=json)


@app.command()
def remove(name: ServerName, json: Json = False) -> None:
    """Stop and forget a server."""
    from warroom_mcp.cli import running, servers

    running.run(lambda session: servers.remove(session, name), as_json=json)


@app.command()
def authorize(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A remote server, or its candidate id.")],
    json: Json = False,
) -> None:
    """Give a remote server the consent it asks for, in a browser."""
    from warroom_mcp.cli import running, servers

    running.run(lambda session: servers.authorize(session, name), as_json=json)


@app.command()
def optimize(
    apply: Annotated[bool, typer.Option("--apply", help="Do it.")] = False, json: Json = False
) -> None:
    """Show which servers to retire, and what it saves."""
    from warroom_mcp.cli import running, servers

    running.run(lambda session: servers.optimize(session, apply=apply), as_json=json)


@app.command()
def tools(
    query: Annotated[list[str] | None, typer.Argument(metavar="QUERY...", help="Words; all without.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many matches.")] = 10,
    json: Json = False,
) -> None:
    """Search the tools of the added servers."""
    from warroom_mcp.cli import running, servers

    running.run(lambda session: servers.tools(session, " ".join(query or ()), limit), as_json=json)


@app.command()
def call(
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="As `tools` shows it.")],
    arguments: Annotated[str, typer.Argument(metavar="JSON", help="The arguments, a JSON object.")] = "{}",
    json: Json = False,
) -> None:
    """Call a tool of an added server."""
    from warroom_mcp.cli import running, servers

    running.run(lambda session: servers.call(session, tool, arguments), as_json=json)


@app.command()
def stats(json: Json = False) -> None:
    """Show how often each tool was called."""
    from warroom_mcp.cli import running, servers

    running.run(servers.stats, as_json=json)


@app.command()
def pending(json: Json = False) -> None:
    """Show what waits for a person's approval."""
    from warroom_mcp.cli import approving, running

    running.run(approving.pending, as_json=json)


@app.command()
def approve(
    ticket: TicketId,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the admin token; WARROOM_ADMIN_TOKEN does as well."),
    ] = None,
    json: Json = False,
) -> None:
    """Approve what a ticket shows; for persons only.

    A model may ask for a server, and only a person approves it: you are shown the card and type `yes` at a
    terminal. Where there is none, the content of `admin-token` in the state directory proves an
    administrator; keep that file away from programs that a model can run.
    """
    from warroom_mcp.cli import approving, running

    running.run(lambda session: approving.approve(session, ticket, token_file), as_json=json)


@app.command()
def deny(ticket: TicketId, json: Json = False) -> None:
    """Refuse what a ticket asks for."""
    from warroom_mcp.cli import approving, running

    running.run(lambda session: approving.deny(session, ticket), as_json=json)


@app.command()
def doctor(json: Json = False) -> None:
    """Check what War Room needs, and what to do about it.

    State directory, config, runtimes, keyring, registries, servers left behind. The exit code is 1 if
    something is broken; a note is only a loss for some servers or searches.
    """
    from warroom_mcp.cli import running
    from warroom_mcp.cli.doctor import doctor

    running.run_alone(doctor, as_json=json)
