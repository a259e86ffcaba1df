"""``chaosnet lab``: a lab that stays, to look around in.

Brings one up, shows what is in it, runs commands inside, draws it, captures packets, takes it down.  What a lab is made of is
:mod:`chaosnet.targets.lab`.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from chaosnet.model.edge import Edge
    from chaosnet.targets.lab.client import LabTarget

_LAB = click.option("--lab", default="", metavar="NAME", help="Which running lab; needed only where several run.")
_SETTLE = 60.0


@click.group(short_help="Bring a lab up, look into it, take it down.")
def command() -> None:
    """A network of real kernel parts, to look around in: up, ls, exec, graph, capture, down.

    \b
    Example:
      chaosnet lab up
      chaosnet lab exec test/shop/client -- ping -M do -s 1472 -c1 10.1.1.2
      chaosnet lab down
    """


@command.command()
@click.option("--lab", default="", metavar="FILE", help="A topology file, or the name of one that comes with chaosnet.")
@click.option("--name", default="", help="What to call the lab; the topology's own name if not given.")
@click.option("--no-wait", is_flag=True, help="Do not wait until BGP has converged.")
def up(lab: str, name: str, no_wait: bool) -> None:
    """Start a lab and leave it running.

    It needs no root, and cannot touch this machine's own network.  With no --lab it is the default of two clusters.
    """
    from chaosnet.lab import topology
    from chaosnet.targets.lab import spawn, topology_file
    from chaosnet.targets.lab.client import LabTarget

    began = time.monotonic()
    path = topology_file(lab or os.environ.get("CHAOSNET_LAB", ""))
    network = topology.load(path)
    started = spawn.start(path, name or network.name, owned=False)
    target = LabTarget(started.name)
    built = time.monotonic() - began
    click.echo(
        f"lab {started.name}: {len(network.clusters)} clusters, {len(network.nodes)} nodes, {len(network.routers)} routers, "
        f"{started.pods} pods; up in {built:.2f} s"
    )
    if not no_wait:
        target.settle(_SETTLE)
        click.echo(f"BGP has converged and DNS answers; ready after {time.monotonic() - began:.2f} s")
    target.close()
    other = f" --lab {started.name}" if started.name != "two-clusters" else ""
    click.echo(f"look around: chaosnet lab ls{other}    take it down: chaosnet lab down {started.name}")


@command.command()
@click.argument("name", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def ls(name: str, as_json: bool) -> None:
    """Show what is in a lab: nodes, pods, Services, BGP sessions; without one running, say so."""
    from chaosnet.targets.lab import running

    found = list(running.running())
    if not name and len(found) != 1:
        if as_json:
            import json

            click.echo(json.dumps({"labs": [one.name for one in found]}))
            return
        for one in found:
            kind = "of a run" if one.owned else "stays"
            click.echo(f"{one.name}  ({kind}, keeper {one.pid}, {one.topology})")
        if not found:
            click.echo("no lab runs; start one with chaosnet lab up", err=True)
        return
    target = _open(name)
    seen = target.survey()
    target.close()
    if as_json:
        import json

        click.echo(json.dumps(seen))
        return
    _tell(seen)


def _tell(seen: Mapping[str, Any]) -> None:
    click.echo(f"lab {seen['name']}\n")
    _table(
        ("NODE", "ROLE", "CNI", "ADDRESSES", "PODS", "STATE"),
        [
            (
                f"{cluster}/{name}" if role == "node" else name,
                role,
                cni or "-",
                ", ".join(addresses),
                ", ".join(ranges) or "-",
                "ready" if ready else "NOT READY",
            )
            for cluster, name, role, cni, addresses, ready, ranges in seen["nodes"]
        ],
    )
    _table(
        ("POD", "NODE", "ADDRESS", "STATE"),
        [
            (f"{cluster}/{namespace}/{name}", node, ", ".join(addresses), "ready" if ready else "NOT READY")
            for cluster, namespace, name, node, addresses, ready in seen["pods"]
        ],
    )
    _table(
        ("SERVICE", "ADDRESS", "PORTS", "BACKENDS"),
        [
            (
                f"{cluster}/{namespace}/{name}",
                ", ".join(addresses) or "none",
                ", ".join(f"{number}/{protocol}" for number, protocol in ports),
                ", ".join(backends) or "none",
            )
            for cluster, namespace, name, addresses, ports, backends in seen["services"]
        ],
    )
    sessions = seen["sessions"]
    down = [(speaker, peer, state, str(imported)) for speaker, peer, state, imported in sessions if state != "Established"]
    click.echo(f"BGP: {len(sessions) - len(down)} of {len(sessions)} sessions are Established")
    if down:
        _table(("SPEAKER", "PEER", "STATE", "ROUTES"), down)
    for fault in seen["faults"]:
        click.echo(f"fault: {fault}")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo()


@command.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_LAB
@click.argument("place")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(lab: str, place: str, argv: tuple[str, ...]) -> None:
    """Run a command inside a pod, node or router, on this terminal; its exit status becomes ours.

    \b
    Example:
      chaosnet lab exec test/shop/client -- ping -M do -s 1472 -c1 10.1.1.2
      chaosnet lab exec test-1 -- ip route
      chaosnet lab exec transit-test -- birdc -s /run/chaosnet/bird/transit-test.ctl show protocols
    """
    target = _open(lab)
    sys.stdout.flush()

    def pass_on(send_signal: Callable[[int], None]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, lambda caught, frame: send_signal(caught))

    sys.exit(target.run(place, argv[1:] if argv[0] == "--" else argv, started=pass_on))


@command.command()
@click.option("--lab", default="", metavar="FILE|NAME", help="A topology file, or a running lab.")
@click.option("-o", "--output", default="lab.svg", metavar="FILE", help="Where the drawing goes (- is standard output).")
def graph(lab: str, output: str) -> None:
    """Draw a lab: clusters, nodes, pods, routers and links, as SVG."""
    from chaosnet.errors import InputError
    from chaosnet.lab import census, topology
    from chaosnet.lab.furnish import furnish
    from chaosnet.lab.graph import draw
    from chaosnet.targets.lab import running, topology_file

    name = lab or os.environ.get("CHAOSNET_LAB", "")
    found = running.find(name) if name else next(iter(running.running()), None)
    network = topology.load(found.topology if found is not None else topology_file(name))
    if found is not None:
        target = _open(found.name)
        pods = target.inventory().pods
        target.close()
    else:
        pods = census.pods(furnish(network))
    text = draw(network, pods)
    if output == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError("--output", f"{output} cannot be written: {error.strerror}", "name another file") from None
    click.echo(f"{network.name} is drawn in {output}", err=True)


@command.command()
@_LAB
@click.option("--edge", "name", default="", metavar="NAME", help="An edge that the experiment --of declares.")
@click.option("--of", "experiment", default="", metavar="FILE", help="The experiment that declares the edge.")
@click.option("--from", "source", default="", metavar="ENDPOINT", help="Instead of --edge: where it begins, a pod or a node.")
@click.option("--to", "destination", default="", metavar="ENDPOINT", help="And where it ends: a pod, a node or a Service.")
@click.option("--at", "points", multiple=True, metavar="POINT", help="Only there: source-pod, source-node, transit:NAME, ...")
@click.option("--filter", "expression", default="", help="Which packets, as tcpdump has it: 'tcp port 8080'.")
@click.option("--seconds", type=click.FloatRange(0.0, 86400.0), default=0.0, help="How long; until Ctrl-C if not given.")
@click.option("-w", "--write", "path", default="capture.pcapng", metavar="FILE", help="Where the packets go.")
def capture(
    lab: str,
    name: str,
    experiment: str,
    source: str,
    destination: str,
    points: tuple[str, ...],
    expression: str,
    seconds: float,
    path: str,
) -> None:
    """Capture packets at named points of an edge's path, into one file with an interface for each point.

    Where a packet is last seen is where it dies.

    \b
    Example:
      chaosnet lab capture --from test/shop/client --to svc:prod/prod-ns/prod-svc --seconds 10 -w out.pcapng
      chaosnet lab capture --edge upload --of experiments/incidents/mtu-black-hole.yaml --at source-node
    """
    from chaosnet.errors import InputError
    from chaosnet.targets.lab.recording import record

    edge = _edge(name, experiment, source, destination)
    target = _open(lab)
    known = target.capture_points(edge)
    for point in points:
        if point not in [name for name, _, _ in known]:
            names = ", ".join(name for name, _, _ in known)
            raise InputError("--at", f"{point!r} is no point of this path", f"there are {names}")
    chosen = [entry for entry in known if not points or entry[0] in points]
    for point, namespace, device in chosen:
        click.echo(f"{point}: {namespace} {device}", err=True)
    counted = record(target, chosen, Path(path), seconds, expression, _wait)
    target.close()
    for point, number in counted.items():
        click.echo(f"{point}: {number} packets")
    click.echo(f"written to {path}")


def _edge(name: str, experiment: str, source: str, destination: str) -> "Edge":
    """The edge that the options of ``capture`` mean."""
    from chaosnet.errors import InputError
    from chaosnet.model.edge import Edge
    from chaosnet.model.endpoint import parse_endpoint

    if source and destination and not name:
        return Edge("capture", parse_endpoint(source, "--from"), parse_endpoint(destination, "--to"), "tcp")
    if not (name and experiment):
        raise InputError("lab capture", "no edge is named", "give --from and --to, or --edge and --of")
    from chaosnet.engine.experiment import parse_spec
    from chaosnet.validate import load

    edges = parse_spec(load(experiment), experiment).edges
    if name not in edges:
        raise InputError("--edge", f"{experiment} declares no edge {name!r}", f"it has {', '.join(edges) or 'none'}")
    return edges[name]


def _wait(seconds: float) -> None:
    """Sleep, until Ctrl-C at the latest."""
    try:
        time.sleep(seconds or 10**6)
    except KeyboardInterrupt:
        click.echo("", err=True)


@command.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every running lab of yours.")
def down(names: tuple[str, ...], every: bool) -> None:
    """End labs; everything in them is gone at once."""
    from chaosnet.targets.lab import running

    wanted = [found.name for found in running.running()] if every else list(names)
    if not wanted:
        wanted = [_chosen("")] if not every else []
    for name in wanted:
        _open(name).end()
        click.echo(f"lab {name} is gone")


def _open(name: str) -> "LabTarget":
    from chaosnet.targets.lab import running
    from chaosnet.targets.lab.client import LabTarget

    chosen = _chosen(name)
    if running.find(chosen) is None:
        from chaosnet.errors import InputError

        known = ", ".join(found.name for found in running.running()) or "none"
        raise InputError("the lab", f"{chosen!r} does not run", f"running: {known}; start one with chaosnet lab up")
    return LabTarget(chosen)


def _chosen(name: str) -> str:
    """The lab that is meant: the one named, that of CHAOSNET_LAB, or the only one that stays."""
    from chaosnet.errors import InputError
    from chaosnet.targets.lab import running

    if name or os.environ.get("CHAOSNET_LAB"):
        return name or os.environ["CHAOSNET_LAB"]
    there = list(running.running())
    # Labs of runs come and go; who looks around means the one that stays.
    found = [one.name for one in there if not one.owned] or [one.name for one in there]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError("the lab", "none runs", "start one with chaosnet lab up")
    raise InputError("the lab", f"several run ({', '.join(found)})", "name one with --lab")
