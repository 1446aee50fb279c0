"""What a change of a schema breaks: for a consumer made with the old one, and for old records read with the new one."""

from typing import Any

import orjson

_SAID = {"title", "description", "$comment", "$id", "$schema", "examples", "deprecated"}
"""What a schema says to people; a change of it breaks nothing."""


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what breaks, one sentence each; only a further optional property breaks nothing."""
    return list(_broken("", _resolved(old, old), _resolved(new, new)))


def _resolved(node: Any, root: dict[str, Any]) -> Any:
    """Return a schema with its references put in, and without what is said to people."""
    if isinstance(node, list):
        return [_resolved(each, root) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolved(
            {**root["$defs"][node["$ref"].rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}, root
        )
    properties = {name: _resolved(each, root) for name, each in node.get("properties", {}).items()}
    rest = {
        name: _resolved(each, root)
        for name, each in node.items()
        if name not in _SAID and name not in ("$defs", "properties")
    }
    return rest | ({"properties": properties} if "properties" in node else {})


def _broken(place: str, old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict) and "properties" in old and "properties" in new):
        if _canonical(old) != _canonical(new):
            yield f"{place or 'the record'} was {_canonical(old)} and is {_canonical(new)}"
        return
    for name, each in old["properties"].items():
        if name in new["properties"]:
            yield from _broken(f"{place}.{name}".lstrip("."), each, new["properties"][name])
        else:
            yield f"{place}.{name}".lstrip(".") + " is gone"
    for name in sorted(set(old.get("required", [])) ^ set(new.get("required", []))):
        yield f"{place}.{name}".lstrip(".") + " is required in one and not in the other"
    rest = [{k: v for k, v in each.items() if k not in ("properties", "required")} for each in (old, new)]
    if _canonical(rest[0]) != _canonical(rest[1]):
        yield f"{place or 'the record'} was {_canonical(rest[0])} and is {_canonical(rest[1])}"


def _canonical(node: Any) -> str:
    return orjson.dumps(_sorted(node), option=orjson.OPT_SORT_KEYS).decode()


def _sorted(node: Any) -> Any:
    """Return a schema in which the order of alternatives does not matter."""
    if isinstance(node, dict):
        return {name: _sorted(each) for name, each in node.items()}
    if isinstance(node, list):
        return sorted(
            (_sorted(each) for each in node), key=lambda each: orjson.dumps(each, option=orjson.OPT_SORT_KEYS)
        )
    return node
