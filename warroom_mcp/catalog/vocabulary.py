"""Words: how texts are cut into them, and other names of the same technology."""

import re
from collections.abc import Iterable

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_PUNCTUATED = {"c++": "cpp", "c#": "csharp", ".net": "dotnet", "node.js": "nodejs", "next.js": "nextjs"}

# Words that every MCP server's name and description may have: they tell nothing apart.
COMMON_WORDS = frozenset(
    {"a", "ai", "an", "and", "api", "as", "assistant", "assistants", "by", "client", "clients", "context"}
    | {"for", "from", "in", "integration", "is", "it", "llm", "llms", "mcp", "model", "modelcontextprotocol"}
    | {"of", "on", "or", "protocol", "server", "servers", "service", "that", "the", "this", "to", "tool"}
    | {"tools", "using", "via", "with", "your"}
)

# Names that stand for the same thing in package names; the first of a row is only the usual one.
_ROWS = (
    "postgresql postgres pg psql",
    "kubernetes k8s kube kubectl",
    "mongodb mongo",
    "elasticsearch elastic",
    "mssql sqlserver sql-server",
    "google-cloud gcp gcloud",
    "aws amazon-web-services",
    "rabbitmq amqp",
    "mysql mariadb",
    "filesystem file-system",
    "github gh",
)
_ALIASES: dict[str, tuple[str, ...]] = {}
for _row in _ROWS:
    for _name in _row.split():
        _ALIASES[_name] = tuple(other for other in _row.split() if other != _name)


def phrase(text: str) -> str:
    """The text as lower-case words with single spaces, so that phrases can be looked for in it."""
    lowered = text
    for written, word in _PUNCTUATED.items():
        if written in lowered.lower():
            lowered = re.sub(re.escape(written), f" {word} ", lowered, flags=re.IGNORECASE)
    return " ".join(_WORD.findall(_CAMEL.sub(" ", lowered).lower()))


def words(texts: Iterable[str]) -> frozenset[str]:
    """The telling words of some texts; a plural also stands for its singular."""
    found = {word for text in texts for word in phrase(text).split()} - COMMON_WORDS
    return frozenset(found | {_singular(word) for word in found})


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def names_of(technology: str) -> tuple[str, ...]:
    """The technology's name and its other names, as phrases, the given one first."""
    key = technology.lower().strip()
    rows = (key, *_ALIASES.get(key, _ALIASES.get(key.replace(" ", "-"), ())))
    return tuple(dict.fromkeys(phrase(name) for name in rows if phrase(name)))
