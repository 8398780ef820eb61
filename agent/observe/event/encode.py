"""The bytes of an event: compact JSON. The frames that events share are encoded once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ...base.interrupts import ours
from ...privacy.scrub import Clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...base.model import Event

#: id of a frame that events share → that frame and its JSON.
_frames: dict[int, tuple[Clean, str]] = {}
_MOST_FRAMES = 2_000
_PLACEHOLDER = "\0"


def encode(event: Event) -> bytes:
    """Compact JSON in UTF-8. Each frame is encoded once, however many events contain it."""
    payload = cast("dict[str, Any]", event)
    stacks: list[str] = []
    shallow = dict(payload)
    for holder in ("exception", "threads"):
        section: dict[str, Any] = payload.get(holder) or {}
        if type(section.get("values")) is list:
            shallow[holder] = {**section, "values": [_without_frames(each, stacks) for each in section["values"]]}
    whole = to_json(shallow)
    if stacks:
        first, *rest = whole.split('"\\u0000"')
        if len(rest) == len(stacks):
            whole = first + "".join([frames + after for frames, after in zip(stacks, rest)])
        else:  # a text of the host's contains our placeholder
            whole = to_json(payload)
    return whole.encode("utf-8", "replace")


def _without_frames(value: Any, stacks: list[str]) -> Any:
    """The value with a placeholder for its frames, whose JSON is added to `stacks`."""
    trace = value.get("stacktrace") if type(value) is dict else None
    frames = trace.get("frames") if type(trace) is dict else None
    if type(frames) is not list:
        return value
    stacks.append("[" + ",".join([_frame(frame) for frame in frames]) + "]")
    return {**value, "stacktrace": dict(cast("dict[str, Any]", trace), frames=_PLACEHOLDER)}


def _frame(frame: Any) -> str:
    if type(frame) is not Clean:
        return to_json(frame)
    known = _frames.get(id(frame))
    if known is None or known[0] is not frame:
        if len(_frames) >= _MOST_FRAMES:
            _frames.clear()
        known = _frames[id(frame)] = (frame, to_json(frame))
    return known[1]


def to_json(value: object, *, ascii_only: bool = False) -> str:
    """Compact JSON of values of exact JSON types."""
    return "".join((_ascii_encoder if ascii_only else _encoder)(value, 0))


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _make_encoder(*, ascii_only: bool) -> Callable[[object, int], Iterable[str]]:
    """The encoder that `json` makes for each call, without importing `json`, which loads a decoder too."""
    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder
    except ours(ImportError):  # a Python without its accelerator
        from json import JSONEncoder

        settings = JSONEncoder(ensure_ascii=ascii_only, check_circular=False, allow_nan=False, separators=(",", ":"))
        return lambda value, _: [settings.encode(value)]
    text_ = encode_basestring_ascii if ascii_only else encode_basestring
    made: Callable[[object, int], Iterable[str]] = make_encoder(
        None, _refuse, text_, None, ":", ",", False, False, False
    )
    return made


_encoder, _ascii_encoder = _make_encoder(ascii_only=False), _make_encoder(ascii_only=True)
