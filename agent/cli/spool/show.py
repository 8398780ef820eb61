"""`spool show`: a line for each envelope, or one envelope completely."""

from __future__ import annotations

import argparse
import json

from ...base.errors import AgentError
from ...base.model import Envelope
from ...deliver import wire
from ...deliver.spool.files import UnreadableError
from .. import options
from ..terminal import console, is_terminal, json_text, moment, out, show_table, styled, table
from .places import Stored, check_usable, places, stored

_SHORT = 12  # characters of an id on a terminal


def run(arguments: argparse.Namespace) -> int:
    found = places(options.configured(arguments))
    everything = stored(found)
    if arguments.id:
        return _show_one(everything, arguments.id)
    own = found[0].spool
    if everything:
        _list(everything, clients=len(found) > 1)
    else:
        console().print(f"No envelope is in {own.directory}.")
    check_usable(own)
    return 0


def _list(everything: list[Stored], *, clients: bool) -> None:
    reasons = {
        (place.name, entry.name): reason
        for place in {each.place.name: each.place for each in everything}.values()
        for entry, reason in place.spool.quarantined()
    }
    rows = table("CAPTURED", "CATEGORY", "STATE", "ID", *(["CLIENT OF"] if clients else []), "REASON", folding="REASON")
    short = is_terminal()  # the first characters of an ID are enough to show one; through a pipe they are complete
    for place, state, entry in everything:
        captured = moment(entry.stamp / 1e9)
        cells = [
            captured,
            entry.category,
            state,
            entry.event_id[:_SHORT] if short else entry.event_id,
            *([place.where or "-"] if clients else []),
        ]
        rows.add_row(*map(styled, (*cells, reasons.get((place.name, entry.name), ""))))
    show_table(rows)


def _show_one(everything: list[Stored], wanted: str) -> int:
    found = [each for each in everything if each.entry.event_id.startswith(wanted)]
    ids = {each.entry.event_id for each in found}
    if len(ids) > 1:
        some = "\n".join("  " + each for each in sorted(ids)[:10])
        raise AgentError(f"{len(ids)} envelopes have an ID starting with {wanted!r}:\n{some}")
    for each in found:  # one event may be in two states
        try:
            envelope = each.read()
        except (OSError, UnreadableError) as error:
            raise AgentError(f"{each.entry.name} cannot be read: {error}") from None
        if envelope is not None:
            _print_envelope(each, envelope)
            return 0
    raise AgentError(f"no envelope has an ID starting with {wanted!r}; see: python -m agent spool show")


def _print_envelope(each: Stored, envelope: Envelope) -> None:
    target = console()
    parsed = wire.decode(envelope.data)
    client = f", of the host's own Sentry client for {each.place.where}" if each.place.name else ""
    facts = f"  {each.state}, {each.entry.category}, {len(envelope.data)} bytes{client}"
    target.print(styled((each.entry.event_id, "bold"), facts))
    out(json_text(parsed.headers))
    for item in parsed.items:
        out(json_text(item.headers))
        out(_readable(item.payload))


def _readable(payload: bytes) -> str:
    try:
        return json_text(json.loads(payload), indent=2)
    except ValueError:
        text = payload[:2000].decode("utf-8", "backslashreplace")
        return text + (f" … {len(payload)} bytes" if len(payload) > 2000 else "")
