"""Which addresses a fetch may connect to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from omniguard.domain.fetching import FetchRules
from omniguard.errors import Misconfigured

PORTS = frozenset({80, 443})

# Our own tables: what `ipaddress` calls global differs between patch releases of Python.
_NOT_PUBLIC = tuple(
    ip_network(net)
    for net in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, and a cloud's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host agent, on an address that looks public
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # Teredo and other protocols' addresses
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
# All other IPv6 is refused by not being in here: loopback, mapped IPv4, NAT64, unique local, link-local, multicast.
_PUBLIC_V6 = IPv6Network("2000::/3")
# A listed host may be private, but its DNS must not lead to these; only a listed network does.
_NEVER_BY_NAME = tuple(
    ip_network(net)
    for net in (
        "0.0.0.0/8",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "192.0.0.192/32",
        "224.0.0.0/3",
        "::/128",
        "::a9fe:0/112",  # 169.254.0.0/16 in the old compatible form
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",  # translated IPv4
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",
        "fd00:42::42/128",  # metadata of clouds, in the range of private addresses
        "fd00:c1::a9fe:a9fe/128",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "fe80::/10",
        "ff00::/8",
    )
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """True for unicast on the public internet; addresses that carry another address inside are not."""
    if isinstance(address, IPv6Address) and address not in _PUBLIC_V6:
        return False
    return not any(address in net for net in _NOT_PUBLIC)


def is_listed(host: str, rules: FetchRules) -> bool:
    """True if the operator listed this host by name."""
    return _plain(host) in {_plain(listed) for listed in rules.hosts}


def may_connect(address: str, port: int, rules: FetchRules, *, listed: bool) -> bool:
    """Decide on the address that a socket is about to connect to. `listed`: the URL's host is one of `rules.hosts`.

    Raises:
        Misconfigured: a network of the rules is no CIDR.

    """
    there = ip_address(address.partition("%")[0])
    try:
        networks = [ip_network(net, strict=False) for net in rules.networks]
    except ValueError as error:
        raise Misconfigured(f"fetch rules: {error}; expected CIDR, such as 10.0.0.0/8") from error
    if any(there in net for net in networks):
        return True
    if listed:
        return not any(there in net for net in _NEVER_BY_NAME)
    return rules.public_http and port in PORTS and is_public(there)


def _plain(host: str) -> str:
    return host.rstrip(".").lower()
