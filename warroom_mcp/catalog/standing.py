"""What a candidate is worth without regard to a need: a pure function of its facts and today's date.

The rule. The score's parts for origin, downloads and last update count 0.55 together, that it can be
started here counts 0.3, and that its tools are known, because somebody has started it, 0.15. What is
deprecated comes after what is not, however it stands.
"""

from datetime import date

from warroom_mcp.catalog.scoring import DOWNLOADS, ORIGIN, UPDATED, score
from warroom_mcp.listing import RELEVANCE, STANDING
from warroom_mcp.models import Candidate

_FACTS, _STARTS, _SEEN = 0.55, 0.3, 0.15


def standing(candidate: Candidate, *, today: date) -> float:
    """The standing of a candidate, 0..1."""
    parts = score(candidate, today=today).parts[:3]
    facts = sum(part.points for part in parts) / (ORIGIN + DOWNLOADS + UPDATED)
    starts = 0.0 if candidate.unconfirmed else _STARTS
    return round(_FACTS * facts + starts + (_SEEN if candidate.tools else 0.0), 4)


def order(candidate: Candidate, *, today: date) -> tuple[bool, float, str]:
    """The sort key of a candidate whose `relevance` is set: live before deprecated, the best first."""
    worth = RELEVANCE * candidate.relevance + STANDING * standing(candidate, today=today)
    return bool(candidate.deprecated), -round(worth, 6), candidate.id
