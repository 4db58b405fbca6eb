"""The resources, prompts and completions that the conformance suite asks for by name."""

import json
import re
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types.jsonrpc import INVALID_PARAMS

from tests.conformance.fixture_call import Call, form
from tests.conformance.fixture_tools import image, png, resource, text

# What hosts before 2026-07-28 expect; later it is an invalid parameter like any other.
RESOURCE_NOT_FOUND = -32002

RESOURCES: list[dict[str, Any]] = [
    {
        "uri": "test://static-text",
        "name": "Static text",
        "description": "Always the same words",
        "mimeType": "text/plain",
    },
    {
        "uri": "test://static-binary",
        "name": "Static binary",
        "description": "Always the same pixel",
        "mimeType": "image/png",
    },
    {
        "uri": "test://watched-resource",
        "name": "Watched resource",
        "description": "Something to subscribe to",
        "mimeType": "text/plain",
    },
]
TEMPLATES: list[dict[str, Any]] = [
    {
        "uriTemplate": "test://template/{id}/data",
        "name": "Data of an id",
        "description": "Made from the id in its address",
        "mimeType": "application/json",
    }
]

_OF_TEMPLATE = re.compile(r"test://template/(?P<id>[^/]+)/data")


def read(uri: str, modern: bool) -> dict[str, Any]:
    """The contents of a resource.

    Raises:
        MCPError: there is no such resource; the code is the one of the host's era.
    """
    if uri == "test://static-binary":
        return {"uri": uri, "mimeType": "image/png", "blob": png()}
    if found := _OF_TEMPLATE.fullmatch(uri):
        data = {"id": found["id"], "templateTest": True, "data": f"Data for ID: {found['id']}"}
        return {"uri": uri, "mimeType": "application/json", "text": json.dumps(data)}
    if any(each["uri"] == uri for each in RESOURCES):
        return {"uri": uri, "mimeType": "text/plain", "text": f"The words behind {uri}."}
    raise MCPError(INVALID_PARAMS if modern else RESOURCE_NOT_FOUND, "Resource not found", {"uri": uri})


def _argument(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description, "required": True}


PROMPTS: list[dict[str, Any]] = [
    {"name": "test_simple_prompt", "description": "One sentence"},
    {
        "name": "test_prompt_with_arguments",
        "description": "A sentence with two gaps",
        "arguments": [_argument("arg1", "The first gap"), _argument("arg2", "The second gap")],
    },
    {
        "name": "test_prompt_with_embedded_resource",
        "description": "A resource and a sentence about it",
        "arguments": [_argument("resourceUri", "Where the resource says it is from")],
    },
    {"name": "test_prompt_with_image", "description": "A picture and a sentence about it"},
    {"name": "test_input_required_result_prompt", "description": "Asks the person before it is ready"},
]
ADDED = {
    "name": "fixture_added_prompt",
    "description": "Listed or not: test_trigger_prompt_change turns it on and off.",
}


async def prompt(call: Call) -> dict[str, Any]:
    """The messages of a prompt.

    Raises:
        MCPError: there is no such prompt, or it misses an argument.
    """
    said = call.arguments
    needed = next((each for each in PROMPTS if each["name"] == call.name), None)
    if needed is None:
        raise MCPError(INVALID_PARAMS, f"Unknown prompt: {call.name}")
    if missing := [each["name"] for each in needed.get("arguments", []) if each["name"] not in said]:
        raise MCPError(INVALID_PARAMS, f"{call.name} needs {', '.join(missing)}")
    match call.name:
        case "test_prompt_with_arguments":
            blocks = [text(f"Prompt with arguments: arg1='{said['arg1']}', arg2='{said['arg2']}'")]
        case "test_prompt_with_embedded_resource":
            carried = resource(said["resourceUri"], "text/plain", "Carried inside a prompt.")
            blocks = [carried, text("What is in the resource above?")]
        case "test_prompt_with_image":
            blocks = [image(), text("What is in the picture above?")]
        case "test_input_required_result_prompt":
            question = form("What context should the prompt use?", context={"type": "string"})
            answer = (await call.ask({"user_context": question}))["user_context"]
            blocks = [text(f"Context: {answer.get('content', {}).get('context', answer['action'])}")]
        case _:
            blocks = [text("This is a simple prompt for testing.")]
    messages = [{"role": "user", "content": block} for block in blocks]
    return {"resultType": "complete", "description": needed["description"], "messages": messages}


_WORDS = {
    "arg1": ("park", "party", "paris", "test", "testing"),
    "arg2": ("hello", "world"),
    "id": ("123", "42"),
}


def completions(argument: str, start: str) -> list[str]:
    """Words that an argument may go on to."""
    return [word for word in _WORDS.get(argument, ()) if word.startswith(start)]
