"""Where network plugins differ over the same NetworkPolicy, as plain settings.

Rules elsewhere ask for a setting and never for a plugin by name, so that another plugin, or another version of one, is one
more value here.  Sources: the conformance tests of Kubernetes 1.34 (test/e2e/network/netpol), Calico's felix, and Cilium 1.18's
pkg/policy and Documentation/security/policy.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Semantics:
    """How the nodes that run ``name`` understand and enforce policies.

    enforces
        False: policies are accepted and ignored (kubenet, flannel and the like).
    blocks_match_pods, blocks_match_nodes
        Whether an ipBlock matches pods that the plugin manages, and the cluster's nodes.  In Cilium it selects neither: a
        CIDR matches "world" only (cilium#9209).
    strangers_are_world
        Whether pods and nodes that do not run this plugin are no part of the cluster to it.  Cilium's agent watches the
        pods of its own node only and learns the others from other agents, so that label peers never admit the rest.
    cuts_live_flows
        Cilium looks the policy up for every packet of the establishing direction; the others accept what conntrack calls
        established first, so that live flows survive a new policy (calico#2759).
    ignores_types
        Whether rules isolate even where policyTypes does not list their direction (cilium#48703).
    cluster_wide_names
        Whether an egress rule's port name means one number in the whole cluster, and nothing where pods disagree
        (cilium#24779; by destination from 1.20 on), instead of each destination's own.
    absence_matches_world
        Whether a namespaceSelector of NotIn and DoesNotExist alone also selects nodes and the world (cilium#46949).
    """

    name: str
    enforces: bool = True
    blocks_match_pods: bool = True
    blocks_match_nodes: bool = True
    strangers_are_world: bool = False
    cuts_live_flows: bool = False
    ignores_types: bool = False
    cluster_wide_names: bool = False
    absence_matches_world: bool = False


KUBERNETES = Semantics("kubernetes")
CALICO = Semantics("calico")
CILIUM = Semantics(
    "cilium",
    blocks_match_pods=False,
    blocks_match_nodes=False,
    strangers_are_world=True,
    cuts_live_flows=True,
    ignores_types=True,
    cluster_wide_names=True,
    absence_matches_world=True,
)

SEMANTICS = {
    each.name: each for each in (KUBERNETES, CALICO, CILIUM, *(Semantics(n, enforces=False) for n in ("kubenet", "none")))
}
