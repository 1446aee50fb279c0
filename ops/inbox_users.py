"""`tocsin inbox users`: who has a personal link to the inbox."""

from datetime import UTC, datetime

from inbox import links
from inbox.database import Database
from inbox.settings import InboxSettings


def add(name: str, address: str) -> None:
    """Make a personal link and print it, once; `address` is how browsers reach the inbox, "" for its own.

    Raises NotReady for a name that cannot be one, or has a link already.
    """
    settings = InboxSettings()
    database = Database(settings.path())
    with database.writing() as connection:
        token = links.add(connection, name)
    database.close()
    base = address.rstrip("/") or f"http://{settings.host}:{settings.port}"
    print(f"{base}/enter#{token}")
    print("This is the only time it is shown. Who has it reads every notification: pass it on privately.")


def revoke(name: str) -> None:
    """Take a personal link back.

    Raises NotReady when there is none of this name.
    """
    settings = InboxSettings()
    database = Database(settings.path())
    with database.writing() as connection:
        links.revoke(connection, name)
        left = links.names(connection)
    database.close()
    print(f"{name} is shut out from the next request on.")
    if not left and settings.local() and not settings.user_header:
        print("Nobody has a link now: on this machine the page is open without one again.")


def show() -> None:
    """Print who has a link."""
    database = Database(InboxSettings().path())
    with database.reading() as connection:
        found = links.names(connection)
    database.close()
    for name, since in found:
        print(f"{name}\tsince {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC")
    if not found:
        print("Nobody has a personal link.")
