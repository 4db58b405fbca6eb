"""Confidence, order, causes over symptoms, runtimes."""

import pytest

from warroom_mcp.analyzer import analyze
from warroom_mcp.analyzer.needs import confidences
from warroom_mcp.analyzer.signals import Hit
from warroom_mcp.knowledge import Kind

JAVA_CHAIN = """\
java.util.concurrent.CompletionException: consumer kafka-1 stopped, KafkaException
\tat org.apache.kafka.clients.consumer.KafkaConsumer.poll(KafkaConsumer.java:1)
\tat java.lang.Thread.run(Thread.java:833)
Caused by: org.springframework.dao.DataAccessResourceFailureException: no connection
\tat org.springframework.jdbc.core.JdbcTemplate.execute(JdbcTemplate.java:3)
Caused by: org.postgresql.util.PSQLException: Connection to db-1:5432 refused
\tat org.postgresql.Driver.connect(Driver.java:2)
\t... 7 more
"""
DOTNET_CHAIN = """\
System.InvalidOperationException: the kafka consumer failed, KafkaException
 ---> System.AggregateException: one or more errors
 ---> StackExchange.Redis.RedisConnectionException: no connection is available
   at StackExchange.Redis.ConnectionMultiplexer.ExecuteSync()
"""
PYTHON_CHAIN = """\
Traceback (most recent call last):
  File "/app/cache.py", line 3, in get
redis.exceptions.ConnectionError: Error 111 connecting to cache:6379.

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/consume.py", line 9, in run
aiokafka.errors.KafkaError: kafka consumer stopped
"""


def _needs(text: str) -> list[str]:
    return [need.technology for need in analyze(text).needs]


@pytest.mark.parametrize(
    ("trace", "cause"), [(JAVA_CHAIN, "postgres"), (DOTNET_CHAIN, "redis"), (PYTHON_CHAIN, "redis")]
)
def test_the_innermost_cause_comes_before_its_symptoms(trace: str, cause: str) -> None:
    assert _needs(trace) == [cause, "kafka"]


def test_without_a_chain_the_same_evidence_ranks_by_itself() -> None:
    upper, _, lower = PYTHON_CHAIN.partition("During handling")
    assert _needs(lower)[0] == "kafka"
    assert _needs(upper)[0] == "redis"


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("our python service gets ECONNREFUSED 10.0.0.1:6379", ["redis"]),
        ("Node.js app: MongoServerSelectionError", ["mongodb"]),
        ("my python program is slow", ["python"]),
        ("java.lang.OutOfMemoryError: Java heap space", ["java"]),
        ("kafka broker: java.lang.OutOfMemoryError: Java heap space", ["kafka", "java"]),
    ],
)
def test_a_runtime_is_a_need_only_by_itself_or_by_an_error_of_its_own(text: str, needs: list[str]) -> None:
    assert _needs(text) == needs


def test_several_technologies_are_several_needs_the_surest_first() -> None:
    text = 'docker is up; redis too. FATAL: role "app" does not exist (psql)'
    assert _needs(text)[0] == "postgres"
    assert set(_needs(text)) == {"postgres", "docker", "redis"}


def _hit(kind: Kind, weight: float, key: str = "x") -> Hit:
    return Hit(kind, "redis", 0, 1, weight, key)


def test_confidence_grows_with_different_evidence_and_hardly_with_repeats() -> None:
    one = confidences([_hit(Kind.NAME, 0.9)])["redis"]
    repeated = confidences([_hit(Kind.NAME, 0.9)] * 2)["redis"]
    different = confidences([_hit(Kind.NAME, 0.9), _hit(Kind.ERROR, 0.85)])["redis"]
    assert one == pytest.approx(0.9)
    assert one < repeated < different < 1
    assert repeated == pytest.approx(1 - 0.1 * (1 - 0.27))


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        # what a place says of a name, word or port
        ("see github.com/acme/redis-tools for the code", []),
        ("error in /srv/kubernetes-demo/redis_test.js", []),
        ("KafkaConsumer stopped", ["kafka"]),
        ("JavaScript is hard", []),
        ("레디스가 죽었습니다: redis가 안 돼요", ["redis"]),
        ("redisson", ["redis"]),
        ("redissing", []),
        ("it took 5432 ms and 6379 rows", []),
        ("backup.sh:5432: syntax error", []),
        ("dial tcp db:5432: connect: connection refused", ["postgres"]),
        ("nothing answers on port 27017", ["mongodb"]),
        ("listening at 5432/tcp", ["postgres"]),
        ("10:22:53 and 11:54:32 and 5432", []),
        ("PGHOST is set", ["postgres"]),
        ("pghost is set", []),
        ("deadlock detected", []),
        ("SQLSTATE[42P01] happened", ["postgres"]),
        ("sqlstate[42p01] happened", []),
        ("one pod in a pea pod", []),
        ("the pod failed: CrashLoopBackOff", ["kubernetes"]),
    ],
)
def test_evidence_counts_only_where_it_stands_for_the_technology(text: str, needs: list[str]) -> None:
    assert _needs(text) == needs


def test_the_weights_of_words_depend_on_other_evidence() -> None:
    def weight(text: str) -> float:
        return max(
            each.weight for each in analyze(text).signals if each.evidence == "consul" and each.technology
        )

    assert weight("a consul of Rome") == pytest.approx(0.3)
    assert weight("a consul of consul-template") == pytest.approx(0.7)
    assert weight("consul: gone") == pytest.approx(0.7)


def test_things_of_a_trade_count_where_something_is_asked_for() -> None:
    assert _needs("Which pods restarted tonight?") == ["kubernetes"]
    assert _needs("one pod in a pea pod") == []


def test_a_longer_name_hides_the_shorter_one_inside_of_it() -> None:
    evidence = [each.evidence for each in analyze("redis-cli says no").signals]
    assert evidence == ["redis-cli"]


def test_the_last_lines_of_a_long_log_are_read_like_the_first() -> None:
    noise = "INFO redis request done\n" * 20_000
    analysis = analyze(
        noise + 'FATAL: permission denied for database "billing"\nCaused by: redis timeout at 10.9.9.9:6379'
    )
    assert {need.technology for need in analysis.needs} == {"redis", "postgres"}
    assert {"host": "10.9.9.9", "port": "6379"}.items() <= analysis.needs[0].parameters.items()
    assert analysis.needs[1].parameters == {"database": "billing"}
    assert len(analysis.signals) <= 200


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("vault", {"vault"}),
        ("Consul and postgres", {"consul", "postgres"}),
        ("chef, puppet/salt", {"chef", "puppet", "salt"}),
        ("the consul met a chef", set()),
    ],
)
def test_ordinary_words_are_names_where_nothing_else_is_written(text: str, names: set[str]) -> None:
    assert {need.technology for need in analyze(text).needs} == names
