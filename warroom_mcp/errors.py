"""What can go wrong, as one tree. Only the edges turn these into MCP results or exit codes.

WarRoomError
├── Refusal                     policy or a person said no: not a failure of the system
│   ├── ApprovalRequired        a person has not answered yet
│   ├── ApprovalDenied          a person said no
│   ├── Blocked                 policy never allows it
│   └── NotConfirmed            nothing shows that a listed package is the server that it is said to be
├── InvalidInput                the caller can mend it
│   ├── InvalidProblem          empty, binary or too large
│   ├── UnknownCandidate
│   ├── UnknownServer
│   ├── UnknownTool
│   ├── UnknownTicket
│   ├── InvalidArguments
│   ├── ResultGone              a large result that is kept no longer
│   └── MissingInput            a parameter or a secret that the server cannot start without
├── CatalogError
│   ├── SourceUnavailable       a registry is down, slow, limiting or talks nonsense
│   └── NothingFound
├── InstallError
│   ├── RuntimeMissing          no Node, uv or container engine
│   ├── PackageNotFound
│   ├── NoExecutable            the package offers nothing to start
│   ├── IntegrityMismatch       what was fetched is not what was approved
│   └── InstallFailed
├── ChildError
│   ├── StartFailed             the child exited or broke the protocol before it was ready
│   ├── StartTimeout
│   ├── CallTimeout
│   ├── ChildGone               it died, or was stopped, during a call
│   ├── ChildProtocolError      it answered with something that is not MCP
│   ├── ChildRefused            it answered with an error of its own
│   ├── AuthorizationNeeded     a remote server wants a person's consent, or more of it (OAuth)
│   └── AuthorizationFailed     the consent, or its renewal, did not come about
└── StateError
    ├── ConfigCorrupt
    └── StateNotWritable
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class WarRoomError(Exception):
    """An error that a person can act on.

    `code` is stable and may be matched by programs; `message` says what happened; `hint` says what
    the person can do next; `retryable` tells whether the same call may go through later; `details`
    holds JSON-ready facts, among them what was kept.
    """

    code: ClassVar[str] = "internal_error"
    hint: str = "Run `warroom doctor`, and report the problem with its output."
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retryable: bool | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        if retryable is not None:
            self.retryable = retryable
        self.details: dict[str, Any] = dict(details or {})

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-ready values: code, message, hint, retryable and, if any, details."""
        answer: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
        }
        if self.details:
            answer["details"] = self.details
        return answer


class Refusal(WarRoomError):
    code = "refused"
    hint = "The trust policy does not allow this."


class ApprovalRequired(Refusal):
    code = "approval_required"
    hint = "A person has to approve it: `warroom pending` shows what waits."
    retryable = True


class ApprovalDenied(Refusal):
    code = "approval_denied"
    hint = "A person refused this server. Choose another candidate, or ask the person."


class Blocked(Refusal):
    code = "blocked"
    hint = "This candidate can never be started under the present policy. Choose another one."


class NotConfirmed(Refusal):
    code = "not_confirmed"
    hint = "Choose another candidate, or follow its repository to the package that its makers name."


class InvalidInput(WarRoomError):
    code = "invalid_input"
    hint = "Correct the input and try again."


class InvalidProblem(InvalidInput):
    code = "invalid_problem"
    hint = "Send the error lines as text, with a few lines around them."


class UnknownCandidate(InvalidInput):
    code = "unknown_candidate"
    hint = "Call find_servers first and use a candidate_id from its answer."


class UnknownServer(InvalidInput):
    code = "unknown_server"
    hint = "list_servers shows the names of the added servers."


class UnknownTool(InvalidInput):
    code = "unknown_tool"
    hint = "find_tools shows the tools that can be called."


class UnknownTicket(InvalidInput):
    code = "unknown_ticket"
    hint = "`warroom pending` shows the tickets that wait for an answer."


class InvalidArguments(InvalidInput):
    code = "invalid_arguments"
    hint = "Compare the arguments with the tool's input schema."


class ResultGone(InvalidInput):
    code = "result_gone"
    hint = "Call the tool again, perhaps with a narrower question."


class MissingInput(InvalidInput):
    code = "missing_input"
    hint = "Set the named environment variable, or store the secret in the keyring, and try again."


class CatalogError(WarRoomError):
    code = "catalog_error"
    hint = "Try again later; the curated servers are always available."
    retryable = True


class SourceUnavailable(CatalogError):
    code = "source_unavailable"
    hint = "Check the network and the source's base URL in the settings."


class NothingFound(CatalogError):
    code = "nothing_found"
    hint = "Name the technology that the problem comes from, or search with other words."
    retryable = False


class InstallError(WarRoomError):
    code = "install_error"
    hint = "Choose another candidate, or try again."


class RuntimeMissing(InstallError):
    code = "runtime_missing"
    hint = "Install the runtime that the message names; `warroom doctor` checks it."


class PackageNotFound(InstallError):
    code = "package_not_found"
    hint = "The registry does not serve this package. Choose another candidate."


class NoExecutable(InstallError):
    code = "no_executable"
    hint = "The package is no MCP server that can be started. Choose another candidate."


class IntegrityMismatch(InstallError):
    code = "integrity_mismatch"
    hint = "Do not use this package: what was served differs from what was approved."


class InstallFailed(InstallError):
    code = "install_failed"
    retryable = True


class ChildError(WarRoomError):
    code = "child_error"
    hint = "list_servers shows the server's state and its last words."


class StartFailed(ChildError):
    code = "start_failed"
    hint = "Read the server's last words in the message: often a parameter or credential is missing."


class StartTimeout(ChildError):
    code = "start_timeout"
    hint = "The server did not become ready in time. Try again, or choose another candidate."
    retryable = True


class CallTimeout(ChildError):
    code = "call_timeout"
    hint = "The server did not answer in time. Ask for less, or try again."
    retryable = True


class ChildGone(ChildError):
    code = "child_gone"
    hint = "The server stopped during the call; it is started again at the next call."
    retryable = True


class ChildProtocolError(ChildError):
    code = "child_protocol_error"
    hint = "The server's answer is not valid MCP. Choose another candidate."


class ChildRefused(ChildError):
    code = "child_refused"
    hint = "The server itself said no: correct the call as its message says."


class AuthorizationNeeded(ChildError):
    code = "authorization_needed"
    hint = "Run `warroom authorize NAME` in a terminal: it opens the page for your consent."


class AuthorizationFailed(ChildError):
    code = "authorization_failed"
    hint = "Run `warroom authorize NAME` again."


class StateError(WarRoomError):
    code = "state_error"
    hint = "Check the state directory; WARROOM_HOME chooses another one."


class ConfigCorrupt(StateError):
    code = "config_corrupt"
    hint = "Mend or move the named file; nothing was overwritten."


class StateNotWritable(StateError):
    code = "state_not_writable"
    hint = "Make the directory writable, or set WARROOM_HOME to one that is."
