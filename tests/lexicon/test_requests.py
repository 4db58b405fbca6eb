"""What a request asks for beside its words."""

import pytest

from warroom_mcp.lexicon.requests import clauses, implied_steps, own_words


@pytest.mark.parametrize(
    ("request_", "steps"),
    [
        ("Write a report on the outage to /srv/out/report.md", ("write file",)),
        ("Summarise /srv/out/report.md", ("read file",)),
        ("Save the figures in ~/tables/q3.xlsx", ("write excel sheet data",)),
        ("Compare a.csv with b.csv", ("read excel sheet data",)),
        ("Create quarterly.pptx from notes.docx", ("create presentation", "create word document")),
        ("What is in /var/log?", ("list directory",)),
        ("Turn the page into a slide deck and make a ppt", ("create presentation",)),
        ("Write the result to the path", ("write file",)),
        ("Which pods restarted?", ()),
        ("See https://example.org/a/b.pdf", ()),
        ("보고서를 작성해서 /srv/out/report.md 에 저장해 줘", ("write file",)),
    ],
)
def test_the_files_of_a_request_imply_its_steps(request_: str, steps: tuple[str, ...]) -> None:
    assert implied_steps(request_)[: len(steps) or None] == steps


def test_a_file_is_told_as_what_it_is_and_an_address_as_one() -> None:
    words = own_words("Fetch https://example.org/x and save it to /srv/out/page.html").split()
    assert words == ["Fetch", "url", "and", "save", "it", "to", "file", "html"]


def test_a_request_of_several_parts_is_cut_into_them() -> None:
    parts = clauses("Find the failing pods, and then save their logs. Compare them with yesterday.")
    assert parts == ("Find the failing pods", "save their logs.", "Compare them with yesterday.")
    assert clauses("Restart the pods") == ()
