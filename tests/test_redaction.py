"""Secrets of every known shape go, ordinary text stays, and doing it twice changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warroom_mcp.redaction import redact

# Built from parts, so that no scanner takes this file for a leak.
LETTERS = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYz"
HEX = "0123456789abcdef" * 4
UPPER = "QWERTYUIOPASDFGH"

PLANTED: list[tuple[str, str, str]] = [
    ("postgres://app:{}@db.internal:5432/orders", "s3cr3t-Pw", "password"),
    ("redis://:{}@10.0.0.3:6379/0", "s3cr3tPw", "password"),
    ("amqp://guest:{}@mq:5672/%2F", "p@ssw0rd", "password"),
    ("https://{}@git.example.com/team/repo.git", LETTERS, "url-credential"),
    ("password={}", "hunter2", "password"),
    ("pwd: {}", "hunter2", "password"),
    ('PASSWORD="{}"', "two words", "password"),
    ("export DB_PASSWORD='{}'", "hunter2!", "password"),
    ('{{"user": "app", "password": "{}"}}', "hunter2", "password"),
    ('"{{\\"user\\":\\"app\\",\\"password\\":\\"{}\\"}}"', "hunter2", "password"),
    ("  passphrase: {}", "correct-horse", "password"),
    ("Server=tcp:sql,1433;User Id=sa;Password={};Database=crm", "Abc1234", "password"),
    ("PGPASSWORD={} psql -h db -p 5432", "hunter2", "password"),
    ("MYSQL_PWD={} mysqldump crm", "hunter2", "password"),
    ("mysql -h db -u root -p{} crm", "hunter2", "password"),
    ("sshpass -p {} ssh host", "hunter2", "password"),
    ("redis-cli -h cache -a {} ping", "hunter2", "password"),
    ("curl -u admin:{} https://example.com", "hunter2", "password"),
    ("machine example.com login me password {}", "hunter2", "password"),
    ("CREATE USER app WITH PASSWORD '{}';", "hunter2", "password"),
    ("CREATE USER 'app'@'%' IDENTIFIED BY '{}'", "hunter2", "password"),
    ("tool --password {} run", "hunter2", "secret"),
    ("tool --api-key={} run", "abcd1234", "secret"),
    ("Authorization: Bearer {}", "abc.def-123", "authorization"),
    ("authorization: Basic {}", "dXNlcjpwYXNzd29yZA==", "authorization"),
    ("-H 'Authorization: token {}'", "abcdef0123", "authorization"),
    ("sent header Bearer {} upstream", LETTERS, "authorization"),
    ("Cookie: {}", "sid=abcdef; theme=dark", "cookie"),
    ("Set-Cookie: {}", "session=abcdef; Path=/", "cookie"),
    ("X-Api-Key: {}", "abcdef123456", "api-key"),
    ("X-Vault-Token: {}", "abcdef123456", "token"),
    ("API_KEY={}", "abcdef123456", "api-key"),
    ("stripe_api_key = '{}'", "abcdef123456", "api-key"),
    ("CI_JOB_TOKEN={}", "abcdef123456", "token"),
    ("client_secret: {}", "abcdef123456", "secret"),
    ("https://example.com/cb?access_token={}&state=1", "abcdef123456", "token"),
    ("//registry.example.com/:_authToken={}", "abcdef123456", "token"),
    ("key id {} was used", "AKIA" + UPPER, "aws-access-key"),
    ("AWS_SECRET_ACCESS_KEY={}", "wJal/rXUt+nFEMIK7MDENGbPxRfiCYzEXAMPLEKEY"[:40], "api-key"),
    ("AccountName=logs;AccountKey={};EndpointSuffix=core.windows.net", LETTERS + "==", "azure-key"),
    ("Endpoint=sb://bus/;SharedAccessKey={}", LETTERS + "=", "azure-key"),
    ("https://logs.blob.core.windows.net/c/x?sv=1&sig={}", LETTERS, "signature"),
    ("remote: {} is not valid", "ghp_" + LETTERS, "github-token"),
    ("{} expired", "github_pat_" + LETTERS, "github-token"),
    ("use {} here", "glpat-" + LETTERS[:20], "gitlab-token"),
    ("bot {} rejected", "xoxb-" + "1234567890-" + LETTERS, "slack-token"),
    ("https://hooks.slack.com/services/{}", "T0000/B0000/" + LETTERS, "webhook"),
    ("key {} is invalid", "sk_live_" + LETTERS, "stripe-key"),
    ("whsec: {}", "whsec_" + LETTERS, "stripe-key"),
    ("Incorrect API key provided {}", "sk-proj-" + LETTERS, "openai-key"),
    ("key {}", "sk-ant-api03-" + LETTERS, "anthropic-key"),
    ("npm {}", "npm_" + LETTERS, "npm-token"),
    ("upload with {}", "pypi-" + LETTERS + LETTERS, "pypi-token"),
    ("maps key {}", "AIza" + LETTERS + "Q", "google-key"),
    ("token is {} now", f"eyJ{LETTERS}.eyJ{LETTERS}.{LETTERS}", "jwt"),
    ("twilio {}", "SK" + HEX[:32], "twilio-key"),
    ("mail {}", f"SG.{LETTERS[:22]}.{LETTERS}", "sendgrid-key"),
    ("bot {} polls", "123456789:AA" + LETTERS, "telegram-token"),
    ("hub {}", "hf_" + LETTERS, "huggingface-token"),
    ("dbx {}", "dapi" + HEX[:32], "databricks-token"),
    ("vault {}", "hvs." + LETTERS, "vault-token"),
    ("droplet {}", "dop_v1_" + HEX, "digitalocean-token"),
    ("root:{}:19000:0:99999:7:::", "$6$saltsalt$" + LETTERS, "password-hash"),
    (
        "-----BEGIN of a log-----\n{}\n",
        f"-----BEGIN RSA PRIVATE KEY-----\n{LETTERS}\n{LETTERS}==\n-----END RSA PRIVATE KEY-----",
        "private-key",
    ),
]

ORDINARY = [
    'FATAL:  password authentication failed for user "x"',
    "Access denied for user 'root'@'localhost' (using password: YES)",
    "550e8400-e29b-41d4-a716-446655440000",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "pod/api-7d9f8c6b5-x2x1z in namespace prod",
    "db-primary.eu-west-1.rds.amazonaws.com:5432",
    "SyntaxError: Unexpected token: } in JSON at position 4",
    "SyntaxError: Unexpected token < in JSON at position 0",
    'MountVolume.SetUp failed for volume "certs" : secret "tls-cert" not found',
    "PWD=/home/app/service OLDPWD=/home/app",
    "max_tokens=4096 token_count: 5",
    "invalid token: expired",
    "password: ${DB_PASSWORD}",
    "DB_PASSWORD=$DB_PASSWORD",
    "token = process.env.SLACK_TOKEN",
    "https://example.com:8443/path/a:b@c",
    "secretName: my-secret",
    "image: registry.example.com/team/api@sha256:0a1b2c",
    "psql -h db -p 5432 -U app",
    "docker run -p 8080:80 nginx",
    "at com.example.security.TokenFilter.doFilter(TokenFilter.java:42)",
    "private_key: /etc/ssl/private/server.pem",
    "reference keyring:SLACK_TOKEN is kept as a reference",
    "2026-01-02T03:04:05.678Z INFO request_id=01HQ8ZJ0K5 status=200",
]


@pytest.mark.parametrize(("frame", "secret", "kind"), PLANTED, ids=[row[0][:40] for row in PLANTED])
def test_a_planted_secret_goes_and_its_kind_is_told(frame: str, secret: str, kind: str) -> None:
    answer = redact(frame.format(secret))

    assert secret not in answer.text
    assert f"[redacted:{kind}]" in answer.text
    assert answer.count >= 1


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_survives_unchanged(text: str) -> None:
    assert redact(text).text == text
    assert redact(text).count == 0


def test_what_stands_around_a_secret_is_kept() -> None:
    answer = redact("postgres://app:hunter2@db.internal:5432/orders?sslmode=require")

    assert answer.text == "postgres://app:[redacted:password]@db.internal:5432/orders?sslmode=require"
    assert answer.count == 1


def test_a_token_behind_an_escaped_line_break_is_found() -> None:
    assert LETTERS not in redact('"log\\nghp_' + LETTERS + '"').text


def test_a_letter_that_grows_in_lower_case_does_not_move_the_cut() -> None:
    assert (
        redact("\u0130\u0130 Password=hunter2 \u0130").text
        == "\u0130\u0130 Password=[redacted:password] \u0130"
    )


@pytest.mark.parametrize(
    "piece",
    [
        "password=",
        "token:{{token=",
        "eyJ-",
        "eyJaaaaaaa.",
        "://a:",
        "mysql -u ",
        "cookie: ",
        "-----BEGIN PRIVATE KEY-----",
        "a@",
        '"password": "',
        '\\"',
    ],
)
def test_a_hostile_repetition_comes_back(piece: str) -> None:
    answer = redact(piece * 20_000)

    assert redact(answer.text).text == answer.text


SURROUNDINGS = st.text(alphabet=st.characters(exclude_characters="\\", codec="utf-8"), max_size=60)


@settings(max_examples=300)
@given(before=SURROUNDINGS, row=st.sampled_from(PLANTED), after=SURROUNDINGS)
def test_a_secret_on_lines_of_its_own_goes_in_any_surroundings(
    before: str, row: tuple[str, str, str], after: str
) -> None:
    frame, secret, _ = row

    assert secret not in redact(f"{before}\n{frame.format(secret)}\n{after}").text


PIECES = st.sampled_from(
    [
        *"=: \n'\"]@.;,-\\{$",
        "password",
        "token",
        "://",
        "abc",
        "Bearer ",
        "[redacted:",
        "eyJ",
        "Cookie: ",
        "a=b",
        "sk-",
        LETTERS,
        "mysql ",
        " -p",
        "-----BEGIN PRIVATE KEY-----",
        "pwd",
    ]
)


@settings(max_examples=400)
@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=25).map("".join)))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact(text)

    assert redact(once.text) == type(once)(once.text, 0)
