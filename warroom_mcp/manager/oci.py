"""Fetches a container image and says how it is run: always by digest, never with more rights than given."""

import json
import os
from collections.abc import Iterable

from warroom_mcp.errors import InstallFailed, IntegrityMismatch, PackageNotFound, RuntimeMissing, WarRoomError
from warroom_mcp.manager.environment import installer_environment
from warroom_mcp.manager.record import Record
from warroom_mcp.manager.run import Finished, run
from warroom_mcp.manager.runtimes import NO_ENGINE, find_engine, find_program
from warroom_mcp.models import Package
from warroom_mcp.packages import Image, image_of

_RUN = ("run", "-i", "--rm", "--init", "--security-opt", "no-new-privileges")


async def install(package: Package) -> Record:
    """Pull the image and note its digest.

    Raises:
        RuntimeMissing, PackageNotFound, IntegrityMismatch, InstallFailed.
    """
    image = image_of(package)
    engine = await find_engine()
    environment = installer_environment(os.environ)
    pulled = await run((str(engine), "pull", "--quiet", image.reference), env=environment)
    if pulled.code != 0:
        raise _failure(image, pulled)
    asked = (str(engine), "image", "inspect", "--format", "{{json .RepoDigests}}", image.reference)
    digest = _digest(image, await run(asked, env=environment))
    return Record(
        identifier=package.identifier,
        version=package.version,
        integrity=digest,
        image=f"{image.name}@{digest}",
        engine=engine.stem,
    )


def argv(record: Record) -> tuple[str, ...]:
    """What comes before the names of variables and the image.

    Raises: RuntimeMissing.
    """
    engine = find_program(record.engine or "docker")
    if engine is None:
        raise RuntimeMissing(f"{record.engine} is needed to start this image.", hint=NO_ENGINE)
    return (str(engine), *_RUN)


def passed(names: Iterable[str]) -> tuple[str, ...]:
    """The variables that a container gets, by name only.

    The values stay in the engine's own environment: a command line can be read by every program.
    """
    return tuple(word for name in sorted(names) for word in ("-e", name))


def _digest(image: Image, inspected: Finished) -> str:
    try:
        listed = [str(entry).rpartition("@") for entry in json.loads(inspected.stdout)]
    except (ValueError, TypeError):
        listed = []
    digests = [digest for _, _, digest in listed if digest.startswith("sha256:")]
    if image.digest:
        if image.digest not in digests:
            raise IntegrityMismatch(
                f"{image.name} is not what was approved.",
                details={"approved": image.digest, "served": digests},
            )
        return image.digest
    # An image may have been pulled under several names; the one that was asked for counts.
    own = [digest for name, _, digest in listed if digest in digests and _same_repository(name, image.name)]
    if not own:
        raise InstallFailed(f"The engine tells no digest for {image.reference}.", retryable=False)
    return own[0]


def _same_repository(one: str, other: str) -> bool:
    """`docker.io/library/x`, `library/x` and `x` are one repository."""
    return _short(one) == _short(other)


def _short(name: str) -> str:
    return name.removeprefix("docker.io/").removeprefix("library/")


def _failure(image: Image, pulled: Finished) -> WarRoomError:
    said = pulled.stderr.lower()
    if any(words in said for words in ("manifest unknown", "not found", "repository does not exist")):
        return PackageNotFound(f"The registry does not serve the image {image.reference}.")
    refused = "denied" in said or "unauthorized" in said
    return InstallFailed(
        f"The image {image.reference} could not be pulled:\n{pulled.last_words}", retryable=not refused
    )
