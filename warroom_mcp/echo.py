"""How an error repeats what it was given: quoted, short, and without secrets.

A model may put the problem, with the password in it, in the place of any name.
"""


def echoed(given: str, limit: int = 100) -> str:
    """`given` in quotes, at most `limit` characters of it, its secrets taken out."""
    # Imported late: only an error needs it, and no start has the time.
    from warroom_mcp.redaction import redact

    clean = redact(given).text
    return repr(clean if len(clean) <= limit else clean[: limit - 3] + "...")
