"""The pattern files: read strictly, indexed, without faults."""

import pytest

from warroom_mcp.analyzer.patterns import faults, index, library
from warroom_mcp.errors import WarRoomError
from warroom_mcp.knowledge import Role, parse
from warroom_mcp.knowledge.technology import PARAMETERS

GOOD = """
title = "Ledger DB"
names = ["ledgerdb"]
capabilities = ["database"]
"""


def test_the_technologies_that_come_with_the_package_are_at_hand() -> None:
    known = library()
    assert {
        "docker",
        "kubernetes",
        "postgres",
        "redis",
        "kafka",
        "mysql",
        "mongodb",
    } <= known.technologies.keys()
    assert all(known.is_a(name, Role.RUNTIME) for name in ("java", "python", "node"))


def test_a_technology_needs_no_more_than_its_names_and_what_one_does_with_it() -> None:
    technology = parse("ledger-db", GOOD)
    assert (technology.name, technology.ports, technology.parameters) == ("ledger-db", (), ())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("title", "[title"), "ledger-db"),
        (('title = "Ledger DB"', 'title = "L"\nrole = "king"'), "unknown role: king"),
        (('title = "Ledger DB"', ""), "missing keys: title"),
        (('title = "Ledger DB"', 'title = ["Ledger"]'), "title has to be a text"),
        (('title = "Ledger DB"', 'title = "L"\nmistakes = ["x"]'), "unknown keys: mistakes"),
        (('names = ["ledgerdb"]', 'names = "ledgerdb"'), "names has to be a list of str"),
        (('names = ["ledgerdb"]', 'names = ["ledgerdb", ""]'), "an empty text"),
        (('names = ["ledgerdb"]', 'names = ["ledgerdb", "ledgerdb"]'), "the same thing twice"),
        (('names = ["ledgerdb"]', 'names = ["ledgerdb"]\nports = ["80"]'), "ports has to be a list of int"),
        (('names = ["ledgerdb"]', 'names = ["ledgerdb"]\nports = [true]'), "ports has to be a list of int"),
        (('names = ["ledgerdb"]', 'names = ["ledgerdb"]\nports = [65536]'), "an impossible port"),
        (('capabilities = ["database"]', "capabilities = []"), "at least one capability"),
        (('capabilities = ["database"]', ""), "missing keys: capabilities"),
        (
            ('names = ["ledgerdb"]', 'names = ["ledgerdb"]\nparameters = ["password"]'),
            "unknown parameters: password",
        ),
    ],
)
def test_what_is_wrong_in_a_pattern_file_is_said_with_its_place(change: tuple[str, str], says: str) -> None:
    with pytest.raises(WarRoomError, match=r"technologies, ledger-db") as caught:
        parse("ledger-db", GOOD.replace(*change))
    assert says in caught.value.message


def test_two_technologies_of_the_same_name_are_refused() -> None:
    with pytest.raises(WarRoomError, match="ledger-db: two technologies"):
        index((parse("ledger-db", GOOD), parse("ledger-db", GOOD)))


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("unclosed (?:group", "missing )"),
        ("a (captured) group", "captures"),
        ("(?:optional)?", "matches nothing"),
        ("from .* to", "unbounded"),
        ("(?:ab)+c", "unbounded"),
    ],
)
def test_an_expression_that_is_wrong_or_could_be_slow_is_found(expression: str, says: str) -> None:
    technology = parse("ledger-db", GOOD + f"errors = ['{expression}']")
    (fault,) = faults([technology])
    assert fault.startswith("ledger-db, errors")
    assert says in fault


def test_no_parameter_is_a_secret() -> None:
    assert not {name for name in PARAMETERS if "pass" in name or "token" in name or "secret" in name}
