"""Values that the tests of the store start from."""

from dataclasses import replace
from datetime import UTC, date, datetime

from warroom_mcp.models import (
    AddedServer,
    Analysis,
    Approver,
    Candidate,
    LaunchPlan,
    Need,
    Origin,
    Package,
    PackageInput,
    PackageKind,
    Score,
    ScorePart,
    SearchPlan,
    Severity,
    Signal,
    SignalKind,
    Span,
    Ticket,
    TrustLevel,
)
from warroom_mcp.store.digest import digest

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)

PACKAGE = Package(
    PackageKind.PYPI,
    "redis-mcp-server",
    version="0.5.1",
    integrity="sha256:" + "a" * 64,
    inputs=(
        PackageInput("REDIS_HOST", default="", template="{host}"),
        PackageInput("REDIS_PWD", secret=True, required=True),
        PackageInput("REDIS_MODE", choices=("single", "cluster")),
    ),
    executable="redis-mcp-server",
)

PLAN = LaunchPlan(
    server="redis",
    candidate_id="pypi:redis-mcp-server",
    package=PACKAGE,
    command=("uvx", "--from", "redis-mcp-server==0.5.1", "redis-mcp-server", "--mode", "single"),
    arguments=("--mode", "single"),
    environment={"REDIS_HOST": "127.0.0.1"},
    secrets={"REDIS_PWD": "env:REDIS_PWD"},
)

REMOTE = LaunchPlan(
    server="docs",
    candidate_id="remote:https://docs.example/mcp",
    package=Package(PackageKind.HTTP, "https://docs.example/mcp"),
    headers={"X-Team": "운영"},
    secrets={"Authorization": "keyring:docs-token"},
)

CANDIDATE = Candidate(
    id="pypi:redis-mcp-server",
    name="redis",
    description="Redis, 레디스",
    package=PACKAGE,
    technologies=("redis",),
    origin=Origin.OFFICIAL,
    weekly_downloads=12_345,
    updated=date(2026, 11, 1),
    parameters={"host": "127.0.0.1"},
    relevance=0.75,
    score=Score((ScorePart("origin", 40.0, 40, "the vendor's own"),)),
)

ANALYSIS = Analysis(
    problem_id="p-1",
    text="redis refused",
    signals=(Signal(SignalKind.TECHNOLOGY, "redis", Span(0, 5), "redis", 0.5, "redis"),),
    needs=(Need("redis", ("query",), 0.9, {"host": "127.0.0.1"}, (Span(0, 5),)),),
    keywords=("redis",),
    severity=Severity.ERROR,
    plan=SearchPlan(("redis",), ("redis server",)),
)


def added(plan: LaunchPlan = PLAN, name: str | None = None) -> AddedServer:
    """An approved server for a plan, under its own or another name."""
    plan = replace(plan, server=name or plan.server)
    return AddedServer(plan, digest(plan), "elicitation (t-1)", NOON)


def ticket(ticket_id: str = "t-1", plan: LaunchPlan = PLAN) -> Ticket:
    """A pending question for a plan."""
    return Ticket(
        id=ticket_id,
        digest=digest(plan),
        plan=plan,
        level=TrustLevel.OFFICIAL,
        approver=Approver.PERSON,
        card=("first line", "second line"),
        why="asked for by name",
        created=NOON,
    )
