"""What the text says of where things run reaches the needs, and nothing else does."""

import pytest

from warroom_mcp.analyzer import analyze
from warroom_mcp.models import SignalKind


def _parameters(text: str) -> dict[str, dict[str, str]]:
    return {need.technology: dict(need.parameters) for need in analyze(text).needs}


@pytest.mark.parametrize(
    ("text", "technology", "parameters"),
    [
        ("ECONNREFUSED 127.0.0.1:6379", "redis", {"host": "127.0.0.1", "port": "6379"}),
        ("Redis: connect ECONNREFUSED ::1:6379", "redis", {}),
        (
            "kafka: Connection to node -1 (broker-1/10.0.0.7:9092) could not be established.",
            "kafka",
            {"host": "broker-1", "port": "9092"},
        ),
        ("redis dial tcp [::1]:6379: refused", "redis", {"host": "::1", "port": "6379"}),
        (
            'psql: error: connection to server at "10.0.3.12", port 5432 failed: FATAL: role "app" does not exist',
            "postgres",
            # What does not exist cannot be connected with.
            {"host": "10.0.3.12", "port": "5432"},
        ),
        (
            'connection to server at "db.internal" (10.1.1.9), port 6543 failed: FATAL: database "x" does not exist',
            "postgres",
            {"host": "db.internal", "port": "6543"},
        ),
        (
            'connection to server at "db", port 5432 failed: FATAL: password authentication failed for user "app"',
            "postgres",
            {"host": "db", "port": "5432", "user": "app"},
        ),
        (
            "postgresql://app:hunter2hunter2@h1:5432/orders?sslmode=require refused",
            "postgres",
            {"host": "h1", "port": "5432", "database": "orders", "user": "app"},
        ),
        (
            "jdbc:postgresql://db1:5432/shop?user=bob could not connect",
            "postgres",
            {"host": "db1", "port": "5432", "database": "shop", "user": "bob"},
        ),
        (
            "mongodb+srv://cluster0.abcd.example.net/events: ReplicaSetNoPrimary",
            "mongodb",
            {
                "host": "cluster0.abcd.example.net",
                "database": "events",
                "url": "mongodb+srv://cluster0.abcd.example.net/events",
            },
        ),
        (
            "mongodb://u:[redacted:password]@m1:27017,m2:27017/db MongoNetworkError",
            "mongodb",
            {"host": "m1", "port": "27017", "database": "db", "url": "mongodb://m1:27017/db"},
        ),
        (
            "ERROR 2003 (HY000): Can't connect to MySQL server on 'db2.internal:3306' (111)",
            "mysql",
            {"host": "db2.internal", "port": "3306"},
        ),
        ("mysql: Access denied for user 'shop'@'10.0.0.5' (using password: YES)", "mysql", {"user": "shop"}),
        ("ERROR 1049 (42000): Unknown database 'shop'", "mysql", {}),
        ("kubectl -n prod get pods: CrashLoopBackOff", "kubernetes", {"namespace": "prod"}),
        ("kubectl logs web-1 --namespace=payments -c sidecar", "kubernetes", {"namespace": "payments"}),
        ('pod OOMKilled in namespace "billing"', "kubernetes", {"namespace": "billing"}),
        ("Kubernetes event\nnamespace: staging", "kubernetes", {"namespace": "staging"}),
        ("ImagePullBackOff in the checkout namespace", "kubernetes", {"namespace": "checkout"}),
        ('Docker: container "api" exited with code 137', "docker", {"container": "api"}),
        ("docker container api keeps restarting", "docker", {"container": "api"}),
        ("docker logs -f --tail=50 web_1", "docker", {"container": "web_1"}),
        ("Error response from daemon: No such container: 4f66ad9a0b2e", "docker", {"container": "4f66ad9a0b2e"}),
        ("the docker container failed to start", "docker", {}),
        ("docker: dial unix /var/run/docker.sock: permission denied", "docker", {"path": "/var/run/docker.sock"}),
        ("docker -H unix:///run/user/1000/docker.sock ps fails", "docker", {"path": "/run/user/1000/docker.sock"}),
        ("kafka bootstrap broker b-1.kafka.internal:9092 disconnected", "kafka",
         {"host": "b-1.kafka.internal", "port": "9092"}),
        ("psql host=pg.example.com port=5433 dbname=app user=svc refused", "postgres",
         {"host": "pg.example.com", "port": "5433", "database": "app", "user": "svc"}),
        ("psql: could not translate host name \"pg-primary\" to address", "postgres", {"host": "pg-primary"}),
        ("redis getaddrinfo ENOTFOUND cache.internal", "redis", {"host": "cache.internal"}),
    ],
)  # fmt: skip
def test_values_in_the_text_become_parameters_of_the_need(
    text: str, technology: str, parameters: dict[str, str]
) -> None:
    found = _parameters(text)[technology]
    assert {name: found.get(name) for name in parameters} == parameters
    if not parameters:
        assert found.keys() <= {"database"}


@pytest.mark.parametrize(
    "text",
    [
        "redis at 10.0.0.1:0 refused",
        "redis at 10.0.0.1:70000 refused",
        "redis connect to -oProxyCommand:6379",
        "redis host=" + "a" * 300,
        "redis refused at 12:22:53",
        "redis failed in client.py:212",
        "redis listening on 0.0.0.0",
    ],
)
def test_implausible_hosts_and_ports_are_left_out(text: str) -> None:
    assert _parameters(text)["redis"] == {}


def test_a_listening_address_gives_its_port_only() -> None:
    assert _parameters("redis: dial tcp 0.0.0.0:6379: refused")["redis"] == {"port": "6379"}


@pytest.mark.parametrize("secret", ["correct-horse-battery", "aB3$kd91!xZ"])
def test_nothing_of_a_password_is_in_a_parameter_or_signal(secret: str) -> None:
    text = (
        f"postgres://svc:{secret}@db:5432/app failed\n"
        f"PGPASSWORD={secret} psql -h db: FATAL: password authentication failed\npassword: {secret}"
    )
    analysis = analyze(text)
    assert analysis.redactions >= 3
    assert secret not in repr(analysis)
    assert all("redacted" not in value for need in analysis.needs for value in need.parameters.values())
    assert all(
        "redacted" not in each.value for each in analysis.signals if each.kind != SignalKind.TECHNOLOGY
    )


def test_each_technology_gets_the_endpoint_on_its_own_line() -> None:
    text = "redis at 10.0.0.1:7001 refused\npostgres at 10.0.0.2:7002 timed out"
    assert _parameters(text) == {
        "redis": {"host": "10.0.0.1", "port": "7001"},
        "postgres": {"host": "10.0.0.2", "port": "7002"},
    }


def test_a_port_of_its_own_outweighs_the_neighbourhood() -> None:
    text = "redis cannot reach 10.0.0.2:5432 and postgres cannot reach 10.0.0.1:6379: connection refused"
    assert _parameters(text) == {
        "redis": {"host": "10.0.0.1", "port": "6379"},
        "postgres": {"host": "10.0.0.2", "port": "5432"},
    }


def test_the_host_of_one_connection_never_meets_the_port_of_another() -> None:
    text = "redis host=cache-a is fine\n\nredis could not connect: port 6380"
    found = _parameters(text)["redis"]
    assert found in ({"host": "cache-a"}, {"port": "6380"})


def test_only_what_the_technology_lists_is_given_to_it() -> None:
    text = 'FATAL: password authentication failed for user "app", bucket "logs-prod", region eu-west-1, namespace "prod"'
    assert _parameters(text)["postgres"] == {"user": "app"}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("s3://my-bucket/key AccessDenied", SignalKind.BUCKET, "my-bucket"),
        ("arn:aws:s3:::backup-2024/x", SignalKind.BUCKET, "backup-2024"),
        ("https://assets.s3.eu-west-1.amazonaws.com/x", SignalKind.BUCKET, "assets"),
        ('bucket "raw.events" is gone', SignalKind.BUCKET, "raw.events"),
        ("failed in ap-northeast-2 today", SignalKind.REGION, "ap-northeast-2"),
        ("failed in us-gov-west-1", SignalKind.REGION, "us-gov-west-1"),
        ("failed in europe-west4-a", SignalKind.REGION, "europe-west4"),
        ('region: "westeurope"', SignalKind.REGION, "westeurope"),
        ("GET https://api.example.com/v1/x?token=1#f failed", SignalKind.URL, "https://api.example.com/v1/x"),
        ("open /etc/app/config.yaml: no such file", SignalKind.PATH, "/etc/app/config.yaml"),
        (r"cannot open C:\data\app.db", SignalKind.PATH, r"C:\data\app.db"),
        ("connect ECONNREFUSED 10.0.0.1:1234", SignalKind.ERROR_CODE, "ECONNREFUSED"),
    ],
)
def test_signals_are_read_even_where_no_technology_asks_for_them(
    text: str, kind: SignalKind, value: str
) -> None:
    assert value in {signal.value for signal in analyze(text).signals if signal.kind == kind}
