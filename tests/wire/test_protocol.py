"""The names and numbers of MCP, compared with those of the SDK."""

from typing import get_args

import mcp_types
import pytest
from mcp_types import _v2026_07_28 as modern
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from warroom_mcp.wire import protocol


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("PARSE_ERROR", "PARSE_ERROR"),
        ("INVALID_REQUEST", "INVALID_REQUEST"),
        ("METHOD_NOT_FOUND", "METHOD_NOT_FOUND"),
        ("INVALID_PARAMS", "INVALID_PARAMS"),
        ("INTERNAL_ERROR", "INTERNAL_ERROR"),
        ("MISSING_CAPABILITY", "MISSING_REQUIRED_CLIENT_CAPABILITY"),
        ("UNSUPPORTED_VERSION", "UNSUPPORTED_PROTOCOL_VERSION"),
        ("URL_ELICITATION_REQUIRED", "URL_ELICITATION_REQUIRED"),
        ("META_VERSION", "PROTOCOL_VERSION_META_KEY"),
        ("META_CLIENT", "CLIENT_INFO_META_KEY"),
        ("META_CAPABILITIES", "CLIENT_CAPABILITIES_META_KEY"),
        ("META_SERVER", "SERVER_INFO_META_KEY"),
        ("META_LOG_LEVEL", "LOG_LEVEL_META_KEY"),
    ],
)
def test_a_name_or_number_is_that_of_the_sdk(ours: str, theirs: str) -> None:
    assert getattr(protocol, ours) == getattr(mcp_types, theirs)


def test_the_versions_are_those_of_the_sdk_in_their_order() -> None:
    assert tuple(HANDSHAKE_PROTOCOL_VERSIONS) == protocol.HANDSHAKE_VERSIONS
    assert tuple(MODERN_PROTOCOL_VERSIONS) == protocol.MODERN_VERSIONS
    assert mcp_types.LATEST_PROTOCOL_VERSION in (protocol.LATEST_HANDSHAKE, protocol.LATEST_MODERN)


def test_the_eras_are_told_apart() -> None:
    assert all(protocol.is_modern(version) for version in protocol.MODERN_VERSIONS)
    assert not any(
        protocol.is_modern(version) for version in (*protocol.HANDSHAKE_VERSIONS, None, "", "2099")
    )


def test_the_subscription_key_is_that_of_the_schema() -> None:
    field = modern.SubscriptionsListenResultMeta.model_fields["io_modelcontextprotocol_subscription_id"]
    assert field.alias == protocol.META_SUBSCRIPTION


def test_the_log_levels_are_those_of_the_schema_from_the_least_on() -> None:
    assert set(protocol.LOG_LEVELS) == set(get_args(mcp_types.LoggingLevel))
    assert protocol.LOG_LEVELS[0] == "debug"
    assert protocol.LOG_LEVELS[-1] == "emergency"


def test_what_a_server_may_ask_is_a_capability_of_its_client() -> None:
    known = set(mcp_types.ClientCapabilities.model_fields)
    assert set(protocol.ASKING.values()) <= known
