"""Choosing TCP ports on the loopback interface."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections, so that none of those sits on our port at the next start.
FREE_RANGE = range(20_000, 32_000)
TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could bind the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def why_not_bound(host: str, port: int) -> str:
    """Why no server could listen there now; empty if one could."""
    if not 0 < port < 1 << 16:
        return "a port lies between 1 and 65535"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(address)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def accepts(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts a TCP connection there within `timeout` seconds."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False


def choose(preferred: list[int], taken: set[int]) -> int:
    """The first free port of `preferred` that is not in `taken`, else a random free one."""
    for port in preferred:
        if port not in taken and is_free(port):
            return port
    return next(port for port in random.sample(FREE_RANGE, TRIES) if port not in taken and is_free(port))
