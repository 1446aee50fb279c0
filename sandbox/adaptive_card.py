"""A structural check of Teams messages: what the Workflows trigger and Adaptive Cards 1.4 would refuse.

Sources: Microsoft Learn `connectors/teams` (the message), the Adaptive Cards schema (elements and required fields).
Only what the schema knows up to 1.4 is let through.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson

VERSION = "1.4"
CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"
MAX_BYTES = 28 * 1024
MAX_MENTIONS = 20
MAX_DEPTH = 20

# element -> required fields with their types
_ELEMENTS: dict[str, dict[str, type]] = {
    "TextBlock": {"text": str},
    "RichTextBlock": {"inlines": list},
    "FactSet": {"facts": list},
    "Container": {"items": list},
    "ColumnSet": {"columns": list},
    "Column": {"items": list},
    "Image": {"url": str},
    "ImageSet": {"images": list},
    "ActionSet": {"actions": list},
    "Action.OpenUrl": {"url": str},
    "Action.ShowCard": {"card": dict},
    "Action.ToggleVisibility": {"targetElements": list},
}
_CHILDREN = {"body": "", "items": "", "columns": "Column", "images": "Image", "actions": "Action."}
_SPACING = "none small default medium large extralarge padding"
_WORDS = {
    "size": "auto stretch small medium large extralarge default",
    "weight": "lighter default bolder",
    "color": "default dark light accent good warning attention",
    "spacing": _SPACING,
    "horizontalAlignment": "left center right",
    "fontType": "default monospace",
}
_STYLES = {
    "TextBlock": "default heading",
    "Image": "default person",
    "Action": "default positive destructive",
    "": "default emphasis good attention warning accent",
}
_FLAGS = ("wrap", "isSubtle", "separator", "isVisible", "bleed")


class BadCard(ValueError):
    """Teams would refuse this message, or show "card could not be displayed"."""


def cards(raw: bytes) -> list[dict[str, Any]]:
    """Return the cards of a message.

    Raises BadCard with what is wrong first.
    """
    if len(raw) > MAX_BYTES:
        raise BadCard(f"Request Entity too large: {len(raw)} bytes, {MAX_BYTES} at most")
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadCard(f"not JSON: {error.msg}") from error
    if not isinstance(message, dict) or message.get("type") != "message":
        raise BadCard("the message's type must be 'message'")
    attachments = message.get("attachments")
    if not isinstance(attachments, list) or not attachments:
        raise BadCard("attachments must be a list that is not empty")
    return [_card(attachment) for attachment in attachments]


def _card(attachment: Any) -> dict[str, Any]:
    if not isinstance(attachment, dict) or attachment.get("contentType") != CONTENT_TYPE:
        raise BadCard(f"an attachment's contentType must be {CONTENT_TYPE}")
    if attachment.get("contentUrl") is not None:
        raise BadCard("an attachment's contentUrl must be null")
    card = attachment.get("content")
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        raise BadCard("an attachment's content must be an AdaptiveCard")
    if card.get("version") != VERSION:
        raise BadCard(f"the card's version must be {VERSION!r}, not {card.get('version')!r}")
    if not isinstance(card.get("body"), list) or not card["body"]:
        raise BadCard("the card's body must be a list that is not empty")
    seen: set[str] = set()
    for where, element in _elements(card, "card", 0):
        _check(element, where)
        name = element.get("id")
        if name is not None and (not isinstance(name, str) or name in seen):
            raise BadCard(f"{where}: the id {name!r} is no text, or occurs twice")
        seen.add(name or "")
    _check_mentions(card)
    return card


def _elements(parent: dict[str, Any], where: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if depth > MAX_DEPTH:
        raise BadCard(f"{where}: nested deeper than {MAX_DEPTH}")
    for name, kind in _CHILDREN.items():
        children = parent.get(name, [])
        if not isinstance(children, list):
            raise BadCard(f"{where}.{name}: must be a list")
        for number, child in enumerate(children):
            here = f"{where}.{name}[{number}]"
            # A column may leave its type out.
            element = {"type": kind} | child if isinstance(child, dict) and kind == "Column" else child
            if not isinstance(element, dict) or not _belongs(element.get("type"), kind):
                raise BadCard(
                    f"{here}: {child if not isinstance(child, dict) else child.get('type')!r} may not stand here"
                )
            yield here, element
            yield from _elements(element, here, depth + 1)
    if "selectAction" in parent:
        yield from _select_action(parent["selectAction"], f"{where}.selectAction", depth)
    if isinstance(parent.get("card"), dict):
        yield from _elements(parent["card"], f"{where}.card", depth + 1)


def _select_action(action: Any, where: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(action, dict) or not _belongs(action.get("type"), "Action.") or "card" in action:
        raise BadCard(f"{where}: must be an action, and none that shows a card")
    yield where, action
    yield from _elements(action, where, depth + 1)


def _belongs(kind: Any, place: str) -> bool:
    if not isinstance(kind, str) or kind not in _ELEMENTS:
        return False
    if place in {"Column", "Image"}:
        return bool(kind == place)
    return kind != "Column" and kind.startswith("Action.") == (place == "Action.")


def _check(element: dict[str, Any], where: str) -> None:
    kind = element["type"]
    for name, type_ in _ELEMENTS[kind].items():
        if not isinstance(element.get(name), type_):
            raise BadCard(f"{where}: a {kind} needs {name} ({type_.__name__})")
    _check_options(element, kind, where)
    if kind == "FactSet" and not all(_has_text(fact, "title", "value") for fact in element["facts"]):
        raise BadCard(f"{where}.facts: a fact needs title and value, both text")
    if kind == "RichTextBlock" and not all(
        isinstance(run, str) or _has_text(run, "text") for run in element["inlines"]
    ):
        raise BadCard(f"{where}.inlines: must be texts, or TextRuns with a text")
    if kind == "Action.OpenUrl" and not _absolute(element["url"]):
        raise BadCard(f"{where}.url: must be an absolute http or https address")


def _check_options(element: dict[str, Any], kind: str, where: str) -> None:
    for name in _FLAGS:
        if name in element and not isinstance(element[name], bool):
            raise BadCard(f"{where}.{name}: must be true or false")
    words = _WORDS | {"style": _STYLES.get(kind.split(".", maxsplit=1)[0], _STYLES[""])}
    for name, allowed in words.items():
        if name in element and str(element[name]).lower() not in allowed.split():
            raise BadCard(f"{where}.{name}: {element[name]!r} is none of {allowed}")


def _has_text(thing: Any, *names: str) -> bool:
    return isinstance(thing, dict) and all(isinstance(thing.get(name), str) for name in names)


def _check_mentions(card: dict[str, Any]) -> None:
    teams = card.get("msteams", {})
    if not isinstance(teams, dict):
        raise BadCard("card.msteams must be an object")
    entities = teams.get("entities", [])
    if not isinstance(entities, list) or len(entities) > MAX_MENTIONS:
        raise BadCard(f"card.msteams.entities must be a list of at most {MAX_MENTIONS}")


def _absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
