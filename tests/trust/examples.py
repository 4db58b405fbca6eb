"""Candidates that the tests of trust start from."""

from dataclasses import replace
from datetime import date

from warroom_mcp.models import (
    Candidate,
    InputPlace,
    LaunchPlan,
    Origin,
    Package,
    PackageInput,
    PackageKind,
    Score,
    ScorePart,
)

NPM = Package(
    PackageKind.NPM,
    "@example/redis-mcp",
    version="1.2.3",
    integrity="sha512-" + "A" * 86 + "==",
    inputs=(PackageInput("REDIS_PWD", secret=True), PackageInput("--host", InputPlace.ARGUMENT)),
)
CANDIDATE = Candidate(
    id="npm:@example/redis-mcp",
    name="redis",
    description="Talks to Redis",
    package=NPM,
    origin=Origin.UNPROVEN,
    weekly_downloads=5_000,
    updated=date(2026, 11, 1),
    need="redis",
    parameters={"host": "127.0.0.1"},
    score=Score(
        (
            ScorePart("origin", 0.0, 40, "nothing proves who publishes it"),
            ScorePart("downloads", 15.4, 25, "5,000 downloads a week"),
            ScorePart("updated", 20.0, 20, "updated this month"),
            ScorePart("match", 15.0, 15, "covers redis"),
        )
    ),
)
OFFICIAL = replace(CANDIDATE, origin=Origin.OFFICIAL, origin_evidence="the vendor's namespace")
REMOTE = replace(
    CANDIDATE,
    id="remote:https://mcp.example/mcp",
    package=Package(PackageKind.HTTP, "https://mcp.example/mcp"),
    weekly_downloads=None,
)
PLAN = LaunchPlan(
    server="redis",
    candidate_id=CANDIDATE.id,
    package=NPM,
    command=("npx", "-y", "@example/redis-mcp@1.2.3", "--host", "127.0.0.1"),
    arguments=("--host", "127.0.0.1"),
    environment={"REDIS_DB": "0"},
    secrets={"REDIS_PWD": "env:REDIS_PWD"},
)
