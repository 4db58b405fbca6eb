"""What the catalog is asked."""

from warroom_mcp.analyzer import analyze, capabilities_of
from warroom_mcp.analyzer.plan import MAX_QUERIES


def test_names_come_first_then_what_one_does_with_them() -> None:
    analysis = analyze("redis is down and our payment page shows an error")
    assert analysis.plan.queries == ("redis", "redis cache", "payment")
    assert analysis.keywords == ("redis", *capabilities_of("redis"), "payment")
    assert analysis.plan.keywords == analysis.keywords


def test_with_many_needs_each_is_asked_for_by_name() -> None:
    analysis = analyze("docker, redis, kafka, mysql and mongodb are all down")
    assert set(analysis.plan.queries[:5]) == {"docker", "redis", "kafka", "mysql", "mongodb"}
    assert len(analysis.plan.queries) == MAX_QUERIES
    assert len(set(analysis.keywords)) == len(analysis.keywords)


def test_words_inside_of_identifiers_are_not_generic_words() -> None:
    assert analyze("cachepot in /var/cache/parts, my-queue.txt, db.json").keywords == ()
