"""What is wrong with the files, and which examples miss: `python -m tests.knowledge.review [NAME ...]`."""

import sys
from pathlib import Path

from warroom_mcp.analyzer import analyze
from warroom_mcp.analyzer.patterns import faults, index
from warroom_mcp.errors import WarRoomError
from warroom_mcp.knowledge import Technology, known_technologies, parse

_FOLDER = Path(__file__).parents[2] / "warroom_mcp" / "knowledge" / "technologies"


def _chosen(words: list[str]) -> list[Technology]:
    chosen = []
    for path in sorted(_FOLDER.glob("*/*.toml")):
        if not words or path.stem in words or path.parent.name in words:
            try:
                chosen.append(parse(path.stem, path.read_text("utf-8")))
            except WarRoomError as error:
                sys.stdout.write(f"{path.parent.name}/{path.stem}: {error.message}\n")
    return chosen


def _review(technology: Technology) -> list[str]:
    found = faults([technology])
    found += [
        f"{technology.name}: no literal of two letters to find {shape.expression!r} by"
        for shape in index([technology]).loose
    ]
    for example in technology.examples:
        needs = [need.technology for need in analyze(example).needs]
        if needs[:1] != [technology.name]:
            found.append(f"{technology.name}: {example[:100]!r} is read as {needs[:4]}")
    return found


def main() -> int:
    """Print every finding; the exit code says whether there are any."""
    chosen = _chosen(sys.argv[1:])
    known = {each.name for each in known_technologies()} if chosen else set()
    findings = [line for each in chosen for line in _review(each)]
    findings += [
        f"{each.name}: helped_by {other!r}, which is not known"
        for each in chosen
        for other in each.helped_by
        if other not in known
    ]
    sys.stdout.write("\n".join([*findings, "" if findings else "nothing found\n"]))
    examples = sum(len(each.examples) for each in chosen)
    sys.stdout.write(f"{len(chosen)} technologies, {examples} examples, {len(findings)} findings\n")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
