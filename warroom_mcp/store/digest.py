"""The fingerprint that an approval is bound to."""

import hashlib
import json

from warroom_mcp.models import LaunchPlan
from warroom_mcp.store.plain import plain


def digest(plan: LaunchPlan) -> str:
    """`sha256:` and the hash of everything in a plan: another name, word, version or value is another digest.

    The hash is taken over JSON with sorted keys and ASCII escapes, so that the order in which
    variables were given does not matter and every string has one form.
    """
    canonical = json.dumps(plain(plan), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(canonical.encode("ascii")).hexdigest()
