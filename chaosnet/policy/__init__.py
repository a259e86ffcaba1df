"""Policies: what they allow, why, and as rules of a kernel.  Pure; imports the model and the standard library.

==============  =====================================================================================
``fields``      one field of a manifest to a typed value, with its place in every error
``selectors``   Kubernetes label selectors
``kubernetes``  NetworkPolicy, parsed strictly
``semantics``   where plugins differ over the same policy, as plain settings
``world``       nodes, namespaces, pods and policies, read from objects
``decide``      one connection: allowed or not, and which policy decided
``reach``       many edges: the same reach table that a lab or a cluster measures
``ranges``      sets of addresses
``compile``     the rules of one node, as nftables text
==============  =====================================================================================

Only Kubernetes NetworkPolicy is understood so far.  Calico's and Cilium's own kinds, AdminNetworkPolicy and
ClusterNetworkPolicy are not: they would be parsed beside ``kubernetes``, become rules of ``decide.Program`` with an action
and an order, and leave ``compile`` with more than "admit, else drop".
"""
