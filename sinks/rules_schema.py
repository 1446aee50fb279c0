"""The JSON Schema of the rules file, for editors."""

from typing import Any

from sinks import shelf
from sinks.rules import Rule, TargetOptions


def schema() -> dict[str, Any]:
    """Return the schema; each destination on the shelf adds its own settings."""
    rule = Rule.model_json_schema(ref_template="#/$defs/{model}")
    definitions = rule.pop("$defs", {})
    _short_forms(rule["properties"])
    options = TargetOptions.model_json_schema(ref_template="#/$defs/{model}")
    definitions |= options.pop("$defs", {})
    targets = []
    for type_ in shelf.types():
        settings = shelf.find(type_).Settings.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= settings.pop("$defs", {})
        settings["properties"] = {"type": {"const": type_}, **options["properties"], **settings.get("properties", {})}
        settings["required"] = ["type", *settings.get("required", [])]
        targets.append(settings)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tocsin.yml",
        "type": "object",
        "additionalProperties": False,
        "required": ["targets", "rules"],
        "properties": {
            "targets": {"type": "object", "minProperties": 1, "additionalProperties": {"oneOf": targets}},
            "rules": {"type": "array", "minItems": 1, "items": rule},
            "unmatched": {"const": "drop"},
            "operators": {
                "description": "Targets that are told what the pipeline says of itself.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            },
        },
        "$defs": definitions,
    }


def _short_forms(settings: dict[str, Any]) -> None:
    # What may be written for short; the validators that allow it say nothing in a schema.
    settings["match"] = {"anyOf": [{"const": "all"}, settings["match"]]}
    settings["mute"] = {"anyOf": [settings["mute"]["items"], settings["mute"]]}
    settings["digest"] = {"anyOf": [{"type": "string", "examples": ["15m", "1h"]}, *settings["digest"]["anyOf"]]}
