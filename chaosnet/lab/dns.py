"""The names of every cluster's Services, as records and as a hosts file and settings for dnsmasq.

Within a cluster ``<svc>.<ns>.svc.<domain>``; for every cluster, from every cluster, ``<svc>.<ns>.svc.<cluster>.clusterset.local``
(after the Multi-Cluster Services API's zone).  A headless Service answers with its ready pods, and a StatefulSet's pod has a
name of its own under it (Kubernetes DNS specification 1.1.0).  No SRV records, no ExternalName, no pod-address names; search
lists are the resolver's matter.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping

from chaosnet.errors import InputError
from chaosnet.lab import census
from chaosnet.lab.kinds import Manifest
from chaosnet.lab.objects import Store

CLUSTERSET = "clusterset.local"
#: A name and one of its addresses.
Record = tuple[str, str]

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*", re.ASCII)


def records(store: Store, cluster: str, domain: str = "cluster.local") -> tuple[Record, ...]:
    """What the DNS server of ``cluster`` knows: its own Services under ``domain``, everyone's under the clusterset's zone."""
    found: dict[Record, None] = {}
    for name in store.clusters:
        zones = [f"svc.{name}.{CLUSTERSET}"] + ([f"svc.{domain}"] if name == cluster else [])
        for service in store.list(name, "Service"):
            metadata = service["metadata"]
            for prefix, address in _answers(store, name, service):
                for zone in zones:
                    found[(_checked(f"{prefix}{metadata['name']}.{metadata['namespace']}.{zone}"), address)] = None
    return tuple(sorted(found))


def _answers(store: Store, cluster: str, service: Manifest) -> list[tuple[str, str]]:
    spec, metadata = service["spec"], service["metadata"]
    if spec.get("type") == "ExternalName":
        return []
    if spec.get("clusterIP") not in (None, "", "None"):
        return [("", str(ipaddress.IPv4Address(spec["clusterIP"])))]
    behind = census.backends(store, cluster, service)
    ready = dict.fromkeys(backend.address for group in behind.values() for backend in group if backend.ready)
    found = [("", str(ipaddress.IPv4Address(address))) for address in ready]
    for pod in store.list(cluster, "Pod", metadata["namespace"]):
        own = pod["spec"].get("hostname")
        address = (pod.get("status") or {}).get("podIP", "")
        if own and pod["spec"].get("subdomain") == metadata["name"] and address in ready:
            found.append((f"{own}.", str(ipaddress.IPv4Address(address))))
    return found


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(name[:60], "this would not be a DNS name", "shorten the names of the Service, namespace or cluster")
    return name


def hosts(found: Iterable[Record]) -> str:
    """Records in the form of hosts(5), one a line: dnsmasq answers with all lines of a name."""
    return "".join(f"{ipaddress.ip_address(address)} {_checked(name)}\n" for name, address in found)


def settings(domains: Mapping[str, str]) -> str:
    """dnsmasq's settings for a cluster's server: it knows its hosts file, asks nobody, and says NXDOMAIN for the rest.

    ``domains`` is cluster → domain.  Which files, addresses and user it gets is for whoever starts it to add.
    """
    zones = sorted({*domains.values(), CLUSTERSET})
    local = "".join(f"local=/{_checked(zone)}/\n" for zone in zones)
    return f"no-resolv\nno-hosts\nno-poll\ncache-size=0\nlocal-ttl=5\n{local}address=/#/\n"
