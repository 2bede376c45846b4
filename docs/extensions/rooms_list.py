"""The rooms beyond the core as rooms.toml lists them, and files of the core, with lines of code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rooms import ROOT, SOURCE, Room, files_to_read, lines_of, read_rooms
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

ROOMS = ROOT / "rooms.toml"


def first_page(room: Room) -> str:
    """Return the first page of a room, or script of the gallery, as a document of the site."""
    path: str = next(x for x in room.paths if x.endswith(".md") or x.startswith("examples/"))
    return "/" + path.rpartition(".")[0].removeprefix("docs/").replace("examples/", "gallery/")


class RoomsList(SphinxDirective):
    """Write a row for each room: what it is for, its lines, what it needs, and who needs it."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes; the page is built again when the list changes."""
        self.env.note_dependency(str(ROOMS))
        rooms = read_rooms(ROOMS.read_text("utf-8"))
        rows = "| Room | For | Lines | Needs | Needed by |\n|---|---|---:|---|---|\n"
        for name, room in rooms.items():
            users = ", ".join(x for x, other in rooms.items() if name in other.needs)
            needs = ", ".join((*room.needs, *room.packages)) or "–"
            lines = lines_of(room.source)
            rows += f"| `{name}` | {room.summary} | {lines:,} | {needs} | {users or '–'} |\n"
        return self.parse_text_to_nodes(rows)


class Beyond(SphinxDirective):
    """Write a link to the first page of each room named that is there, and what the room is for."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the nodes; the page is built again when the list changes."""
        self.env.note_dependency(str(ROOMS))
        rooms = read_rooms(ROOMS.read_text("utf-8"))
        named = [rooms[name] for name in self.arguments[0].split() if name in rooms]
        entries = (f"- {{doc}}`{first_page(room)}`. {room.summary}." for room in named)
        return self.parse_text_to_nodes("\n".join(entries))


class FilesToRead(SphinxDirective):
    """Write a row for each room of the core: the files to read first, with their lines."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes; the page is built again when the list changes."""
        self.env.note_dependency(str(ROOMS))
        rows = "| Room | Files to read, with their lines | Lines of the room |\n|---|---|---:|\n"
        for room, files in files_to_read().items():
            words = ", ".join(f"`{name}` {lines}" for name, lines in files.items()) or "–"
            rows += f"| `{room}` | {words} | {lines_of(f'{SOURCE}/{room}'):,} |\n"
        return self.parse_text_to_nodes(rows)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("beyond", Beyond)
    app.add_directive("rooms", RoomsList)
    app.add_directive("files-to-read", FilesToRead)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
