"""DaemonState: a role of a site is stopped; the undo starts it again.

What roles there are, and what stopping one means, is :mod:`chaosnet.targets.lab.daemons`.
"""

from typing import TYPE_CHECKING

from chaosnet.errors import Refused, Unsupported
from chaosnet.model.change import DaemonState
from chaosnet.model.codec import from_plain, to_plain
from chaosnet.model.fault import Reading
from chaosnet.model.inventory import Site
from chaosnet.model.ticket import Undo
from chaosnet.targets.lab.lowering import Deed

if TYPE_CHECKING:
    from chaosnet.targets.lab.lab import Lab

OPS = ("daemon",)


def prepare(lab: "Lab", deed: Deed, change: DaemonState) -> Undo:
    """Unsupported where the site has no such role, Refused where it does not run anyway."""
    roles = lab.daemons.roles(change.site)
    if change.daemon not in roles:
        raise Unsupported(f"{change.site} has no role {change.daemon!r}; it has {', '.join(roles) or 'none'}")
    if change.state != "stopped":
        raise Unsupported(f"the lab cannot make {change.daemon} {change.state!r}; it can make it stopped")
    if not lab.daemons.running(change.site, change.daemon):
        raise Refused(f"{change.daemon} does not run at {change.site}, so stopping it would change nothing")
    where = change.site.cluster if change.daemon == "endpoints" else change.site
    return Undo(
        "daemon",
        {
            "site": to_plain(change.site),
            "daemon": change.daemon,
            "knobs": [f"the role {change.daemon} at {where}"],
        },
        f"start {change.daemon} at {where} again",
    )


def do(lab: "Lab", deed: Deed, change: DaemonState, undo: Undo) -> None:
    """Stop it."""
    lab.daemons.stop(change.site, change.daemon)


def take_back(lab: "Lab", undo: Undo) -> None:
    """Start it again; a site that has lost the role (a pod that went) needs nothing."""
    site: Site = from_plain(Site, undo.arguments["site"])
    if undo.arguments["daemon"] in lab.daemons.roles(site):
        lab.daemons.start(site, undo.arguments["daemon"])


def read_back(lab: "Lab", deed: Deed, change: DaemonState, undo: Undo) -> Reading:
    """Whether it is stopped."""
    if change.daemon not in lab.daemons.roles(change.site):
        return Reading(False, f"{change.site} has no role {change.daemon} any more")
    runs = lab.daemons.running(change.site, change.daemon)
    return Reading(not runs, f"{change.daemon} {'runs' if runs else 'is stopped'} at {change.site}", {"running": runs})
