"""Personal access links: random, stored hashed, revocable."""

import hashlib
import re
import secrets
import sqlite3
import time

from events.errors import NotReady

NAME = re.compile(r"[\w.@+-]{1,100}")


def add(connection: sqlite3.Connection, name: str) -> str:
    """Make a link for a person and return its token, which is nowhere stored.

    Raises NotReady for a name that cannot be one, or has a link already.
    """
    if not NAME.fullmatch(name):
        raise NotReady("A name is letters, digits and . _ @ + - only, at most 100 of them.")
    token = secrets.token_urlsafe(32)
    try:
        connection.execute("INSERT INTO links VALUES (?, ?, ?)", (name, _hash(token), time.time()))
    except sqlite3.IntegrityError:
        raise NotReady(f"{name} has a link already; `tocsin inbox users revoke {name}` takes it back.") from None
    return token


def revoke(connection: sqlite3.Connection, name: str) -> None:
    """Take a link back; pages opened with it are shut out with their next request.

    Raises NotReady when there is none of this name.
    """
    if connection.execute("DELETE FROM links WHERE name = ?", (name,)).rowcount == 0:
        raise NotReady(f"Nobody named {name} has a link; see `tocsin inbox users list`.")


def owner(connection: sqlite3.Connection, token: str) -> str:
    """Return whose token this is, "" for nobody's."""
    # Looked up by its hash: how long that takes says nothing about the token.
    row = connection.execute("SELECT name FROM links WHERE token_hash = ?", (_hash(token),)).fetchone()
    return row["name"] if row else ""


def names(connection: sqlite3.Connection) -> list[tuple[str, float]]:
    """Return who has a link, and since when in Unix seconds."""
    return [(row["name"], row["created_at"]) for row in connection.execute("SELECT * FROM links ORDER BY name")]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
