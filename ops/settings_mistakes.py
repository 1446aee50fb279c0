"""What is wrong with a setting, in words; its value is never repeated, it may be a secret."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def sentence(error: ValidationError) -> str:
    """Name each wrong setting by its variable, and say what it must be."""
    prefix = error.title.removesuffix("Settings").upper()
    wrong: dict[str, list[str]] = {}
    for each in error.errors(include_input=False):
        name = str(each["loc"][0])
        wrong.setdefault(name if name.isupper() else f"{prefix}_{name.upper()}", []).append(reason(each))
    return "; ".join(f"{name} must be {', or '.join(reasons)}" for name, reasons in wrong.items()) + "."


def reason(error: ErrorDetails) -> str:
    """Say what the value must be."""
    if error["type"].startswith("time_delta"):
        return "a duration, such as 90s, 15m, 24h or 14d"
    text = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return text.partition(",")[0] if error["type"].endswith("_parsing") else text
