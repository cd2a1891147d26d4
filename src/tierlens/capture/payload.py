"""Values in, JSON text out: never raises, never unbounded.

Objects of LangChain, pydantic, pandas and the like are recognised by their shape, so that nothing
of theirs is imported here.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tierlens.capture.messages import as_message, is_message
from tierlens.capture.shapes import has

# Without OPT_SERIALIZE_NUMPY, with which orjson imports numpy at the first object that it does not know.
OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_UTC_Z
MAX_TEXT = 1_000_000
MAX_DEPTH = 24
MAX_ITEMS = 2_000
MAX_NUMBERS = 10_000
_NAME = re.compile(r"[\w.:/-]{1,80}")
_NUMBERS = frozenset({"bool", "bool_", "float16", "float32", "float64"}) | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def dumps(value: object) -> str:
    """JSON of anything. What has no JSON form is described in words, with its type and size."""
    return encode(value).decode()


def encode(value: object) -> bytes:
    """As ``dumps``, as UTF-8 bytes."""
    try:
        return orjson.dumps(value, default=describe, option=OPTIONS)
    except Exception:  # whatever a foreign object's own code raises while it is read
        return orjson.dumps(plain(value), option=OPTIONS)


def describe(value: Any) -> object:
    """What stands in the JSON for an object that orjson does not know."""
    if is_number(value):
        return value.item()
    if is_message(value):
        return as_message(value)
    if has(value, "page_content"):
        return document(value)
    if has(value, "model_dump"):
        return value.model_dump()
    if has(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if has(value, "_asdict"):
        return value._asdict()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, set | frozenset):
        return sorted(value, key=safe_repr)
    if isinstance(value, Mapping):
        return dict(value)
    if _is_numpys(value):
        return _numbers(value)
    if has(value, "shape"):
        return f"<{type(value).__name__} {tuple(value.shape)}>"
    return safe_repr(value)


def is_number(value: object) -> bool:
    """Whether it is a number of numpy's that has its like in Python."""
    kind = type(value)
    return kind.__name__ in _NUMBERS and kind.__module__ == "numpy"


def natives(items: Sequence[object]) -> Sequence[object]:
    """A list whose items are all of one of numpy's types as Python's numbers, at once: one by one takes far longer."""
    if len(items) < MAX_ITEMS or not is_number(items[0]) or len(set(map(type, items))) != 1:
        return items
    numbers: list[object] = sys.modules["numpy"].array(items).tolist()
    return numbers


def _is_numpys(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy" and has(value, "dtype")


def _numbers(value: Any) -> object:
    """An array of numpy's, or one of its numbers, as lists and numbers; in words where that would be many."""
    kind = value.dtype.kind
    if value.size > MAX_NUMBERS:
        return f"<{type(value).__name__} {tuple(value.shape)} of {value.dtype}>"
    if kind == "M":
        value = value.astype("datetime64[us]")  # as finer ones are no dates to Python
    elif kind == "f" and value.dtype.itemsize > 8:
        value = value.astype(float)
    elif kind in "mc":
        value = value.astype(str)
    return value.tolist()


def document(value: Any) -> dict[str, object]:
    """A retrieved document as MLflow's retriever view reads it."""
    metadata, text = dict(value.metadata or {}), value.page_content
    return {"page_content": text, "metadata": metadata, "id": getattr(value, "id", None) or identity(metadata, text)}


def identity(metadata: Mapping[str, Any], text: object) -> object:
    """The id of a document that has none but in its metadata; None where nothing names it.

    Of one source there may be many: their texts tell them apart.
    """
    if (own := metadata.get("id")) not in (None, ""):
        return own
    return f"{source}#{digest(text)}" if (source := metadata.get("source")) else None


def digest(text: object) -> str:
    """What stands for a document without an id."""
    return hashlib.sha256(encode(text)).hexdigest()[:12]


def safe_str(value: object) -> str:
    """``str`` that cannot raise."""
    try:
        return str(value)
    except Exception:  # a hostile __str__
        return safe_repr(value)


def safe_repr(value: object) -> str:
    """``repr`` that cannot raise and cannot be long."""
    try:
        text = repr(value)
    except Exception as error:  # a hostile __repr__ is one of the things this exists for
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= 2_000 else text[:2_000] + "…"


def well_formed(text: str) -> str:
    """``text`` without lone surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def plain(value: object, depth: int = 0, above: frozenset[int] = frozenset()) -> object:
    """The slow road: rebuilt from dict, list, str and numbers, with cycles, depth and odd text taken out."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)  # numpy's is one, and not known to orjson
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, str):
        return well_formed(value)
    if id(value) in above:
        return "<cycle>"
    if depth >= MAX_DEPTH:
        return f"<{type(value).__name__} below depth {MAX_DEPTH}>"
    inside = above | {id(value)}
    if isinstance(value, Mapping):
        return _plain_mapping(value, depth, inside)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray | memoryview):
        items = [plain(item, depth + 1, inside) for item in list(value)[:MAX_ITEMS]]
        return items if len(value) <= MAX_ITEMS else [*items, f"<{len(value) - MAX_ITEMS} more>"]
    try:
        described = describe(value)
    except Exception:  # the object's own dump raised: its repr is all that is left
        described = safe_repr(value)
    return plain(described, depth + 1, inside)


def _plain_mapping(value: Mapping[Any, object], depth: int, inside: frozenset[int]) -> dict[str, object]:
    items = list(value.items())
    out = {
        str(plain(key if isinstance(key, str) else _key(key))): plain(item, depth + 1, inside)
        for key, item in items[:MAX_ITEMS]
    }
    if len(items) > MAX_ITEMS:
        out["…"] = f"<{len(items) - MAX_ITEMS} more>"
    return out


def _key(key: Any) -> str:
    return safe_repr(key.item() if _is_numpys(key) else key)


def capped(encoded: bytes, max_bytes: int) -> bytes:
    """``encoded`` JSON, or, where it is longer than ``max_bytes``, its head with size and SHA-256 of the whole."""
    if len(encoded) <= max_bytes:
        return encoded
    head = encoded[:max_bytes].decode("utf-8", "ignore")
    return orjson.dumps({"$cut": cut_note(encoded), "head": head})


def cut_note(encoded: bytes) -> dict[str, object]:
    return {"bytes": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()}


def text(value: object, limit: int = MAX_TEXT) -> str:
    """Text for a plain attribute: a string as it is, anything else as JSON, cut at ``limit`` characters."""
    out = value if isinstance(value, str) else dumps(value)
    return out if len(out) <= limit else f"{out[:limit]}… <{len(out)} characters>"


def shape(value: object) -> str:
    """What may be said of a value whose text must not leave the process: its kind and size."""
    if value is None:
        return repr(value)
    if isinstance(value, str):
        return f"<text, {len(value)} characters>"
    if isinstance(value, Mapping):
        return f"<{len(value)} keys>"
    if isinstance(value, Sequence | set | frozenset):
        return f"<{len(value)} items>"
    return f"<{type(value).__name__}>"


def is_name(key: object) -> bool:
    """Whether a mapping's key is a name, as states and arguments have them, and not text that somebody said."""
    return isinstance(key, str) and _NAME.fullmatch(key) is not None


def masked(value: object) -> object:
    """``value`` with all text taken out: names of keys and the roles of messages stay, nothing else."""
    if isinstance(value, Mapping):
        return {key if is_name(key) else "<key>": shape(item) for key, item in value.items()}
    if is_message(value):
        return {"role": as_message(value)["role"], "content": shape(getattr(value, "content", ""))}
    if isinstance(value, list | tuple):
        return [masked(item) if is_message(item) else shape(item) for item in value[:MAX_ITEMS]]
    return shape(value)
