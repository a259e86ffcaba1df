"""The hosts' own firewall: what every node and router of the lab has before anybody breaks anything.

It accepts everything, as a node's firewall does for its own cluster; what matters is that it looks at connections, so that
connection tracking runs on every host from the start.  A rule that somebody adds later behind an ``established accept`` then
finds the long-lived sessions already known, as on a real host: without this they would be new to it.  Text only; the
target applies it.
"""

TABLE = "lab_host"


def render() -> str:
    """The firewall of one host, in nft's own words: replaces what was there."""
    return f"""table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain input {{
    type filter hook input priority filter; policy accept;
    ct state established,related accept
    tcp dport 179 accept
  }}
  chain forward {{
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    ct state established,related accept
  }}
}}
"""
