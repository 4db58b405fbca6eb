"""The shelf: what was put there comes back page by page, to the byte, until the session ends."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.processes import finish, running
from warroom_mcp.errors import InvalidArguments, ResultGone, StateError, StateNotWritable
from warroom_mcp.store.shelf import PAGE_BYTES, Kept, Shelf, sweep

PNG = b"\x89PNG\r\n\x1a\n"
DIES = """
import os, sys
from pathlib import Path
from warroom_mcp.store.shelf import Shelf
Shelf(Path(sys.argv[1])).put(b"left behind", "text/plain")
os._exit(0)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "home" / "results"


@pytest.fixture
def shelf(directory: Path) -> Iterator[Shelf]:
    shelf = Shelf(directory)
    yield shelf
    shelf.close()


def whole(shelf: Shelf, kept: Kept) -> bytes:
    return b"".join(shelf.page(kept.id, number).data for number in range(1, kept.pages + 1))


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock")


# --- pages -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"), max_bytes=1024 * 1024)
    yield shelf
    shelf.close()


@given(text=st.text(), page_bytes=st.integers(1, 40))
def test_the_pages_of_a_text_are_whole_characters_and_joined_are_the_text(
    shared: Shelf, text: str, page_bytes: int
) -> None:
    kept = shared.put(text.encode(), "text/plain", page_bytes=page_bytes)
    pages = [shared.page(kept.id, number) for number in range(1, kept.pages + 1)]
    assert "".join(page.data.decode() for page in pages) == text
    assert all(page.text and len(page.data) <= max(page_bytes, 4) for page in pages)
    assert kept.size == len(text.encode())


@given(data=st.binary(), page_bytes=st.integers(1, 40))
def test_the_pages_of_binary_content_joined_are_the_content(
    shared: Shelf, data: bytes, page_bytes: int
) -> None:
    kept = shared.put(PNG + data, "image/png", page_bytes=page_bytes)
    assert whole(shared, kept) == PNG + data
    assert not shared.page(kept.id, 1).text


def test_a_page_of_text_ends_with_a_line_if_one_ends_near(shelf: Shelf) -> None:
    data = b"".join(b"line %d of a long log\n" % number for number in range(20_000))
    kept = shelf.put(data, "text/plain")
    pages = [shelf.page(kept.id, number).data for number in range(1, kept.pages + 1)]
    assert b"".join(pages) == data
    assert all(page.endswith(b"\n") and PAGE_BYTES - 100 < len(page) <= PAGE_BYTES for page in pages[:-1])


def test_what_fits_is_one_page_and_nothing_is_one_too(shelf: Shelf) -> None:
    assert shelf.put(b"x" * PAGE_BYTES, "text/plain").pages == 1
    assert shelf.put(b"x" * (PAGE_BYTES + 1), "text/plain").pages == 2
    empty = shelf.put(b"", "text/plain")
    assert (empty.pages, empty.size, shelf.page(empty.id, 1).data) == (1, 0, b"")


@pytest.mark.parametrize(
    ("data", "mime", "text"),
    [
        (b"plain", "text/plain", True),
        (b"with \0 in it", "text/plain; charset=utf-8", True),
        (b"{}", "application/json", True),
        (b"<svg/>", "image/svg+xml", True),
        (b"id,name", "application/octet-stream", True),
        (b"\0\0\0\0", "application/octet-stream", False),
        (b"RIFF", "audio/wav", False),
        (b"\xff\xfe", "text/plain", False),
        (PNG, "image/png", False),
    ],
)
def test_text_is_what_is_utf_8_and_not_media(shelf: Shelf, data: bytes, mime: str, text: bool) -> None:
    page = shelf.page(shelf.put(data, mime).id, 1)
    assert (page.text, page.mime, page.number, page.pages) == (text, mime, 1, 1)


@pytest.mark.parametrize("number", [-1, 0, 2])
def test_a_page_that_is_not_there_is_told_with_those_that_are(shelf: Shelf, number: int) -> None:
    kept = shelf.put(b"short", "text/plain")
    with pytest.raises(InvalidArguments, match="pages 1 to 1"):
        shelf.page(kept.id, number)


# --- what goes -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "0123456789abcdef", "../../etc/passwd", "x" * 10_000])
def test_what_was_never_kept_is_gone(shelf: Shelf, name: str) -> None:
    shelf.put(b"another", "text/plain")
    with pytest.raises(ResultGone) as told:
        shelf.page(name, 1)
    assert "Call the tool again" in told.value.hint
    assert len(told.value.message) < 200


def test_the_oldest_go_when_there_are_too_many_bytes(directory: Path) -> None:
    shelf = Shelf(directory, max_bytes=100)
    kept = [shelf.put(bytes([65 + number]) * 40, "text/plain") for number in range(4)]
    for gone in kept[:2]:
        with pytest.raises(ResultGone):
            shelf.page(gone.id, 1)
    assert [whole(shelf, one)[:1] for one in kept[2:]] == [b"C", b"D"]
    assert len(files(directory)) == 2
    latest = shelf.put(b"E" * 1000, "text/plain")
    assert [path.name for path in files(directory)] == [latest.id]
    assert len(whole(shelf, latest)) == 1000
    shelf.close()


@pytest.mark.parametrize("harm", ["removed", "shortened"])
def test_a_file_that_is_no_longer_what_it_was_is_gone(shelf: Shelf, directory: Path, harm: str) -> None:
    kept = shelf.put(b"x" * 100, "text/plain")
    (path,) = files(directory)
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(ResultGone):
            shelf.page(kept.id, 1)
    assert whole(shelf, shelf.put(b"next", "text/plain")) == b"next"


# --- files -----------------------------------------------------------------------------------


def test_nothing_is_made_before_the_first_content_and_nothing_stays_after_the_end(directory: Path) -> None:
    shelf = Shelf(directory)
    assert not directory.parent.exists()
    shelf.close()
    shelf = Shelf(directory)
    kept = shelf.put(b"content", "text/plain")
    assert len(files(directory)) == 1
    shelf.close()
    shelf.close()
    assert list(directory.iterdir()) == []
    with pytest.raises(ResultGone):
        shelf.page(kept.id, 1)
    with pytest.raises(StateError):
        shelf.put(b"late", "text/plain")
    assert list(directory.iterdir()) == []


def test_only_the_owner_can_read_and_no_draft_is_left(shelf: Shelf, directory: Path) -> None:
    kept = shelf.put(b"secret", "text/plain")
    (path,) = files(directory)
    assert path.name == kept.id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(made.stat().st_mode) for made in (path.parent, directory, directory.parent)} == {
        0o700
    }


def test_what_cannot_be_written_is_told_and_the_others_stay(shelf: Shelf, directory: Path) -> None:
    kept = shelf.put(b"first", "text/plain")
    own = files(directory)[0].parent
    aside = own.rename(own.with_name("aside"))
    own.write_bytes(b"in the way")
    with pytest.raises(StateNotWritable):
        shelf.put(b"second", "text/plain")
    own.unlink()
    aside.rename(own)
    assert whole(shelf, kept) == b"first"
    assert whole(shelf, shelf.put(b"third", "text/plain")) == b"third"


def test_a_directory_that_is_taken_away_is_made_again(shelf: Shelf, directory: Path) -> None:
    kept = shelf.put(b"first", "text/plain")
    (path,) = files(directory)
    path.unlink()
    path.parent.rmdir()
    assert whole(shelf, shelf.put(b"second", "text/plain")) == b"second"
    with pytest.raises(ResultGone):
        shelf.page(kept.id, 1)


def test_any_thread_may_put_read_and_close(directory: Path) -> None:
    shelf = Shelf(directory, max_bytes=1024 * 1024)
    seen: list[bytes] = []

    def use(number: int) -> None:
        for turn in range(20):
            data = b"%d-%d" % (number, turn) * 100
            assert whole(shelf, shelf.put(data, "text/plain", page_bytes=64)) == data
            seen.append(data)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80
    closing = threading.Thread(target=shelf.close)
    closing.start()
    closing.join()
    assert list(directory.iterdir()) == []
    assert sweep(directory) == 0


# --- other War Rooms -------------------------------------------------------------------------


@pytest.mark.slow
def test_what_a_dead_war_room_left_is_swept_and_what_a_living_one_keeps_is_not(directory: Path) -> None:
    living = Shelf(directory)
    kept = living.put(b"alive", "text/plain")
    with running(DIES, str(directory)) as process:
        finish(process)
    assert len(files(directory)) == 2
    assert sweep(directory) == 1
    assert [path.name for path in files(directory)] == [kept.id]
    assert whole(living, kept) == b"alive"
    living.close()
    assert list(directory.iterdir()) == []


@pytest.mark.slow
def test_the_first_content_sweeps_too(directory: Path) -> None:
    with running(DIES, str(directory)) as process:
        finish(process)
    shelf = Shelf(directory)
    kept = shelf.put(b"mine", "text/plain")
    assert [path.name for path in files(directory)] == [kept.id]
    shelf.close()


def test_sweeping_where_nothing_is_or_something_else_lies_harms_nothing(directory: Path) -> None:
    assert sweep(directory) == 0
    directory.mkdir(parents=True)
    (directory / "notes.txt").write_text("a person's own")
    (directory / "folder").mkdir()
    assert sweep(directory) == 0
    assert sorted(path.name for path in directory.iterdir()) == ["folder", "notes.txt"]


def test_a_link_in_the_place_of_a_dead_ones_directory_is_not_followed(
    directory: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("kept")
    directory.mkdir(parents=True)
    os.symlink(other, directory / "1-aa")
    (directory / "1-aa.lock").touch()
    sweep(directory)
    assert (other / "file").read_text() == "kept"
