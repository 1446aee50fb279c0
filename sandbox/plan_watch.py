"""The watch as a process of a pipeline on this machine."""

from sandbox.plan import HOST, Layout, allow, process
from sandbox.supervisor import Process


def watch(layout: Layout, *without: str) -> Process:
    """Return what watches the rooms of a layout, but those that do not run here."""
    watched = {"sinks" if name == "sink" else name: url for name, url in layout.admin.items() if name not in without}
    settings = {
        "WATCH_ADMIN_HOST": HOST,
        "WATCH_ADMIN_PORT": str(layout.ports.watch_admin),
        "WATCH_ROOMS": ",".join(f"{name}={url}" for name, url in watched.items()),
    }
    if layout.teams_url:
        settings |= {"TEAMS_WEBHOOK_URL": layout.teams_url}
    if layout.teams_url or layout.tenant_url:
        settings |= {"SINKS_ALLOW_NETWORKS": allow(layout.environment.get("SINKS_ALLOW_NETWORKS", ""))}
    made = process(layout, "watch", ["watch"], settings)
    return Process(
        made.name, made.argv, made.env, made.cwd, made.log, admin=f"http://{HOST}:{layout.ports.watch_admin}"
    )
