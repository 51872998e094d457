# A DNS client for the tests: one question, one answer, over UDP or TCP, from any network namespace.
import random
import socket
import struct
import time

import dns_message
from private_host import in_namespace


def _socket(netns, kind, server):
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    make = lambda: socket.socket(family, kind)
    return in_namespace(netns, make) if netns else make()


def exchange_udp(packet, server="127.0.0.1", port=53, timeout=5.0, netns=None):
    """Sends `packet`, returns the first datagram that bears its id."""
    with _socket(netns, socket.SOCK_DGRAM, server) as sock:
        sock.connect((server, port))
        sock.send(packet)
        end = time.monotonic() + timeout
        while True:
            sock.settimeout(max(0.001, end - time.monotonic()))
            reply = sock.recv(65535)
            if reply[:2] == packet[:2]:
                return reply


def ask_udp(name, rtype="A", server="127.0.0.1", port=53, timeout=5.0, netns=None, edns=True, **options):
    packet = dns_message.query(name, rtype, random.getrandbits(16), edns=edns, **options)
    return dns_message.parse(exchange_udp(packet, server, port, timeout, netns))


class TcpConnection:
    """A TCP connection that carries several messages (RFC 7766)."""

    def __init__(self, server="127.0.0.1", port=53, timeout=5.0, netns=None):
        self.sock = _socket(netns, socket.SOCK_STREAM, server)
        self.sock.settimeout(timeout)
        self.sock.connect((server, port))

    def send(self, packet):
        self.sock.sendall(struct.pack("!H", len(packet)) + packet)

    def receive(self):
        length = struct.unpack("!H", self._exactly(2))[0]
        return self._exactly(length)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise ConnectionError(f"closed after {len(data)} of {count} octets")
            data += more
        return data

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask_tcp(name, rtype="A", server="127.0.0.1", port=53, timeout=5.0, netns=None, edns=True, **options):
    with TcpConnection(server, port, timeout, netns) as connection:
        connection.send(dns_message.query(name, rtype, random.getrandbits(16), edns=edns, **options))
        return dns_message.parse(connection.receive())
