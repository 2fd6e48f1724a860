"""How verbs show a machine that is up."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vcr.cli.context import App

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.app.running.up import Up
    from vcr.runtime.record import Record
    from vcr.runtime.volumes import NamedVolume


def record_json(record: "Record") -> dict[str, Any]:
    """Return RECORD as the JSON of every verb has it."""
    return {
        "name": record.name,
        "project": record.project,
        "profile": record.profile,
        "pid": record.pid,
        "created": record.created,
        "forwards": [asdict(forward) for forward in record.forwards],
    }


def volume_json(volume: "NamedVolume") -> dict[str, Any]:
    """Return VOLUME as the JSON of every verb has it."""
    return {
        "name": volume.name,
        "service": volume.service,
        "project": volume.project,
        "path": str(volume.path),
        "size": volume.size,
    }


def announce(app: App, up: "Up") -> None:
    """Say where the app that is UP is reached."""
    if app.ui.is_json:
        app.ui.json("machine", {**record_json(up.record), "status": up.record.status})
        return
    for forward in up.record.forwards:
        is_url = forward.protocol == "tcp"
        place = f"http://{forward.place}/" if is_url else f"{forward.place}/{forward.protocol}"
        app.ui.data(f"{place} → port {forward.target}")
    if up.root is not None:
        app.ui.note(f"its documents lead to {up.root}, which is NOT AWS's")
