"""Values for the tests of the command line: a candidate, its plan, tickets, statuses."""

from datetime import UTC, date, datetime

from warroom_mcp.models import (
    AddedServer,
    Analysis,
    Approver,
    Candidate,
    ChildState,
    LaunchPlan,
    Need,
    Package,
    PackageInput,
    PackageKind,
    Score,
    ScorePart,
    SearchPlan,
    ServerStatus,
    Severity,
    Ticket,
    ToolUsage,
    TrustLevel,
)

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PACKAGE = Package(
    PackageKind.NPM,
    "mcp-server-redis",
    "1.2.3",
    inputs=(PackageInput("REDIS_PASSWORD", required=True, secret=True),),
)
CANDIDATE = Candidate(
    id="npm:mcp-server-redis",
    name="mcp-server-redis",
    description="Talks to Redis. \x1b[31mred\x1b[0m",
    package=PACKAGE,
    updated=date(2026, 1, 2),
    need="redis",
    score=Score((ScorePart("origin", 40, 40, "official"), ScorePart("downloads", 20.4, 25, "many"))),
)
PLAN = LaunchPlan(
    server="redis",
    candidate_id=CANDIDATE.id,
    package=PACKAGE,
    command=("npx", "-y", "mcp-server-redis@1.2.3"),
    secrets={"REDIS_PASSWORD": "env:REDIS_PASSWORD"},
)
ANALYSIS = Analysis(
    problem_id="p-1",
    text="redis is down",
    signals=(),
    needs=(Need("redis", ("query",), 0.9, {"host": "db1"}),),
    keywords=("redis",),
    severity=Severity.ERROR,
    plan=SearchPlan(("redis",), ("redis",)),
)
SERVER = AddedServer(PLAN, "digest", "terminal (t-1)", WHEN)
STATUS = ServerStatus(
    name="redis",
    candidate_id=CANDIDATE.id,
    state=ChildState.ASLEEP,
    reason="nobody called it yet",
    next_step="call one of its tools",
    version="1.2.3",
    approved_by="terminal (t-1)",
    added=WHEN,
    tools=("redis__get",),
    usage=(ToolUsage("redis", "get", 3, 1, 0.6, WHEN),),
)


def ticket(number: int = 1, approver: Approver = Approver.PERSON) -> Ticket:
    """A question that waits."""
    return Ticket(
        id=f"t-{number}",
        digest=f"digest-{number}",
        plan=PLAN,
        level=TrustLevel.VERIFIED,
        approver=approver,
        card=("Runs: npx -y mcp-server-redis@1.2.3", "secret REDIS_PASSWORD from env:REDIS_PASSWORD"),
        why="for redis, score 60/100",
        created=WHEN,
    )
