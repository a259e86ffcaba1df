"""BGP over time: which sessions of the in-memory network are Established at a moment, and since when.

Only what matters to faults: the hold timer (RFC 4271 section 6.5), that a reset is noticed sooner than silence, that live
sessions are packets of an established flow, and that either speaker may dial, so that a block of one port on one side
heals by itself.  No routes, preferences or message formats.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address
from itertools import combinations

from chaosnet.model.inventory import Site
from chaosnet.targets.memory.journey import fate
from chaosnet.targets.memory.network import Network, Session, session
from chaosnet.targets.memory.world import World

BGP_PORT = 179


@dataclass(frozen=True, slots=True)
class Turn:
    """From ``at`` on the session is up, or down for the reason ``why``."""

    at: float
    up: bool
    why: str = ""


def speakers(network: Network) -> tuple[tuple[Site, Site], ...]:
    """Every session, as its two speakers: a full mesh in each cluster, and linked routers across."""
    pairs: list[tuple[Site, Site]] = []
    for cluster in network.inventory.clusters:
        members = [site for (home, _), site in network.nodes.items() if home == cluster]
        pairs += combinations(members, 2)
    routers = network.routers
    pairs += [(routers[a], routers[b]) for a, b in network.inventory.links if a in routers and b in routers]
    return tuple(pairs)


@lru_cache(maxsize=1024)
def facing(mine: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """Of my addresses the one on the network that they are on: the longest prefix in common."""
    return max(mine, key=lambda a: max(32 - (int(ip_address(a)) ^ int(ip_address(b))).bit_length() for b in theirs))


def _blocked(network: Network, dialler: Site, other: Site, new: bool) -> str:
    """How packets between the two fare: empty (well), dropped or rejected."""
    source = replace(dialler, addresses=(facing(dialler.addresses, other.addresses),))
    flow = network.flow(source, facing(other.addresses, dialler.addresses), "tcp", BGP_PORT, 0.0)
    for forth in (True, False):
        awaits = fate(network, flow, forth, 100, new and forth)
        stops = [met.verdict for met in awaits.encounters if met.verdict in ("drop", "reject") and met.share >= 1]
        if stops:
            return "rejected" if stops[0] == "reject" else "dropped"
        if awaits.end != "arrived":
            return "dropped"
    return ""


def turns(pair: tuple[Site, Site], past: tuple[tuple[float, Network], ...], world: World) -> tuple[Turn, ...]:
    """How the session of a pair went.  ``past`` are the networks one after the other, each with its beginning.

    The session begins Established, dialled by the first of the pair.
    """
    found = [Turn(past[0][0], True)]
    dialler, trouble_since, possible_since = 0, None, None
    for number, (begin, network) in enumerate(past):
        now, end = begin, past[number + 1][0] if number + 1 < len(past) else float("inf")
        while True:
            stopped = not all(network.running(site, "bird") for site in pair)
            silent = not all(network.running(site, "node") for site in pair)
            if found[-1].up:
                how = _blocked(network, pair[dialler], pair[1 - dialler], new=False)
                if not how and not stopped:
                    trouble_since = None
                    break
                trouble_since = now if trouble_since is None else trouble_since
                patience = world.keepalive if how == "rejected" else world.hold
                deadline = max(now, trouble_since + (0.0 if stopped and not silent else patience))
                if deadline >= end:
                    break
                why = "Connection closed" if stopped and not silent else "Hold timer expired"
                found.append(Turn(deadline, False, "Connection reset" if how == "rejected" else why))
                now, possible_since = deadline, None
            else:
                able = [d for d in (0, 1) if not stopped and not _blocked(network, pair[d], pair[1 - d], new=True)]
                if not able:
                    possible_since = None
                    break
                possible_since = now if possible_since is None else possible_since
                if (up_at := possible_since + world.retry) >= end:
                    break
                found.append(Turn(up_at, True))
                dialler, now, trouble_since = able[0], up_at, None
    return tuple(found)


def down(histories: dict[Session, tuple[Turn, ...]], at: float) -> frozenset[Session]:
    """The sessions that are not Established at ``at``."""
    return frozenset(name for name, history in histories.items() if not latest(history, at).up)


def latest(history: tuple[Turn, ...], at: float) -> Turn:
    """The last turn at or before ``at``."""
    return next((turn for turn in reversed(history) if turn.at <= at), history[0])


def histories(past: tuple[tuple[float, Network], ...], world: World) -> dict[Session, tuple[Turn, ...]]:
    """How every session went."""
    return {session(*pair): turns(pair, past, world) for pair in speakers(past[0][1])}
