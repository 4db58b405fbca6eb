"""The values that travel between the rooms of the house: frozen, plain, without input or output.

One word per idea, as in the glossary: problem, signal, need, candidate, package, decision, approval,
child, usage. Standard library only, so that importing them costs next to nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

# --- the problem -------------------------------------------------------------------------------


class Severity(StrEnum):
    """How bad the problem is, read from the text."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class ProblemKind(StrEnum):
    """What a problem is: something that failed, something that is asked for, or nothing for a server."""

    FAILURE = "failure"
    REQUEST = "request"
    NOTHING = "nothing"


class SignalKind(StrEnum):
    """What a piece of evidence stands for."""

    TECHNOLOGY = "technology"
    ERROR_CODE = "error_code"
    HOST = "host"
    PORT = "port"
    URL = "url"
    PATH = "path"
    DATABASE = "database"
    USER = "user"
    CONTAINER = "container"
    NAMESPACE = "namespace"
    BUCKET = "bucket"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters in the redacted problem text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Signal:
    """One piece of evidence: what it says, where it stands, how much it weighs (0..1)."""

    kind: SignalKind
    value: str
    span: Span
    evidence: str
    weight: float = 1.0
    technology: str | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What the problem calls for: a technology, what to do with it, and where it runs.

    `parameters` holds non-secret values found in the text, by parameter name: host, port, database,
    user, container, namespace, bucket, region, url, path. `confidence` is 0..1.
    """

    technology: str
    capabilities: tuple[str, ...]
    confidence: float
    parameters: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What the catalog is to be asked.

    Keywords for exact matching, free-text queries for registries, and requests in plain words, whose words
    are looked for in what servers say of themselves.
    """

    keywords: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """A problem, read. `text` is the redacted text that all spans point into.

    `why_nothing` says why no server is needed, where the kind says so; `notes` what else is to be known of
    how the text was read.
    """

    problem_id: str
    text: str
    signals: tuple[Signal, ...]
    needs: tuple[Need, ...]
    keywords: tuple[str, ...]
    severity: Severity
    plan: SearchPlan
    redactions: int = 0
    kind: ProblemKind = ProblemKind.FAILURE
    why_nothing: str = ""
    notes: tuple[str, ...] = ()


# --- the catalog -------------------------------------------------------------------------------


class PackageKind(StrEnum):
    """How a candidate is started."""

    NPM = "npm"
    PYPI = "pypi"
    OCI = "oci"
    HTTP = "streamable-http"
    SSE = "sse"
    SOURCE = "source"
    """Only where its source is, or its list, is known: nothing to start."""


class InputPlace(StrEnum):
    """Where a server takes an input."""

    ENV = "env"
    ARGUMENT = "argument"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class PackageInput:
    """One value that a server can be given.

    `name` is the variable, header, or option (`--host`; empty for a positional argument).
    `template` builds the value from problem parameters, as in `redis://{host}:{port}`; it applies
    when every parameter in it is known. Order of precedence: a person's value, the template, the
    default. A secret is only ever handed over as a reference (`env:NAME`, `keyring:NAME`).
    """

    name: str
    place: InputPlace = InputPlace.ENV
    description: str = ""
    required: bool = False
    secret: bool = False
    default: str | None = None
    template: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """Something that can be started: a package of a registry, an image, or a remote address.

    `identifier` is the package name, image reference, or URL. `version` is exact or None (not
    resolved yet); never a range. `integrity` is the registry's digest (`sha512-...` of an npm
    tarball, `sha256:...` of a wheel or image). `arguments` are fixed and come before the inputs.
    `executable` names the entry to start when the package has several.
    """

    kind: PackageKind
    identifier: str
    version: str | None = None
    integrity: str | None = None
    arguments: tuple[str, ...] = ()
    inputs: tuple[PackageInput, ...] = ()
    executable: str | None = None

    @property
    def remote(self) -> bool:
        """Whether the server runs elsewhere and only an address is needed."""
        return self.kind in (PackageKind.HTTP, PackageKind.SSE)


class Origin(StrEnum):
    """Who stands behind a server, as far as it is proven."""

    OFFICIAL = "official"
    KNOWN_PUBLISHER = "known_publisher"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One part of the score, with the reason in words."""

    name: str
    points: float
    maximum: int
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """The four-part score: origin 40, downloads 25, last updated 20, capability match 15."""

    parts: tuple[ScorePart, ...] = ()

    @property
    def total(self) -> int:
        """The sum of the parts, rounded, 0..100."""
        return round(sum(part.points for part in self.parts))


class TrustLevel(StrEnum):
    """How far a candidate is trusted before a person looks at it."""

    OFFICIAL = "official"
    VERIFIED = "verified"
    COMMUNITY = "community"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server found, with everything known of it.

    `id` is `npm:NAME`, `pypi:NAME`, `oci:REFERENCE`, `remote:URL`, or `listed:ID` for what only a list
    knows. `weekly_downloads` is None when unknown, which is not 0. `deprecated` is the reason, `heir` the
    candidate id that replaces it. `unconfirmed` says why it is only a claim that its package is this
    server, or that there is none; such a candidate is not started. `listed_as` is its id in the source that
    it was found in. `parameters` are the problem's values that would fill the package's inputs.
    `relevance` is 0..1.
    """

    id: str
    name: str
    description: str
    package: Package
    title: str = ""
    technologies: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    origin: Origin = Origin.UNPROVEN
    origin_evidence: str = ""
    repository: str | None = None
    weekly_downloads: int | None = None
    updated: date | None = None
    deprecated: str | None = None
    heir: str | None = None
    unconfirmed: str = ""
    listed_as: str = ""
    tools: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    need: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    relevance: float = 0.0
    score: Score = field(default_factory=Score)


class SourceState(StrEnum):
    """How a source answered."""

    OK = "ok"
    STALE = "stale"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source contributed: its state, why if not ok, a cached answer's age in seconds."""

    name: str
    state: SourceState
    found: int = 0
    reason: str | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class FindResult:
    """Ranked candidates, and what became of every source that was asked.

    `cover` is the smallest set of them that covers all needs, by id, each with the needs that it covers;
    `uncovered` are the needs that none covers.
    """

    candidates: tuple[Candidate, ...]
    sources: tuple[SourceReport, ...]
    cover: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    uncovered: tuple[str, ...] = ()


# --- trust -------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What policy says."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Approver(StrEnum):
    """Who may answer a question: anyone in front of the host, or an administrator outside of the chat."""

    PERSON = "person"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Decision:
    """Policy's answer for one candidate, with the reason in words."""

    verdict: Verdict
    level: TrustLevel
    reason: str
    approver: Approver = Approver.PERSON
    remember: bool = False
    auto_approve_refused: str | None = None


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Exactly what would be started, as shown to a person: nothing is added to it afterwards.

    `command` is the whole argument vector in its portable form (`npx -y name@1.2.3 ...`,
    `uvx --from name==1.2.3 executable ...`), or empty for a remote. `environment` and `headers` hold
    plain values; `secrets` maps a variable or header name to a reference.
    """

    server: str
    candidate_id: str
    package: Package
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


class TicketState(StrEnum):
    """Where a question to a person stands. An approval is used up by the addition it was given for."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One question to a person, bound to the digest of exactly what was shown.

    `card` is what the person sees, line by line. `answered_by` says how the answer came: elicitation,
    terminal, command line, policy.
    """

    id: str
    digest: str
    plan: LaunchPlan
    level: TrustLevel
    approver: Approver
    card: tuple[str, ...]
    why: str
    created: datetime
    state: TicketState = TicketState.PENDING
    answered_by: str | None = None
    answered: datetime | None = None


# --- children ----------------------------------------------------------------------------------


class ChildState(StrEnum):
    """What a child is doing. Asleep children wake at their first use."""

    ASLEEP = "asleep"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    UNAPPROVED = "unapproved"


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a child offers, raw as it listed it: JSON objects with every field kept."""

    tools: tuple[Mapping[str, Any], ...] = ()
    prompts: tuple[Mapping[str, Any], ...] = ()
    resources: tuple[Mapping[str, Any], ...] = ()
    templates: tuple[Mapping[str, Any], ...] = ()
    instructions: str | None = None
    protocol_version: str | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Speech:
    """How a host speaks: of which era, and what a server may ask of it (its declared capabilities)."""

    modern: bool = False
    capabilities: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddedServer:
    """Desired state: a server that a person approved, as it stands in the config file.

    `approved` is the digest that the approval was given for; a plan that hashes to another digest is
    not started.
    """

    plan: LaunchPlan
    approved: str
    approved_by: str
    added: datetime

    @property
    def name(self) -> str:
        """The server's name, which prefixes its tools."""
        return self.plan.server


@dataclass(frozen=True, slots=True)
class ToolUsage:
    """How often one tool was called and how it went; `seconds` is the total time spent."""

    server: str
    tool: str
    calls: int = 0
    errors: int = 0
    seconds: float = 0.0
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server as `list_servers` shows it: never a state without its reason and next step."""

    name: str
    candidate_id: str
    state: ChildState
    reason: str
    next_step: str
    version: str | None
    approved_by: str
    added: datetime
    tools: tuple[str, ...]
    usage: tuple[ToolUsage, ...] = ()
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing that `optimize` would do to a server, and what it saves."""

    server: str
    action: str
    reason: str
    tokens_saved: int = 0
    memory_saved: int = 0
