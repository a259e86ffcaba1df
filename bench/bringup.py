"""Lab up, ready to probe (BGP aside): ours, against one batch of ip commands and against Mininet, in one run.

    python -m bench.bringup [PODS...]

The same pods, nodes, routers and cables each time.  Ours includes Services' rules, servers on every pod's ports and starting
the daemons; the batch builds the bare network (one ``ip -batch`` for namespaces and cables, one for each namespace's inside);
Mininet builds hosts on plain bridges, as many as there are pods, spread over as many switches as there are nodes.  Medians of
five, without interpreter start, imports and reading files.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter

_ROUNDS = 5
_LABS = Path(__file__).parent.parent / "experiments" / "labs"

_MININET = """
import json, sys, time
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo

class Flat(Topo):
    def build(self, hosts, switches):
        core = self.addSwitch("s0")
        for number in range(switches):
            self.addLink(self.addSwitch(f"s{number + 1}"), core)
        for number in range(hosts):
            self.addLink(self.addHost(f"h{number}"), f"s{number % switches + 1}")

hosts, switches = map(int, sys.argv[1:])
began = time.perf_counter()
net = Mininet(topo=Flat(hosts=hosts, switches=switches), switch=LinuxBridge, controller=None)
net.start()
up = time.perf_counter() - began
net.stop()
print(json.dumps(up))
"""


def ours(path: str) -> float:
    """Seconds from a loaded topology to every server listening; in a process that goes away with its lab."""
    script = "import sys; from bench.bringup import keep; keep(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def keep(path: str) -> None:
    """What a keeper does at its start, timed; the answer goes to standard output."""
    import asyncio
    import gc
    import signal

    from chaosnet.lab import topology
    from chaosnet.lab.furnish import furnish
    from chaosnet.targets.lab.desk import Desk
    from chaosnet.targets.lab.isolation import isolate
    from chaosnet.targets.lab.lab import Lab

    gc.disable()
    network = topology.load(path)
    store = furnish(network)
    answer = os.dup(1)

    async def build() -> None:
        began = perf_counter()
        lab = Lab(network, store)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, lab.processes.reap)
        Desk(lab, "bench", lambda: None)
        lab.bring_up()
        os.write(answer, json.dumps(perf_counter() - began).encode())
        lab.processes.end()

    isolate(lambda child: os.waitpid(child, 0) and None)
    asyncio.run(build())


def batches(path: str) -> tuple[str, dict[str, str], int, int]:
    """The blueprint of a lab as ip(8) commands: one batch outside, one for each namespace; pods and nodes there are."""
    from chaosnet.lab import blueprint, census, topology
    from chaosnet.lab.furnish import furnish

    network = topology.load(path)
    pods = census.pods(furnish(network))
    plans = [blueprint.pod(network, p.cluster, p.namespace, p.name, p.node, p.addresses[0]) for p in pods if not p.host_network]
    plan = blueprint.join([blueprint.ground(network), *plans])
    spaces = {name: f"n{number}" for number, name in enumerate(plan.namespaces)}
    devices: dict[tuple[str, int], str] = {}
    outside = [f"netns add {space}" for space in spaces.values()]
    inside: dict[str, list[str]] = defaultdict(list)
    for cable in plan.cables:
        a, b = cable.a, cable.b
        outside.append(
            f"link add {a.name} index {a.index} mtu {cable.mtu} address {a.mac} netns {spaces[a.namespace]} type veth "
            f"peer name {b.name} index {b.index} mtu {cable.mtu} address {b.mac} netns {spaces[b.namespace]}"
        )
    for device in (end for cable in plan.cables for end in (cable.a, cable.b)):
        devices[(device.namespace, device.index)] = device.name
        inside[device.namespace].append(f"link set {device.name} up")
    for bridge in plan.bridges:
        here, name = bridge.device.namespace, bridge.device.name
        devices[(here, bridge.device.index)] = name
        inside[here] += [f"link add {name} mtu {bridge.mtu} type bridge", f"link set {name} up"]
        inside[here] += [f"link set {devices[(here, port)]} master {name}" for port in bridge.ports]
    for name in plan.namespaces:
        inside[name].append("link set lo up")
    for each in plan.addresses:
        inside[each.namespace].append(f"addr add {each.address}/{each.prefix} dev {devices[(each.namespace, each.index)]}")
    for near in plan.neighbours:
        there = devices[(near.namespace, near.index)]
        inside[near.namespace].append(f"neigh add {near.address} lladdr {near.mac} dev {there}")
    for way in plan.routes:
        via = f"via {way.via} " if way.via else ""
        inside[way.namespace].append(f"route add {way.destination} {via}dev {devices[(way.namespace, way.index)]}")
    by_space = {spaces[name]: "\n".join(lines) + "\n" for name, lines in inside.items()}
    return "\n".join(outside) + "\n", by_space, len(plans), len(network.nodes)


def by_batch(path: str) -> float:
    """Seconds that ip(8) takes for the same network."""
    outside, inside, _, _ = batches(path)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "outside").write_text(outside)
        for space, text in inside.items():
            (Path(folder) / space).write_text(text)
        commands = [
            ["ip", "-batch", f"{folder}/outside"],
            *(["ip", "-n", space, "-batch", f"{folder}/{space}"] for space in inside),
        ]
        script = (
            "import json, subprocess, sys, time; subprocess.run(['mount', '-t', 'tmpfs', 'none', '/run'], check=True);"
            "commands = json.loads(sys.argv[1]); began = time.perf_counter();"
            "[subprocess.run(command, check=True) for command in commands]; print(time.perf_counter() - began)"
        )
        argv = ["unshare", "-Urnm", sys.executable, "-c", script, json.dumps(commands)]
        return float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def by_mininet(hosts: int, switches: int) -> float | None:
    """Seconds that Mininet takes for as many hosts; None where it is not installed or we are not root."""
    if shutil.which("mn") is None or os.geteuid() != 0:
        return None
    argv = ["unshare", "-nm", "/usr/bin/python3", "-c", _MININET, str(hosts), str(switches)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return float(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else None


def measure(count: int) -> dict[str, float | None]:
    """Medians for one size, in seconds."""
    path = str(_LABS / f"pods-{count}.yaml")
    _, _, hosts, switches = batches(path)
    rounds: dict[str, list[float | None]] = {"ours": [], "ip -batch": [], "Mininet": []}
    for _ in range(_ROUNDS):
        rounds["ours"].append(ours(path))
        rounds["ip -batch"].append(by_batch(path))
        if count <= 60:
            rounds["Mininet"].append(by_mininet(hosts, switches))
    return {
        name: statistics.median(value for value in found if value is not None) if found and None not in found else None
        for name, found in rounds.items()
    }


def main() -> None:
    """Print the table."""
    for count in map(int, sys.argv[1:] or ("20", "60", "200")):
        found = measure(count)
        mine = found["ours"] or 0.0
        row = [f"{count:4d} pods"]
        for name, value in found.items():
            row.append(f"{name} " + (f"{value * 1000:7.1f} ms ({value / mine:5.2f}x)" if value is not None else "not measured"))
        print("   ".join(row))


if __name__ == "__main__":
    main()
