"""A drawing of a lab: clusters, nodes with their pods, routers and links, as SVG text.

Pure: a topology and pods in, text out.  All user text is escaped.  Light background, colours that print; no scripts and no
fonts from elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from chaosnet.lab.topology import Cluster, Node, Topology
from chaosnet.model.inventory import Pod

_WIDTH = 272  # of a node's box
_LINE, _HEAD, _GAP, _PAD = 20, 62, 18, 22
_ROUTER_WIDTH, _ROUTER_HEIGHT = 200, 54
_FLOW = 96  # between a cluster and its router, and between routers
_MOST = 14  # pods named in a node's box
_STYLE = """
text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2933; }
.title { font-size: 17px; font-weight: 600; } .name { font-weight: 600; } .small { font-size: 11.5px; fill: #52606d; }
.mono { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 11.5px; fill: #52606d; }
.cluster { fill: #f5f7fa; stroke: #cbd2d9; } .node { fill: #ffffff; stroke: #9aa5b1; }
.bare { stroke: #b44d12; stroke-dasharray: 5 3; }
.router { fill: #e3f0fb; stroke: #2f6fa7; } .wire { stroke: #7b8794; stroke-width: 1.6; fill: none; }
.link { stroke: #2f6fa7; stroke-width: 2.6; } .over { paint-order: stroke; stroke: #ffffff; stroke-width: 6px; }
.ready { fill: #2f8f5b; } .waiting { fill: #b44d12; }
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle that has been placed."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


def draw(topology: Topology, pods: Sequence[Pod]) -> str:
    """The SVG of a lab with these pods."""
    by_node: dict[tuple[str, str], list[Pod]] = {}
    for pod in pods:
        by_node.setdefault((pod.cluster, pod.node), []).append(pod)
    parts: list[str] = []
    boxes: dict[str, _Box] = {}
    x, tallest = float(_PAD), 0.0
    top = _PAD + 34.0
    for cluster in topology.clusters:
        box = _cluster(parts, cluster, by_node, x, top, boxes)
        x = box.x + box.width + 2 * _PAD
        tallest = max(tallest, box.bottom)
        boxes[f"cluster {cluster.name}"] = box
    width = max(x - _PAD, 640.0)
    wires, bottom = _routers(topology, boxes, tallest, width, parts)
    height = bottom + _PAD + 26
    title = f"Lab {topology.name}: {len(topology.nodes)} nodes, {len(pods)} pods, MTU {topology.underlay} beneath"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        _text(_PAD, _PAD + 14, title, "title"),
    ]
    timers = topology.bgp
    legend = f"BGP: hold {timers.hold} s, keepalive {timers.keepalive} s, retry {timers.retry} s."
    legend += " Dashed: a node that enforces no policy."
    return "\n".join([*head, *wires, *parts, _text(_PAD, height - 16, legend, "small"), "</svg>"]) + "\n"


def _cluster(
    parts: list[str], cluster: Cluster, by_node: dict[tuple[str, str], list[Pod]], x: float, top: float, boxes: dict[str, _Box]
) -> _Box:
    """One cluster with its nodes, in rows."""
    columns = len(cluster.nodes) if len(cluster.nodes) <= 4 else 3 if len(cluster.nodes) <= 9 else 5
    inner: list[str] = []
    y = top + 64
    lowest = y
    for start in range(0, len(cluster.nodes), columns):
        row = cluster.nodes[start : start + columns]
        height = max(_HEAD + _LINE * min(_MOST + 1, max(1, len(by_node.get((cluster.name, node.name), [])))) for node in row)
        for number, node in enumerate(row):
            box = _Box(x + _PAD + number * (_WIDTH + _GAP), y, _WIDTH, height)
            boxes[node.name] = box
            _node(inner, node, by_node.get((cluster.name, node.name), []), box)
        y += height + _GAP
        lowest = y
    width = 2 * _PAD + columns * _WIDTH + (columns - 1) * _GAP
    whole = _Box(x, top, width, lowest - top + 4)
    parts.append(_rect("cluster", whole, 10))
    overlay = ", VXLAN between nodes" if cluster.overlay == "vxlan" else ""
    parts.append(_text(x + _PAD, top + 26, f"Cluster {cluster.name}", "title"))
    said = (
        f"{cluster.cni} · AS {cluster.asn} · Services {cluster.services} · DNS {cluster.dns} · pods' MTU {cluster.mtu}{overlay}"
    )
    parts.append(_text(x + _PAD, top + 46, said, "small"))
    parts.extend(inner)
    return whole


def _node(parts: list[str], node: Node, pods: Sequence[Pod], box: _Box) -> None:
    bare = "" if node.enforces else " bare"
    parts.append(_rect(f"node{bare}", box, 6))
    parts.append(_text(box.x + 12, box.y + 20, f"{node.name}", "name"))
    parts.append(_text(box.x + box.width - 12, box.y + 20, node.cni, "small", end=True))
    parts.append(_text(box.x + 12, box.y + 37, f"{node.address} · pods {node.pods}", "mono"))
    shown = list(pods[:_MOST])
    for number, pod in enumerate(shown):
        y = box.y + _HEAD + _LINE * number - 4
        parts.append(f'<circle class="{"ready" if pod.ready else "waiting"}" cx="{box.x + 17:.0f}" cy="{y - 4:.0f}" r="4"/>')
        parts.append(_text(box.x + 27, y, _short(f"{pod.namespace}/{pod.name}", 22), ""))
        parts.append(_text(box.x + box.width - 10, y, pod.addresses[0] if pod.addresses else "", "mono", end=True))
    if len(pods) > _MOST:
        parts.append(_text(box.x + 27, box.y + _HEAD + _LINE * _MOST - 4, f"and {len(pods) - _MOST} more", "small"))


def _routers(
    topology: Topology, boxes: dict[str, _Box], tallest: float, width: float, parts: list[str]
) -> tuple[list[str], float]:
    """Routers below their clusters (those without one below all), and every wire."""
    wires: list[str] = []
    bottom = tallest
    serving = {cluster.router: cluster for cluster in topology.clusters}
    alone = [router for router in topology.routers if router.name not in serving]
    for router in topology.routers:
        if router.name in serving:
            box = boxes[f"cluster {serving[router.name].name}"]
            place = _Box(box.middle - _ROUTER_WIDTH / 2, tallest + _FLOW, _ROUTER_WIDTH, _ROUTER_HEIGHT)
        else:
            step = width / (len(alone) + 1)
            place = _Box(
                step * (alone.index(router) + 1) - _ROUTER_WIDTH / 2,
                tallest + 2 * _FLOW + _ROUTER_HEIGHT,
                _ROUTER_WIDTH,
                _ROUTER_HEIGHT,
            )
        boxes[router.name] = place
        bottom = max(bottom, place.bottom)
        parts.append(_rect("router", place, 27))
        parts.append(_text(place.middle, place.y + 23, router.name, "name", middle=True))
        addresses = topology.router_addresses(router.name)
        parts.append(_text(place.middle, place.y + 40, f"AS {router.asn} · {', '.join(addresses[:1])}", "mono", middle=True))
    for cluster in topology.clusters:
        router_box, whole = boxes[cluster.router], boxes[f"cluster {cluster.name}"]
        columns = {boxes[node.name].middle: boxes[node.name] for node in cluster.nodes}
        for column in columns.values():
            wires.append(_curve(column.middle, whole.bottom, router_box.middle, router_box.y))
        parts.append(_text(router_box.middle + 12, whole.bottom + 22, f"{cluster.network}, MTU {topology.underlay}", "mono over"))
    for link in topology.links:
        a, b = boxes[link.a], boxes[link.b]
        first, second = (a, b) if a.x <= b.x else (b, a)
        x1, x2 = first.x + first.width, second.x
        y1, y2 = first.y + first.height / 2, second.y + second.height / 2
        if x2 <= x1:
            x1, x2, y1, y2 = first.middle, second.middle, min(first.bottom, second.bottom), max(first.y, second.y)
        wires.append(f'<path class="wire link" d="M{x1:.0f} {y1:.0f} L{x2:.0f} {y2:.0f}"/>')
        parts.append(_text((x1 + x2) / 2, (y1 + y2) / 2 - 10, f"{link.network}, MTU {link.mtu}", "mono over", middle=True))
    return wires, bottom


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    half = (y1 + y2) / 2
    return f'<path class="wire" d="M{x1:.0f} {y1:.0f} C{x1:.0f} {half:.0f} {x2:.0f} {half:.0f} {x2:.0f} {y2:.0f}"/>'


def _rect(kind: str, box: _Box, radius: int) -> str:
    size = f'width="{box.width:.0f}" height="{box.height:.0f}"'
    return f'<rect class="{kind}" x="{box.x:.0f}" y="{box.y:.0f}" {size} rx="{radius}"/>'


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _text(x: float, y: float, text: str, kind: str, *, end: bool = False, middle: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ' text-anchor="middle"' if middle else ""
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}"{anchor}>{escape(text)}</text>'
