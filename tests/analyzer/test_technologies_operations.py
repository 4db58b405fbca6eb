"""Clouds, build services, package managers, languages and systems are recognised from their own error texts."""

import pytest

from tests.analyzer import examples_operations
from warroom_mcp.analyzer import analyze

EXAMPLES: dict[str, str] = examples_operations.EXAMPLES
# What mentions one of them without being about it.
MENTIONS: list[tuple[str, str]] = [
    ("git", "The legit digits of the agitator"),
    ("helm", "She took the helm of the company"),
    ("rust", "There is rust on the old bicycle"),
    ("go", "Where shall we go for lunch?"),
    ("lambda", "Sort the list with a lambda and a key"),
    ("windows", "Open the windows, the air is bad"),
    ("cargo", "The ship lost its cargo in the storm"),
    ("dotnet", "See the example.net page"),
    ("ruby", "COPY Gemfile /app/ is the fourth line"),
    ("linux", "OS: Ubuntu 22.04, Linux 5.15.0-91-generic"),
    ("windows", "Docker Desktop runs on Windows 11 here"),
    ("linux", "the image is built for linux/amd64"),
    ("php", "open index.php in the editor"),
]


@pytest.mark.parametrize(("technology", "example"), sorted(EXAMPLES.items()), ids=sorted(EXAMPLES))
def test_a_technology_is_recognised_from_its_own_error(technology: str, example: str) -> None:
    needs = analyze(example).needs

    assert [need.technology for need in needs][:1] == [technology]


@pytest.mark.parametrize(("technology", "text"), MENTIONS)
def test_a_mention_is_no_need(technology: str, text: str) -> None:
    assert technology not in [need.technology for need in analyze(text).needs]


@pytest.mark.parametrize(
    ("runtime", "exception"),
    [
        ("go", "panic: runtime error: index out of range [3] with length 3"),
        ("rust", "thread 'main' panicked at src/main.rs:4:5: called `Option::unwrap()` on a `None` value"),
        ("dotnet", "System.NullReferenceException: Object reference not set to an instance of an object"),
        ("php", "Fatal error: Uncaught DomainException: no such order in /srv/shop/order.php:12"),
        ("ruby", "order.rb:12:in `total': undefined method `price' for nil:NilClass (NoMethodError)"),
    ],
)
def test_an_exception_of_a_program_does_not_ask_for_its_language_beside_a_service(
    runtime: str, exception: str
) -> None:
    problem = f"{exception}\nNOAUTH Authentication required"

    assert [need.technology for need in analyze(problem).needs] == ["redis"]
