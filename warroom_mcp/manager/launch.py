"""From a candidate and values to a launch plan: exactly what would be started, nothing decided later.

Pure. Text of problems, registries and models becomes single arguments, variables or headers here, or
it is refused; no text of theirs ever becomes an option, a command or a second argument.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from warroom_mcp.errors import InvalidInput, MissingInput
from warroom_mcp.manager import secrets
from warroom_mcp.manager.environment import PERSON_SETTINGS, refused_name
from warroom_mcp.manager.naming import check_package, server_name
from warroom_mcp.models import Candidate, InputPlace, LaunchPlan, Package, PackageInput, PackageKind
from warroom_mcp.packages import image_of

__all__ = ["plan_launch", "server_name"]

LONGEST_VALUE = 4096
"""Characters of one value; far above every address or path, far below the limits of a system call."""

_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9_.-]{0,99}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PASSWORD_IN_URL = re.compile(r"://[^/?#@\s:]*:[^/?#@\s]+@")

_TRANSPORT_HEADERS = frozenset(
    {
        *("host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade"),
        "te",  # codespell:ignore te
        *("trailer", "accept", "accept-encoding", "expect", "keep-alive", "proxy-authorization"),
        *("proxy-connection", "mcp-session-id", "mcp-protocol-version"),
    }
)
"""Headers that belong to the transport; a server's description may not set them."""

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[?[0-9A-Fa-f:.]{2,45}\]?")
_WORD = re.compile(r"\w[\w.$-]{0,199}")
_PARAMETER_GRAMMAR = {
    "host": _HOST,
    "port": re.compile(r"[0-9]{1,5}"),
    "database": _WORD,
    "user": _WORD,
    "container": _WORD,
    "namespace": _WORD,
    "bucket": _WORD,
    "region": _WORD,
}
"""What a problem's values may look like inside a template: nothing that would start another URL part."""


def plan_launch(
    candidate: Candidate,
    *,
    server: str,
    values: Mapping[str, str] = {},
    environ: Mapping[str, str] = {},
) -> LaunchPlan:
    """The plan for starting `candidate` under the name `server`.

    `values` are given by name: a variable, a header, an option with or without its dashes,
    `argument-1` for the first argument without a name. They win over templates filled from the
    problem, and those over defaults; an empty value leaves an optional input out. Secrets come as
    `env:NAME` or `keyring:NAME`, or from `environ` under the input's own name.

    Raises:
        InvalidInput: a package without an exact version, a value that is not allowed in its place.
        MissingInput: a required value or secret is not there; `details["missing"]` names them all.
    """
    package = candidate.package
    check_package(package)
    for argument in package.arguments:
        _check_text("A fixed argument", argument)
    drawn = _Drawing(candidate.parameters, _by_input(package, values), environ)
    for name, wanted in _named(package.inputs):
        drawn.add(name, wanted)
    if drawn.missing:
        raise _missing(package, drawn.missing)
    arguments = (*package.arguments, *drawn.arguments)
    names = sorted({*drawn.environment, *drawn.secrets})
    return LaunchPlan(
        server=server,
        candidate_id=candidate.id,
        package=package,
        command=_portable(package, names, arguments),
        arguments=arguments,
        environment=drawn.environment,
        headers=drawn.headers,
        secrets=drawn.secrets,
    )


def _portable(package: Package, names: list[str], arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The command as a person would type it on any machine; empty for a remote."""
    exact = f"{package.identifier}@{package.version}"
    match package.kind:
        case PackageKind.NPM if package.executable:
            return ("npx", "-y", f"--package={exact}", package.executable, *arguments)
        case PackageKind.NPM:
            return ("npx", "-y", exact, *arguments)
        case PackageKind.PYPI:
            exact = f"{package.identifier}=={package.version}"
            return ("uvx", "--from", exact, package.executable or package.identifier, *arguments)
        case PackageKind.OCI:
            passed = [word for name in names for word in ("-e", name)]
            return ("docker", "run", "-i", "--rm", *passed, image_of(package).reference, *arguments)
    return ()


# --- inputs ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Drawing:
    """A plan while it is drawn: what is known on one side, what came of it on the other."""

    parameters: Mapping[str, str]
    values: Mapping[str, str]
    environ: Mapping[str, str]
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    missing: dict[str, PackageInput] = field(default_factory=dict)

    def add(self, name: str, wanted: PackageInput) -> None:
        """Find the value of one input and put it in its place."""
        _check_name(wanted)
        given = self.values.get(name)
        if wanted.secret or (given is not None and wanted.place is not InputPlace.ARGUMENT):
            reference = self._reference(name, wanted, given)
            if reference is not None:
                self.secrets[wanted.name] = reference
                return
        value = None if wanted.secret else self._value(name, wanted, given)
        if value:
            self._place(name, wanted, value)
        elif wanted.required:
            self.missing[name] = wanted

    def _reference(self, name: str, wanted: PackageInput, given: str | None) -> str | None:
        """Where the secret is, or None; also for an input that is no secret but is given as one."""
        referenced = given is not None and secrets.is_reference(given)
        if wanted.secret and given and not referenced:
            # The value is not repeated: messages are logged, and it is a secret.
            raise InvalidInput(
                f"{name} is a secret, and War Room takes no secret as plain text.",
                hint="Set it as an environment variable of War Room and give `env:NAME`, or store it in the "
                "keyring and give `keyring:NAME`.",
            )
        if wanted.place is InputPlace.ARGUMENT:
            # The process list would show it to every program of the machine.
            return None
        if referenced:
            return given
        if not wanted.secret:
            return None
        if given is None and self.environ.get(wanted.name) and secrets.is_reference(f"env:{wanted.name}"):
            return f"env:{wanted.name}"
        return None

    def _value(self, name: str, wanted: PackageInput, given: str | None) -> str | None:
        if given is not None:
            return given
        filled = _fill(wanted.template, self.parameters) if wanted.template else None
        if filled is not None:
            return filled
        if wanted.place is InputPlace.ENV and wanted.name in PERSON_SETTINGS and self.environ.get(name):
            return self.environ[name]
        return wanted.default

    def _place(self, name: str, wanted: PackageInput, value: str) -> None:
        _check_text(name, value)
        if wanted.choices and value not in wanted.choices:
            raise InvalidInput(f"{name} must be one of {', '.join(wanted.choices)}, not {value!r}.")
        if _PASSWORD_IN_URL.search(value):
            raise InvalidInput(
                f"{name} carries a password inside an address, and the plan is stored and shown.",
                hint="Set the whole address as an environment variable of War Room and give `env:NAME`.",
            )
        match wanted.place:
            case InputPlace.ENV:
                self.environment[wanted.name] = value
            case InputPlace.HEADER:
                self.headers[wanted.name] = value
            case InputPlace.ARGUMENT:
                if value.startswith("-"):
                    raise InvalidInput(f"{name} may not start with a dash: {value!r} would be an option.")
                self.arguments.extend((wanted.name, value) if wanted.name.startswith("-") else (value,))


def _fill(template: str, parameters: Mapping[str, str]) -> str | None:
    """The first alternative of a template whose parameters are all known, filled; or None."""
    for alternative in template.split("|"):
        if all(parameters.get(name) for name in _PARAMETER.findall(alternative)):
            return _PARAMETER.sub(lambda found: _parameter(found[1], parameters), alternative.strip())
    return None


def _parameter(name: str, parameters: Mapping[str, str]) -> str:
    value = parameters[name]
    grammar = _PARAMETER_GRAMMAR.get(name)
    if (grammar and not grammar.fullmatch(value)) or (name == "port" and not 0 < int(value) < 65536):
        raise InvalidInput(
            f"The problem's {name} {value[:100]!r} cannot be used to start a server.",
            hint="Give the server's inputs as parameters.",
        )
    return value


# --- names and checks --------------------------------------------------------------------------


def _named(inputs: tuple[PackageInput, ...]) -> Iterator[tuple[str, PackageInput]]:
    """Each input with the name that a person uses for it."""
    position = 0
    for wanted in inputs:
        if wanted.place is InputPlace.ARGUMENT and not wanted.name:
            position += 1
            yield f"argument-{position}", wanted
        else:
            yield wanted.name, wanted


def _by_input(package: Package, values: Mapping[str, str]) -> dict[str, str]:
    """The given values under the inputs' own names; an unknown name is a mistake and is told."""
    known = {name: name for name, _ in _named(package.inputs)}
    without_dashes = {name.lstrip("-"): name for name in known}
    unknown = [name for name in values if name not in known and name not in without_dashes]
    if unknown:
        accepted = ", ".join(known) or "none"
        raise InvalidInput(
            f"{package.identifier} takes no input named {unknown[0][:100]!r}.",
            hint=f"Inputs of this server: {accepted}.",
        )
    return {known.get(name) or without_dashes[name]: value for name, value in values.items()}


def _check_name(wanted: PackageInput) -> None:
    name = wanted.name
    match wanted.place:
        case InputPlace.ENV:
            reason = refused_name(name)
        case InputPlace.HEADER if not _HEADER.fullmatch(name):
            reason = "it is not a header name"
        case InputPlace.HEADER:
            reason = "it belongs to the transport" if name.lower() in _TRANSPORT_HEADERS else None
        case InputPlace.ARGUMENT:
            dashed = name.startswith("-")
            reason = "it is not an option" if dashed and not _OPTION.fullmatch(name) else None
    if reason:
        raise InvalidInput(f"The package asks for an input {name[:100]!r} that is not given: {reason}.")


def _check_text(name: str, value: str) -> None:
    if len(value) > LONGEST_VALUE:
        raise InvalidInput(f"{name} is longer than {LONGEST_VALUE} characters.")
    if found := _CONTROL.search(value):
        raise InvalidInput(f"{name} contains the control character {found[0]!a}.")


def _missing(package: Package, missing: Mapping[str, PackageInput]) -> MissingInput:
    ways = [_way(name, wanted) for name, wanted in missing.items()]
    return MissingInput(
        f"{package.identifier} cannot start without {', '.join(missing)}.",
        hint=" ".join(ways),
        details={"missing": list(missing)},
    )


def missing_inputs(package: Package, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that a package cannot start without, and that this environment does not have."""
    return tuple(
        name
        for name, wanted in _named(package.inputs)
        if wanted.secret and wanted.required and not environ.get(wanted.name)
    )


def _way(name: str, wanted: PackageInput) -> str:
    """How a person provides one input."""
    about = f" ({wanted.description.strip().rstrip('.')[:120]})" if wanted.description else ""
    if wanted.secret and wanted.place is InputPlace.ARGUMENT:
        return (
            f"{name}{about} is a secret on the command line, where other programs can read it: "
            "start this server by hand if you must."
        )
    if wanted.secret and wanted.place is InputPlace.ENV:
        return (
            f"Set the environment variable {name}{about} for War Room, or store it with "
            f"`keyring set {secrets.KEYRING_SERVICE} {name}` and give {name}=keyring:{name}."
        )
    if wanted.secret:
        return f"Give {name}=env:NAME{about}, naming the variable that holds it, or keyring:NAME."
    return f"Give a value for {name}{about}."
