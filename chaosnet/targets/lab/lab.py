"""The running network inside the keeper: what is built, what runs in it, and how objects become rules, names and routes.

It holds the truth of one lab: topology, objects, namespaces.  :meth:`Lab.reconcile` brings the kernel to where the objects
say, touching only what changed.  Faults, questions and sockets are others' work.
"""

from collections.abc import Callable, Mapping

from chaosnet.errors import TargetError
from chaosnet.lab import blueprint, census, controllers, firewall, services
from chaosnet.lab.objects import Store
from chaosnet.lab.topology import Topology
from chaosnet.model.inventory import Inventory, Node, Pod, Site
from chaosnet.policy import compile as policies
from chaosnet.policy import world
from chaosnet.targets.lab import netlink
from chaosnet.targets.lab.bringup import build
from chaosnet.targets.lab.daemons import Daemons
from chaosnet.targets.lab.namespaces import Namespaces, site_namespace
from chaosnet.targets.lab.naming import NameServers
from chaosnet.targets.lab.processes import Processes
from chaosnet.targets.lab.proxying import ReverseProxies
from chaosnet.targets.lab.routing import Routing


class Lab:
    """One network.  ``pods`` are those with an address, as of the last :meth:`reconcile`.

    ``changed`` is called after every reconciliation, with its reason: servers and probes follow the pods that way.
    """

    def __init__(self, topology: Topology, store: Store) -> None:
        self.topology = topology
        self.store = store
        self.blueprint = blueprint.ground(topology)
        self.namespaces = Namespaces()
        self.processes = Processes(self.namespaces)
        self.routing = Routing(topology, self.namespaces, self.processes)
        self.names = NameServers(topology, store, self.processes)
        self.proxies = ReverseProxies(store, self.processes)
        self.daemons = Daemons(self)
        self.pods: tuple[Pod, ...] = ()
        self.changed: list[Callable[[str], None]] = []
        self._wired: dict[str, tuple[str, str]] = {}
        self._bare: set[str] = set()
        self._programmed: dict[tuple[str, str], str] = {}

    def bring_up(self) -> None:
        """Build everything and start the daemons.  BGP has not converged when this returns."""
        self.pods = census.pods(self.store)
        plans = [self.blueprint]
        for pod in self.pods:
            if not pod.host_network:
                plans.append(self._plan(pod))
                self._wired[_name(pod)] = (pod.node, pod.addresses[0])
        build(self.namespaces, blueprint.join(plans))
        self.reconcile("the lab starts")
        for speaker in self.routing.speakers:
            self.namespaces.nft(speaker).run(firewall.render())
            self.routing.start(speaker)

    def _plan(self, pod: Pod) -> blueprint.Blueprint:
        return blueprint.pod(self.topology, pod.cluster, pod.namespace, pod.name, pod.node, pod.addresses[0])

    # --- what there is -----------------------------------------------------------------------------------------------

    def inventory(self) -> Inventory:
        """Everything that exists now."""
        nodes = [
            Node(
                cluster=node.cluster,
                name=node.name,
                addresses=(node.address,),
                cni=node.cni,
                enforces=node.enforces and self.daemons.on(node.namespace, "policy"),
                ready=self.daemons.on(node.namespace, "node"),
                pod_ranges=(node.pods,),
            )
            for node in self.topology.nodes
        ]
        nodes += [
            Node(router.cluster, router.name, self.topology.router_addresses(router.name), "router", enforces=False)
            for router in self.topology.routers
        ]
        return Inventory(
            clusters=tuple(cluster.name for cluster in self.topology.clusters),
            nodes=tuple(nodes),
            pods=self.pods,
            services=census.services(self.store),
            links=self.topology.pairs(),
        )

    def interface(self, site: Site) -> str:
        """The interface a site stands for: a pod's or a node's own, or the end of a link that ``site.interface`` names.

        Raises TargetError for a router without a link: it has several.
        """
        if site.kind == "router":
            if not site.interface:
                raise TargetError(f"{site} has several interfaces; name a link: link:{site.name}--NEIGHBOUR")
            return blueprint.port_name(site.interface)
        site_namespace(site)
        return blueprint.UPLINK

    def host_side(self, pod: Site) -> tuple[str, str]:
        """The other end of a pod's cable: the node's namespace and the device in it."""
        wired = self._wired.get(site_namespace(pod))
        if wired is None:
            raise TargetError(f"{pod} has no cable of its own")
        node, address = wired
        return f"{pod.cluster}/{node}", blueprint.host_device(self.topology, pod.cluster, node, address)[0]

    def connected(self, namespace: str) -> bool:
        """Whether the pod of that namespace has a network: a cable of its own, or its node's."""
        return namespace in self._wired or self.namespaces.is_alias(namespace)

    def service_programmed(self, cluster: str, namespace: str, name: str) -> dict[str, tuple[str, ...]]:
        """Node → the backends' addresses that its rules would really send a Service's traffic to."""
        wanted = next((s for s in census.services(self.store, cluster) if (s.namespace, s.name) == (namespace, name)), None)
        if wanted is None:
            raise TargetError(f"there is no Service {cluster}/{namespace}/{name}")
        fronts = {(address, port.protocol, port.port) for address in wanted.addresses for port in wanted.ports}
        found = {}
        for node in self.topology.cluster(cluster).nodes:
            nft = self.namespaces.nft(node.namespace)
            listed = nft.list(f"list table inet {services.TABLE}") if ("inet", services.TABLE) in nft.tables() else {}
            rules = services.programmed(listed)
            behind = [address for front in sorted(fronts) for address in rules.get(front, ())]
            found[node.name] = tuple(dict.fromkeys(behind))
        return found

    def unsettled(self) -> str:
        """What is not yet ready to be probed, in words, or empty."""
        for pod in self.names.pods:
            if not self.names.running(pod):
                return f"the DNS server of {pod} does not run"
        proxy = self.proxies.missing()
        return f"the reverse proxy of {proxy} does not run" if proxy else self.routing.unsettled()

    # --- objects to kernel -------------------------------------------------------------------------------------------

    def reconcile(self, reason: str) -> None:
        """Bring pods, Services' rules, policies, names and announcements to where the objects say; only what changed."""
        for cluster in self.topology.clusters:
            controllers.run(self.store, cluster.name, endpoints=self.daemons.on(cluster.name, "endpoints"))
        self.pods = census.pods(self.store)
        self._cables()
        self._program()
        self.names.reconcile(lambda pod: pod in self._wired)
        self.proxies.reconcile(lambda pod: pod in self._wired)
        self.routing.announce(
            {
                node.namespace: services.announced(self.store, cluster.name, node.name)
                for cluster in self.topology.clusters
                for node in cluster.nodes
            }
        )
        for follow in self.changed:
            follow(reason)

    def _cables(self) -> None:
        """Pods that are gone lose their namespace, new ones get one, moved ones both."""
        wanted = {_name(pod): pod for pod in self.pods if not pod.host_network}
        for name, (node, address) in tuple(self._wired.items()):
            pod = wanted.get(name)
            if pod is None or (pod.node, pod.addresses[0]) != (node, address):
                self._unplug(name, node, address)
        for name in tuple(self._bare - set(wanted)):
            self._bare.discard(name)
            self.namespaces.remove(name)
        plans = []
        for name, pod in wanted.items():
            if name in self._wired:
                continue
            plan = self._plan(pod)
            if self.daemons.on(f"{pod.cluster}/{pod.node}", "cni"):
                if name in self._bare:
                    self._bare.discard(name)
                    self.namespaces.remove(name)
                plans.append(plan)
                self._wired[name] = (pod.node, pod.addresses[0])
            elif name not in self._bare:
                # Nobody gives it a network: it has a loopback and nothing else.
                plans.append(blueprint.Blueprint(namespaces=plan.namespaces, sysctls=plan.sysctls))
                self._bare.add(name)
        if plans:
            build(self.namespaces, blueprint.join(plans))
        for pod in self.pods:
            if pod.host_network:
                self.namespaces.alias(_name(pod), f"{pod.cluster}/{pod.node}")

    def _unplug(self, name: str, node: str, address: str) -> None:
        cluster = name.partition("/")[0]
        _, index = blueprint.host_device(self.topology, cluster, node, address)
        self.namespaces.netlink(f"{cluster}/{node}").send(netlink.delete_link(index), ignore=netlink.NOT_THERE)
        del self._wired[name]
        self.names.evict(name)
        self.namespaces.remove(name)
        # Only now: whoever follows asks whether the pod is connected, and must hear that it is not.
        for follow in self.changed:
            follow(f"{name} goes")

    def _program(self) -> None:
        now = world.build(self.store.items())
        for node in self.topology.nodes:
            if self.daemons.on(node.namespace, "kube-proxy"):
                self._nft(node.namespace, "services", services.render(self.store, node.cluster, node.name))
            enforced = self.daemons.on(node.namespace, "policy")
            self._nft(node.namespace, "policy", policies.render(now, node.cluster, node.name) if enforced else policies.clear())

    def _nft(self, namespace: str, subject: str, text: str) -> None:
        if self._programmed.get((namespace, subject), policies.clear() if subject == "policy" else "") != text:
            self.namespaces.nft(namespace).run(text)
            self._programmed[(namespace, subject)] = text

    def environment(self) -> Mapping[str, str]:
        """The lab in words."""
        return {
            "lab": self.topology.name,
            "topology": self.topology.file,
            "clusters": ", ".join(f"{c.name} ({c.cni}, {len(c.nodes)} nodes)" for c in self.topology.clusters),
            "pods": str(len(self.pods)),
            **({"kept and not acted on": ", ".join(self.store.unread)} if self.store.unread else {}),
        }


def _name(pod: Pod) -> str:
    return f"{pod.cluster}/{pod.namespace}/{pod.name}"
