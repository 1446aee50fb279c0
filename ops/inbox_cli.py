"""The `tocsin inbox` commands."""

from typing import Annotated

import typer

app = typer.Typer(help="Show every notification on a page a SOC keeps open, on INBOX_HOST:INBOX_PORT.")
users = typer.Typer(no_args_is_help=True, help="Personal links, for an inbox without single sign-on.")
app.add_typer(users, name="users")

Name = Annotated[str, typer.Argument(help="Whose link: letters, digits and . _ @ + - only.")]


@app.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    """Show every notification on a page a SOC keeps open, on INBOX_HOST:INBOX_PORT."""
    if context.invoked_subcommand is None:
        from inbox import main as inbox_main

        inbox_main.run()


@users.command("add")
def add(
    name: Name,
    address: Annotated[str, typer.Option(help="How browsers reach the inbox, https://inbox.example for example.")] = "",
) -> None:
    """Make a personal link and print it; it is shown this once, and stored as a hash."""
    from ops import inbox_users

    inbox_users.add(name, address)


@users.command("revoke")
def revoke(name: Name) -> None:
    """Take a personal link back; pages opened with it are shut out with their next request."""
    from ops import inbox_users

    inbox_users.revoke(name)


@users.command("list")
def show() -> None:
    """List who has a personal link, and since when."""
    from ops import inbox_users

    inbox_users.show()
