"""What the catalog is asked: keywords, and queries from the surest to the vaguest."""

from collections.abc import Sequence

from warroom_mcp.analyzer.subject import BLANK, Subject
from warroom_mcp.models import Need, ProblemKind, SearchPlan

MAX_QUERIES = 6

# Words for what one does with a technology, and how people write them; no everyday words among them.
_GENERIC: dict[str, tuple[str, ...]] = {
    "database": (
        "database", "databases", "db", "데이터베이스", "디비", "数据库", "資料庫", "データベース",
        "datenbank", "base de datos", "base de données", "banco de dados", "базе данных",
        "база данных",
    ),
    "cache": ("cache", "caching", "캐시", "缓存", "キャッシュ", "кэш"),
    "queue": ("message queue", "queue", "queues", "message broker", "메시지 큐", "消息队列", "キュー"),
    "container": (
        "container", "containers", "컨테이너", "容器", "コンテナ", "contenedor", "conteneur",
        "контейнер",
    ),
    "cluster": ("cluster", "clusters", "클러스터", "集群", "クラスタ"),
    "deployment": ("deployment", "deployments", "rollout", "배포", "部署", "デプロイ"),
    "browser": (
        "browser", "headless browser", "브라우저", "浏览器", "ブラウザ", "navegador", "navigateur",
    ),
    "email": ("email", "e-mail", "smtp", "imap", "이메일", "邮件", "メール"),
    "calendar": ("calendar", "캘린더", "日历", "カレンダー", "kalender", "calendario"),
    "dns": ("dns", "nameserver"),
    "tls": (
        "tls", "ssl certificate", "certificate", "certificates", "인증서", "证书", "証明書",
        "zertifikat",
    ),
    "storage": ("object storage", "blob storage", "storage bucket"),
    "logs": ("log aggregation", "logs of", "application logs"),
    "metrics": ("metrics", "메트릭", "指标"),
    "monitoring": ("monitoring", "모니터링", "监控", "監視"),
    "tracing": ("distributed tracing", "traces of"),
    "payment": ("payment", "payments", "결제", "支付", "決済", "zahlung"),
    "pipeline": (
        "ci pipeline", "pipeline", "build pipeline", "ci/cd", "파이프라인", "流水线", "パイプライン",
    ),
    "spreadsheet": ("spreadsheet", "spreadsheets", "스프레드시트", "电子表格", "スプレッドシート"),
    "search": ("full-text search", "search index", "search engine"),
    "vector": ("vector database", "vector store", "embeddings"),
    "load-balancer": ("load balancer", "로드밸런서", "负载均衡", "ロードバランサ"),
}  # fmt: skip


def generic_words(subject: Subject) -> tuple[str, ...]:
    """The capability words that the text uses, in the order of their first use."""
    found: dict[str, int] = {}
    for word, written in _GENERIC.items():
        places = [at for each in written if (at := _find_word(subject.lowered, each)) >= 0]
        if places:
            found[word] = min(places)
    return tuple(sorted(found, key=lambda word: (found[word], word)))


def _find_word(lowered: str, word: str) -> int:
    at = lowered.find(word)
    while at >= 0:
        end = at + len(word)
        if not (word.isascii() and (_runs_on(lowered[at - 1 : at]) or _runs_on(lowered[end : end + 1]))):
            return at
        at = lowered.find(word, end)
    return -1


def _runs_on(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in ("_", "-", ".", "/"))


def keywords(needs: Sequence[Need], generic: Sequence[str]) -> tuple[str, ...]:
    """Technology names first, then what one does with them, then the text's own capability words."""
    words = [need.technology for need in needs]
    words += [capability for need in needs for capability in need.capabilities]
    return tuple(dict.fromkeys([*words, *generic]))


# A request longer than this is a text with a request in it: its beginning and its end say what is asked.
_REQUEST = 1_200


def requests_of(subject: Subject, kind: ProblemKind, needs: Sequence[Need]) -> tuple[str, ...]:
    """What to look for by its words: a request itself, and a failure that no technology is known for."""
    if kind is ProblemKind.NOTHING or (kind is ProblemKind.FAILURE and needs):
        return ()
    text = subject.masked.replace(BLANK, " ").strip()
    if len(text) > _REQUEST:
        text = f"{text[: _REQUEST // 2]} {text[-_REQUEST // 2 :]}"
    return (text,) if text else ()


def search_plan(needs: Sequence[Need], generic: Sequence[str], requests: tuple[str, ...] = ()) -> SearchPlan:
    """The plan for the catalog: each need by name and with its main capability, at most six queries."""
    queries = [
        query for need in needs for query in (need.technology, f"{need.technology} {need.capabilities[0]}")
    ]
    if len(queries) > MAX_QUERIES:
        names = [need.technology for need in needs]
        queries = names + [query for query in queries if " " in query]
    queries += generic
    return SearchPlan(keywords(needs, generic), tuple(dict.fromkeys(queries))[:MAX_QUERIES], requests)
