"""Questions with a name, one file each: `noisiest-rules.sql`, whose first line says what it answers."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from events.errors import NotReady

_ENDING = ".sql"


def named(question: str) -> str:
    """Return the SQL of a question that has a name, or the question itself.

    Raises NotReady for a single word that is no name.
    """
    if not question.replace("-", "").isidentifier():
        return question
    for file in _shelf():
        if file.name == question + _ENDING:
            return file.read_text("utf-8")
    raise NotReady(f"{question!r} is no question with a name; `tocsin query --list` shows them, and SQL works too.")


def titles() -> dict[str, str]:
    """Return what each question answers, by its name."""
    lines = {file.name.removesuffix(_ENDING): file.read_text("utf-8").partition("\n")[0] for file in _shelf()}
    return {name: line.removeprefix("-- ") for name, line in lines.items()}


def _shelf() -> list[Traversable]:
    return sorted((file for file in files(__name__).iterdir() if file.name.endswith(_ENDING)), key=lambda f: f.name)
