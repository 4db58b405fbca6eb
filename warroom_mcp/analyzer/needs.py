"""From evidence to needs: how sure, in which order, and with which parameters."""

import re
from collections.abc import Iterable, Mapping, Sequence

from warroom_mcp.analyzer.parameters import Found, Place
from warroom_mcp.analyzer.patterns import Library
from warroom_mcp.analyzer.signals import Hit
from warroom_mcp.analyzer.subject import Subject
from warroom_mcp.knowledge import Kind, Role, Technology
from warroom_mcp.models import Need, ProblemKind, Span

# From here on a technology is a need: one name, error or frame is enough, two weak phrases are not.
THRESHOLD = 0.55
# In a request a thing of the trade is enough, for people do not name what they take for granted.
ASKED = 0.45
_NOT_THERE = re.compile(r"[\"'`]?\s{0,3}(?:does ?n[o']t exist|does not exist|was not found|not found)")
_UNKNOWN = re.compile(r"\bunknown (?:user|database)\s{0,3}[\"'`]?\Z")
# Each further place of the same piece of evidence counts this share of the one before.
_REPEAT = 0.3
# What a technology keeps for each piece of evidence against it.
_AGAINST = 0.4
# What a cause gains, and what the symptoms around it keep.
_ROOT_DOUBT, _SYMPTOM_SHARE = 0.4, 0.8
# What says, at full weight, that a runtime itself is meant and not merely that a program is written in it.
_SPEAKS_OF_RUNTIME = frozenset({Kind.NAME, Kind.WORD, Kind.ERROR, Kind.EXCEPTION})
_OWN_TRACES = frozenset({Kind.NAME, Kind.ERROR, Kind.CODE, Kind.EXCEPTION, Kind.FRAME, Kind.TASK})
_FULL_WEIGHT = 0.7
_SPOKEN_OF = frozenset({Kind.THING, Kind.TASK})
# What the things of an unnamed technology keep beside a named one.
_UNNAMED = 0.8
# From here on a technology surely takes part, and what it runs on comes after it.
_USES = 0.75
# Parameters further away than this many lines are about something else.
_MAX_LINES_AWAY = 3
_MAX_EVIDENCE = 8


def confidences(hits: Iterable[Hit]) -> dict[str, float]:
    """How likely each technology is, 0..1: noisy-or over its evidence, repeats counting less and less.

    Each piece of evidence against a technology takes a share of what is left.
    """
    doubts: dict[str, float] = {}
    against: dict[str, set[str]] = {}
    repeats: dict[tuple[str, Kind, str], int] = {}
    for hit in sorted(hits, key=lambda each: -each.weight):
        if hit.kind is Kind.AGAINST:
            against.setdefault(hit.technology, set()).add(hit.key)
            continue
        piece = (hit.technology, hit.kind, hit.key)
        times = repeats.get(piece, 0)
        repeats[piece] = times + 1
        doubts[hit.technology] = doubts.get(hit.technology, 1.0) * (1 - hit.weight * _REPEAT**times)
    return {
        technology: (1 - doubt) * _AGAINST ** len(against.get(technology, ()))
        for technology, doubt in doubts.items()
    }


def rank(
    hits: Sequence[Hit], root: tuple[int, int] | None, library: Library, kind: ProblemKind
) -> list[tuple[str, float]]:
    """The technologies that the problem is about with their confidence, best first."""
    sure = _weigh_root(confidences(hits), hits, root, library)
    sure = _behind_what_is_named(sure, hits)
    asked = {hit.technology for hit in hits if hit.kind in (Kind.THING, Kind.TASK)}
    chosen = {
        name: value
        for name, value in sure.items()
        if value >= (ASKED if name in asked and kind is ProblemKind.REQUEST else THRESHOLD)
    }
    chosen = _without_mere_runtimes(chosen, hits, library)
    chosen = _without_mere_tasks(chosen, hits, library, kind)
    first = {hit.technology: hit.start for hit in reversed(hits)}
    chosen = _behind_what_uses_them(chosen, library)
    return sorted(
        chosen.items(),
        key=lambda item: (
            -round(item[1], 3),
            library.is_a(item[0], Role.LAYER, Role.RUNTIME),
            first[item[0]],
            item[0],
        ),
    )


def _behind_what_is_named(sure: Mapping[str, float], hits: Sequence[Hit]) -> dict[str, float]:
    """Where something is called by its name, what only handles things that are spoken of comes after it."""
    kinds: dict[str, set[Kind]] = {}
    for hit in hits:
        if hit.weight >= _FULL_WEIGHT or hit.kind in _SPOKEN_OF:
            kinds.setdefault(hit.technology, set()).add(hit.kind)
    if not any(Kind.NAME in each for each in kinds.values()):
        return dict(sure)
    return {
        name: value * _UNNAMED if kinds.get(name, set()) <= _SPOKEN_OF else value
        for name, value in sure.items()
    }


def _behind_what_uses_them(chosen: Mapping[str, float], library: Library) -> dict[str, float]:
    """Layers and runtimes are no surer than the least sure technology that surely uses them."""
    below = {name for name in chosen if library.is_a(name, Role.LAYER, Role.RUNTIME)}
    users = (value for name, value in chosen.items() if name not in below and value >= _USES)
    highest = min(users, default=1.0)
    return {name: min(value, highest) if name in below else value for name, value in chosen.items()}


def _weigh_root(
    sure: dict[str, float], hits: Sequence[Hit], root: tuple[int, int] | None, library: Library
) -> dict[str, float]:
    if root is None:
        return sure
    inside = confidences(hit for hit in hits if root[0] <= hit.start < root[1])
    causes = {
        name for name, value in inside.items() if value >= THRESHOLD and not library.is_a(name, Role.RUNTIME)
    }
    if not causes:
        return sure
    return {
        name: 1 - (1 - value) * _ROOT_DOUBT if name in causes else value * _SYMPTOM_SHARE
        for name, value in sure.items()
    }


def _without_mere_runtimes(
    chosen: Mapping[str, float], hits: Sequence[Hit], library: Library
) -> dict[str, float]:
    """Runtimes stay when nothing else is known, or when an error is the runtime's own."""
    others = [value for name, value in chosen.items() if not library.is_a(name, Role.RUNTIME)]
    kept: dict[str, float] = {}
    for name, value in chosen.items():
        kinds = {hit.kind for hit in hits if hit.technology == name and hit.weight >= _FULL_WEIGHT}
        own = kinds & {Kind.ERROR, Kind.EXCEPTION, Kind.TASK}
        if not library.is_a(name, Role.RUNTIME) or own or (not others and kinds & _SPEAKS_OF_RUNTIME):
            kept[name] = value
    return kept


def _without_mere_tasks(
    chosen: Mapping[str, float], hits: Sequence[Hit], library: Library, kind: ProblemKind
) -> dict[str, float]:
    """What a failure only mentions is no task; its own error text makes it one."""
    if kind is not ProblemKind.FAILURE or all(library.is_a(name, Role.TASK) for name in chosen):
        return dict(chosen)
    strong = {hit.technology for hit in hits if hit.kind in _OWN_TRACES and hit.weight >= _FULL_WEIGHT}
    return {
        name: value for name, value in chosen.items() if not library.is_a(name, Role.TASK) or name in strong
    }


def build(
    ranked: Sequence[tuple[str, float]],
    hits: Sequence[Hit],
    places: Sequence[Place],
    subject: Subject,
    library: Library,
) -> tuple[tuple[Need, ...], dict[Place, str]]:
    """The needs in the order of `ranked`, and which technology each used place belongs to."""
    wanted = [library.technologies[name] for name, _ in ranked]
    assigned = _Assignment(wanted, hits, subject, library)
    owners = {place: owner for place in places if (owner := assigned.owner(place)) is not None}
    needs = tuple(
        Need(
            technology=technology.name,
            capabilities=technology.capabilities,
            confidence=round(confidence, 3),
            parameters=assigned.parameters(technology, assigned.places_of(technology, owners)),
            evidence=_evidence(hits, technology.name),
        )
        for technology, (_, confidence) in zip(wanted, ranked, strict=True)
    )
    return needs, owners


def _evidence(hits: Sequence[Hit], technology: str) -> tuple[Span, ...]:
    own = [hit for hit in hits if hit.technology == technology]
    best = sorted(own, key=lambda hit: (-hit.weight, hit.start))[:_MAX_EVIDENCE]
    return tuple(Span(hit.start, hit.end) for hit in sorted(best, key=lambda hit: hit.start))


class _Assignment:
    """Gives places to technologies: by scheme, by the technology's own port, else to the nearest."""

    def __init__(
        self, wanted: Sequence[Technology], hits: Sequence[Hit], subject: Subject, library: Library
    ) -> None:
        self._wanted = wanted
        self._subject = subject
        self._library = library
        self._hits: dict[str, list[Hit]] = {technology.name: [] for technology in wanted}
        for hit in hits:
            if hit.technology in self._hits:
                self._hits[hit.technology].append(hit)

    def owner(self, place: Place) -> str | None:
        """The technology that the place belongs to, if any."""
        able = [t for t in self._wanted if any(name in t.parameters for name in place.values)]
        if (scheme := self._scheme_owner(place)) is not None:
            return scheme if scheme in {technology.name for technology in able} else None
        if own := [technology for technology in able if self._own_port(technology, place)]:
            able = own
        elif place.values.get("port") is not None:
            # A port that belongs to another technology of this problem is not anyone else's.
            able = [] if any(self._own_port(each, place) for each in self._wanted) else able
        near = min(((self._distance(each.name, place), each.name) for each in able), default=None)
        if near is None or (near[0][0] > _MAX_LINES_AWAY and not own):
            return None
        return near[1]

    def places_of(self, technology: Technology, owners: Mapping[Place, str]) -> list[Place]:
        """The places it owns; without a host among them also those on its lines that nobody surely owns.

        The host in "redis: getaddrinfo ENOTFOUND cache" is that of Redis, and DNS is asked for it.
        """
        own = [place for place, owner in owners.items() if owner == technology.name]
        if any("host" in place.values for place in own):
            return own
        return own + [
            place
            for place, owner in owners.items()
            if self._library.is_a(owner, Role.LAYER)
            and place.scheme is None
            and self._distance(technology.name, place)[0] == 0
        ]

    def _scheme_owner(self, place: Place) -> str | None:
        if place.scheme is None:
            return None
        scheme = place.scheme.partition("+")[0]
        return self._library.spoken.get(scheme) or self._library.spoken.get(scheme.removesuffix("s"))

    def _own_port(self, technology: Technology, place: Place) -> bool:
        port = place.values.get("port")
        return port is not None and int(port.value) in technology.ports

    def _distance(self, technology: str, place: Place) -> tuple[int, int]:
        """How many lines and characters away the nearest evidence is."""
        characters, hit = min(
            ((max(hit.start - place.end, place.start - hit.end, 0), hit) for hit in self._hits[technology]),
            key=lambda pair: pair[0],
        )
        first, last = min(hit.end, place.end), max(hit.start, place.start)
        return self._subject.lowered.count("\n", first, last), characters

    def parameters(self, technology: Technology, places: Sequence[Place]) -> dict[str, str]:
        """The values of the places, best first, as far as the technology lists them."""
        values: dict[str, str] = {}
        endpoint: Place | None = None
        for place in sorted(places, key=lambda each: self._worth(technology, each)):
            for name, found in place.values.items():
                if name in values or name not in technology.parameters or self._lacks(name, found):
                    continue
                if name in ("host", "port"):
                    if endpoint is not None and not self._together(endpoint, place):
                        continue
                    endpoint = endpoint or place
                values[name] = found.value
        return {name: values[name] for name in technology.parameters if name in values}

    def _lacks(self, name: str, found: Found) -> bool:
        """Whether the text says that this user or database is not there: no server can connect with it."""
        if name not in ("user", "database"):
            return False
        after = self._subject.lowered[found.end : found.end + 40]
        before = self._subject.lowered[max(0, found.start - 40) : found.start]
        return bool(_NOT_THERE.match(after) or _UNKNOWN.search(before))

    def _worth(self, technology: Technology, place: Place) -> tuple[int, int, int, int]:
        rank = 2 - (place.scheme is not None) - self._own_port(technology, place)
        halves = ("host" in place.values) + ("port" in place.values)
        return rank, *self._distance(technology.name, place), -halves

    def _together(self, one: Place, other: Place) -> bool:
        """Whether the host and the port of two places may be combined."""
        if one is other:
            return True
        hosts = {place.values["host"].value for place in (one, other) if "host" in place.values}
        if len(hosts) != 1:
            return False
        first, second = sorted((one, other), key=lambda place: place.start)
        between = self._subject.lowered[first.end : second.start]
        same_host = "host" in one.values and "host" in other.values
        return same_host or (len(between) <= 80 and "\n" not in between)
