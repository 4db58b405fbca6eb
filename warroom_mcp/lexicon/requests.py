"""What a request in plain words asks for: its own words, and the steps that the files it names imply.

"Write a report to /srv/out/report.pptx" says nothing of slides, and asks for them: who names a file
means what is done with files of its kind, to write it where something is to be made, else to read it.
"""

import re

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+", re.IGNORECASE)
_ENDINGS = (
    "pptx?|odp|docx?|odt|xlsx?|ods|csv|pdf|md|txt|html?|json|ya?ml|xml|log|png|jpe?g|gif|svg|webp|mp3|wav|mp4"
    "|py|js|ts"
)
_FILE = re.compile(
    r"(?:(?<=\s)|(?<=[\"'`(])|^)(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w.\-]+)+[/\\]?"
    rf"|(?<![\w/.])[\w\-]{{1,80}}\.(?:{_ENDINGS})\b",
    re.IGNORECASE,
)
_ENDING = re.compile(r"\.([A-Za-z0-9]{1,5})$")
# How far before a file a word for making it may stand.
_REACH = 160
_MAKES = re.compile(
    r"\b(?:sav|writ|stor|export|output|draft|generat|creat|mak|made|put|record|produc|compil|titl|nam|convert)"
    r"(?:e|es|ed|ing|ten|d)?\b|저장|작성|만들|생성|保存|作成|書き|生成|写入|创建|guard|crea|escrib|salv|speicher"
    r"|erstell|schreib|enregistr|écri|crée",
    re.IGNORECASE,
)
# By the ending of a file: what writing one is called, and what reading one is.
_STEPS = (
    (("ppt", "pptx", "odp"), "create presentation", "read presentation slide text"),
    (("doc", "docx", "odt"), "create word document", "read word document text"),
    (("xls", "xlsx", "ods", "csv"), "write excel sheet data", "read excel sheet data"),
    (("pdf",), "convert document to pdf", "read pdf text"),
    (("png", "jpg", "jpeg", "gif", "svg", "webp"), "create image", "read image"),
    (("mp3", "wav"), "create audio", "read audio"),
    (("mp4",), "create video", "read video"),
)
_BY_ENDING = {ending: (write, read) for endings, write, read in _STEPS for ending in endings}
# Kinds of files that are made without being named.
_KINDS = (
    (re.compile(r"\b(?:ppt|pptx|slides?|powerpoint|presentation)\b", re.IGNORECASE), "create presentation"),
    (re.compile(r"\b(?:docx?|word (?:document|file))\b", re.IGNORECASE), "create word document"),
    (
        re.compile(
            r"\b(?:to|in|into|at|as) (?:the |a |its |this |that )?(?:path|file|disk|markdown)\b",
            re.IGNORECASE,
        ),
        "write file",
    ),
)
_DOES = (
    "save|write|create|generate|find|get|give|show|list|make|draw|tell|include|summari[sz]e|compare|analy[sz]e"
    "|search|recommend|help|store|put|send|check|read"
)
_BETWEEN = re.compile(
    rf"(?<=[.!?;])\s+|,\s+(?:and|then)\s+|;\s*|\bthen\b"
    rf"|,\s*(?=(?:and )?(?:{_DOES})\b)|\band\s+(?=(?:{_DOES})\b)",
    re.IGNORECASE,
)
_LONGEST = 4_000


def own_words(request: str) -> str:
    """The request without its addresses, and with each file told as what it is."""
    text = _ADDRESS.sub(" url ", request[:_LONGEST])
    return _FILE.sub(lambda match: f" file {_ending(match[0]) or 'folder'} ", text)


def implied_steps(request: str) -> tuple[str, ...]:
    """The steps that the files of a request imply, in words, each once."""
    text = _ADDRESS.sub(" ", request[:_LONGEST])
    steps: dict[str, None] = {}
    for match in _FILE.finditer(text):
        makes = _MAKES.search(text, max(0, match.start() - _REACH), match.start()) is not None
        steps[_step(_ending(match[0]), makes=makes)] = None
    if not steps and _MAKES.search(text):
        steps.update((step, None) for kind, step in _KINDS if kind.search(text))
    return tuple(steps)


def clauses(request: str) -> tuple[str, ...]:
    """The parts of a request that ask for something each; none for a request of a single part."""
    parts = [part.strip() for part in _BETWEEN.split(own_words(request))]
    telling = tuple(part for part in parts if len(part.split()) > 1)
    return telling if len(telling) > 1 else ()


def _ending(path: str) -> str:
    found = _ENDING.search(path.rstrip("."))
    return found[1].lower() if found else ""


def _step(ending: str, *, makes: bool) -> str:
    if ending in _BY_ENDING:
        return _BY_ENDING[ending][0 if makes else 1]
    if makes:
        return "write file"
    return "read file" if ending else "list directory"
