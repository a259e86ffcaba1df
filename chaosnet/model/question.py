"""The closed list of questions a target answers by measuring, and the shape of each answer.

Probes ask them for the team; faults ask them to prove their own effect.  A question changes nothing.  Times are seconds,
sizes bytes.  Nothing here measures, waits or judges.
"""

from dataclasses import dataclass

from chaosnet.model.edge import Edge, Observation
from chaosnet.model.inventory import Site


@dataclass(frozen=True, slots=True)
class Reach:
    """Try each edge once, together; an attempt that takes longer than ``timeout`` is ``timed out``."""

    edges: tuple[Edge, ...]
    timeout: float = 1.0


@dataclass(frozen=True, slots=True)
class Reached:
    """One observation an edge, in the order asked."""

    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class PathMtu:
    """The largest packet from ``source`` to ``destination``: by DF pings, and by TCP payloads each way on ``port``.

    ``ceiling`` is the largest IP packet tried.  A ping says what the way there carries; only the TCP sweep says what
    applications feel.
    """

    source: Site
    destination: Site
    port: int
    ceiling: int = 1500


@dataclass(frozen=True, slots=True)
class PathMtuFound:
    """Largest IP packet that passed (0: none).  ``told`` is the next-hop MTU an ICMP message named, 0 if silent.

    ``tcp_there`` and ``tcp_back`` are the largest payload sizes (bytes) that got through by TCP, of those swept.
    """

    icmp: int
    told: int
    tcp_there: int
    tcp_back: int
    swept: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Bgp:
    """The BGP sessions of the speakers at these sites (empty: every speaker)."""

    sites: tuple[Site, ...] = ()


@dataclass(frozen=True, slots=True)
class BgpSession:
    """One session as its speaker sees it.  ``since`` is seconds in this state; the times are configured, in seconds."""

    speaker: str
    neighbor: str
    address: str
    state: str
    since: float
    imported: int
    hold_time: float
    keepalive: float
    last_error: str = ""

    @property
    def established(self) -> bool:
        """RFC 4271 section 8.2.2: only Established exchanges routes."""
        return self.state == "Established"


@dataclass(frozen=True, slots=True)
class BgpState:
    """All sessions asked for."""

    sessions: tuple[BgpSession, ...]


@dataclass(frozen=True, slots=True)
class Routes:
    """The kernel routes at ``site`` (``protocol`` empty: all; ``"bird"`` for those learned by BGP)."""

    site: Site
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """One route; ``via`` is the next hop or empty, ``mtu`` 0 where the route names none."""

    destination: str
    via: str
    interface: str
    protocol: str
    mtu: int = 0


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The routes of one site."""

    routes: tuple[RouteEntry, ...]


@dataclass(frozen=True, slots=True)
class Dns:
    """Ask from the pod ``source``, of its own resolver, for the IPv4 addresses of ``name``."""

    source: Site
    name: str
    timeout: float = 2.0


@dataclass(frozen=True, slots=True)
class DnsReply:
    """``rcode`` is NOERROR, NXDOMAIN, SERVFAIL, ... or TIMEOUT, REFUSED where nothing answered."""

    rcode: str
    addresses: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What the API says a Service's backends are, and what each node's rules would really send traffic to."""

    cluster: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """``ready`` by the pods' own state, ``endpoints`` by the EndpointSlices, ``programmed`` by the rules, node → addresses."""

    ready: tuple[str, ...]
    endpoints: tuple[str, ...]
    programmed: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Conntrack:
    """Connection tracking at ``site``."""

    site: Site


@dataclass(frozen=True, slots=True)
class ConntrackUse:
    """Entries now, the limit that holds, and how many were refused; ``stand_in`` names what enforces the limit instead."""

    used: int
    limit: int
    dropped: int
    stand_in: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """Datagrams of ``size`` bytes over ``edge`` (udp or icmp) at ``rate`` a second for ``seconds``, echoed."""

    edge: Edge
    rate: int = 100
    seconds: float = 2.0
    size: int = 100


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came back.  Times are round trips in seconds; ``forward`` counts what reached the far end.

    ``received`` came back whole; ``corrupted`` came back otherwise and is not among them.  ``jitter`` is the mean difference
    between the round trips of neighbouring packets.
    """

    sent: int
    forward: int
    received: int
    duplicates: int
    out_of_order: int
    corrupted: int
    p50: float
    p95: float
    p99: float
    jitter: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Send over ``edge`` (tcp) as fast as it goes for ``seconds``."""

    edge: Edge
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Carried:
    """Bits a second of payload that reached the far end."""

    bits_per_second: float


@dataclass(frozen=True, slots=True)
class Load:
    """Requests over ``edge`` (http, tcp, dns or udp) at a steady ``rate`` a second, each given ``timeout``."""

    edge: Edge
    rate: int = 50
    seconds: float = 5.0
    timeout: float = 1.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """``outcomes`` are pairs of state and count; latencies are of the successes, measured from the intended start."""

    requests: int
    succeeded: int
    outcomes: tuple[tuple[str, int], ...]
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Counters:
    """How often the rules of ticket ``ticket`` have matched."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Packets and bytes that matched, in all and change by change (in the ticket's order; -1 where uncountable)."""

    packets: int
    bytes: int
    by_change: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Daemons:
    """Which roles run at ``site``."""

    site: Site


@dataclass(frozen=True, slots=True)
class DaemonsSeen:
    """Role → running."""

    running: tuple[tuple[str, bool], ...]


Question = Reach | PathMtu | Bgp | Routes | Dns | ServiceView | Conntrack | Stream | Throughput | Load | Counters | Daemons
Answer = (
    Reached | PathMtuFound | BgpState | RouteTable | DnsReply | ServiceSeen | ConntrackUse | Streamed | Carried | Loaded
    | Counted | DaemonsSeen
)  # fmt: skip
QUESTIONS: dict[str, type[Question]] = {
    kind.__name__: kind
    for kind in (Reach, PathMtu, Bgp, Routes, Dns, ServiceView, Conntrack, Stream, Throughput, Load, Counters, Daemons)
}
ANSWERS: dict[str, type[Answer]] = {
    kind.__name__: kind
    for kind in (
        Reached, PathMtuFound, BgpState, RouteTable, DnsReply, ServiceSeen, ConntrackUse, Streamed, Carried, Loaded,
        Counted, DaemonsSeen,
    )
}  # fmt: skip
