"""Values of the models as plain JSON, and back."""

import dataclasses
import json
from collections.abc import Mapping, Set
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses and mappings as objects, sequences as arrays, times as ISO 8601.

    Raises:
        TypeError: JSON has no form for something in it.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (str, int, float)):
        return value
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Set):
        return sorted(plain(item) for item in value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def encode(value: Any) -> str:
    """A value as JSON text.

    Half a surrogate pair, which registries do send, has no place in UTF-8 and becomes a question mark.
    """
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def decode(kind: type[T], text: str) -> T:
    """The value of a dataclass that `encode` wrote.

    Raises:
        ValueError: the text is not such a value.
    """
    return validate(kind, json.loads(text))


def validate(kind: type[T], value: object) -> T:
    """The value of a dataclass from its plain form.

    Raises:
        ValueError: the form does not fit.
    """
    answer: T = _adapter(kind).validate_python(value)
    return answer


_adapters: dict[type[Any], "TypeAdapter[Any]"] = {}


def _adapter(kind: type[Any]) -> "TypeAdapter[Any]":
    if kind not in _adapters:
        # Imported late: building the validators is the dearest part of opening the store.
        from pydantic import TypeAdapter

        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
