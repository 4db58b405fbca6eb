"""The tools of the fixture that ask the host something before they answer."""

import json
from typing import Any

from tests.conformance.fixture_call import Call, form, roots, sampling
from tests.conformance.fixture_tools import TOOLS, Result, Tool, content, strings, tool

_RANKS = ("First", "Second", "Third")


def _said(answer: dict[str, Any], field: str) -> str:
    """One field of a form, or that the person gave none."""
    return str(answer.get("content", {}).get(field, f"({answer['action']})"))


def _completed(answer: dict[str, Any]) -> str:
    return f"Elicitation completed: action={answer['action']}, content={json.dumps(answer.get('content'))}"


# --- questions to the host -----------------------------------------------------------------------


@tool("Asks the host's model.", strings(prompt="What to ask the model"))
async def test_sampling(call: Call) -> Result:
    answers = await call.ask({"answer": sampling(str(call.arguments["prompt"]))})
    return content(f"LLM response: {answers['answer']['content'].get('text')}")


@tool("Asks the person for a name and an address.", strings(message="What to say to the person"))
async def test_elicitation(call: Call) -> Result:
    question = form(
        str(call.arguments["message"]),
        username={"type": "string", "description": "How to call you"},
        email={"type": "string", "description": "Where to write to"},
    )
    return content(f"User response: {json.dumps((await call.ask({'answer': question}))['answer'])}")


@tool("Asks the person with a form whose fields are filled in already.")
async def test_elicitation_sep1034_defaults(call: Call) -> Result:
    question = form(
        "Is this right?",
        required=False,
        name={"type": "string", "description": "Name", "default": "John Doe"},
        age={"type": "integer", "description": "Age", "default": 30},
        score={"type": "number", "description": "Score", "default": 95.5},
        status={
            "type": "string",
            "description": "Status",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        verified={"type": "boolean", "description": "Verified", "default": True},
    )
    return content(_completed((await call.ask({"answer": question}))["answer"]))


@tool("Asks the person to choose, in every way that a form has for it.")
async def test_elicitation_sep1330_enums(call: Call) -> Result:
    options = ["option1", "option2", "option3"]
    titled = [{"const": f"value{n}", "title": f"{rank} of three"} for n, rank in enumerate(_RANKS, 1)]
    question = form(
        "Which ones?",
        required=False,
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return content(_completed((await call.ask({"answer": question}))["answer"]))


@tool("Only for hosts whose model can be asked.")
async def test_missing_capability(call: Call) -> Result:
    call.require("sampling")
    return content("This host's model can be asked.")


@tool("Tells its progress, then asks the person.")
async def test_streaming_elicitation(call: Call) -> Result:
    await call.progress(50)
    answers = await call.ask({"go_on": form("Go on?", ok={"type": "boolean"})})
    return content(_completed(answers["go_on"]))


# --- the same in rounds --------------------------------------------------------------------------

NAME = form("What is your name?", name={"type": "string"})
CONFIRM = form("Please confirm", ok={"type": "boolean"})


@tool("Asks for a name and greets.")
async def test_input_required_result_elicitation(call: Call) -> Result:
    answer = (await call.ask({"user_name": NAME}))["user_name"]
    return content(f"Hello, {_said(answer, 'name')}!")


@tool("Asks the model for a capital.")
async def test_input_required_result_sampling(call: Call) -> Result:
    answers = await call.ask({"capital_question": sampling("What is the capital of France?")})
    return content(f"The model says: {answers['capital_question']['content'].get('text')}")


@tool("Asks which folders the host works in.")
async def test_input_required_result_list_roots(call: Call) -> Result:
    answers = await call.ask({"client_roots": roots()})
    return content("Folders: " + ", ".join(root["uri"] for root in answers["client_roots"]["roots"]))


@tool("Asks, and wants its own state back with the answer.")
async def test_input_required_result_request_state(call: Call) -> Result:
    await call.ask({"confirm": CONFIRM}, sealed=True)
    return content("state-ok")


@tool("Asks the person, the model and the host in one go.")
async def test_input_required_result_multiple_inputs(call: Call) -> Result:
    answers = await call.ask(
        {"user_name": NAME, "greeting": sampling("Generate a greeting", 50), "client_roots": roots()},
        sealed=True,
    )
    name = _said(answers["user_name"], "name")
    return content(f"{name}: {answers['greeting']['content'].get('text')}")


@tool("Asks twice, one question after the other.")
async def test_input_required_result_multi_round(call: Call) -> Result:
    first = form("Step 1: What is your name?", name={"type": "string"})
    name = _said((await call.ask({"step1": first}, sealed=True))["step1"], "name")
    second = form("Step 2: What is your favorite color?", color={"type": "string"})
    color = _said((await call.ask({"step2": second}, sealed=True))["step2"], "color")
    return content(f"{name} likes {color}.")


@tool("Asks, and takes no state that somebody changed.")
async def test_input_required_result_tampered_state(call: Call) -> Result:
    await call.ask({"confirm": CONFIRM}, sealed=True)
    return content("The state is as it was given out.")


@tool("Asks whatever this host can answer, and nothing else.")
async def test_input_required_result_capabilities(call: Call) -> Result:
    possible = {"elicitation": NAME, "sampling": sampling("Say something"), "roots": roots()}
    answers = await call.ask({name: each for name, each in possible.items() if call.can(name)})
    return content(f"Answered: {', '.join(answers) or 'nothing'}")


# Importing this module has listed the ones above; nobody can take the first half for the whole.
ALL_TOOLS: dict[str, Tool] = TOOLS
