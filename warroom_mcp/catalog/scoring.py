"""The four-part score: pure functions of a candidate and today's date, each part told in words.

Unknown is told as unknown. It gives no points, because nothing speaks for the candidate there, but it is
never told as zero.
"""

import math
from datetime import date, timedelta

from warroom_mcp.models import Candidate, Origin, Score, ScorePart

ORIGIN, DOWNLOADS, UPDATED, MATCH = 40, 25, 20, 15
_KNOWN_PUBLISHER = 20
# Weekly downloads that give all points; the scale is logarithmic from 0.
FULL_DOWNLOADS = 1_000_000
# Months (of 30.4375 days) up to which a release is recent, and from which it is old.
RECENT, OLD = 6.0, 24.0
_MONTH = 30.4375
# Registries date by their own zones; a date later than this is wrong, not recent.
_TOLERANCE = timedelta(days=2)


def score(candidate: Candidate, *, today: date) -> Score:
    """The score of a candidate whose `relevance` is set."""
    return Score(
        (
            _origin(candidate),
            _downloads(candidate.weekly_downloads),
            _updated(candidate.updated, today),
            _match(candidate),
        )
    )


def _origin(candidate: Candidate) -> ScorePart:
    evidence = f": {candidate.origin_evidence}" if candidate.origin_evidence else ""
    match candidate.origin:
        case Origin.OFFICIAL:
            return ScorePart("origin", float(ORIGIN), ORIGIN, f"official{evidence}")
        case Origin.KNOWN_PUBLISHER:
            return ScorePart("origin", float(_KNOWN_PUBLISHER), ORIGIN, f"known publisher{evidence}")
        case Origin.UNPROVEN:
            return ScorePart("origin", 0.0, ORIGIN, f"community, nothing proves who publishes it{evidence}")


def _downloads(weekly: int | None) -> ScorePart:
    if weekly is None:
        return ScorePart("downloads", 0.0, DOWNLOADS, "downloads unknown: no source told them")
    share = math.log1p(max(0, weekly)) / math.log1p(FULL_DOWNLOADS)
    why = "1 download a week" if weekly == 1 else f"{weekly:,} downloads a week"
    return ScorePart("downloads", DOWNLOADS * min(1.0, share), DOWNLOADS, why)


def _updated(updated: date | None, today: date) -> ScorePart:
    if updated is None:
        return ScorePart("updated", 0.0, UPDATED, "last update unknown: no source told it")
    if updated > today + _TOLERANCE:
        return ScorePart("updated", 0.0, UPDATED, f"last update unknown: {updated} lies in the future")
    months = max(0.0, (today - updated).days / _MONTH)
    share = min(1.0, max(0.0, (OLD - months) / (OLD - RECENT)))
    return ScorePart("updated", UPDATED * share, UPDATED, f"last updated {updated}, {_ago(months)}")


def _ago(months: float) -> str:
    if months < 1:
        return "less than a month ago"
    whole = int(months)
    return "1 month ago" if whole == 1 else f"{whole} months ago"


def _match(candidate: Candidate) -> ScorePart:
    relevance = min(1.0, max(0.0, candidate.relevance))
    if candidate.need is None and not relevance:
        return ScorePart("match", 0.0, MATCH, "asked for by its id, so there is no need to compare it with")
    why = f"covers {relevance:.0%} of {candidate.need or 'the search'}"
    return ScorePart("match", MATCH * relevance, MATCH, why)
