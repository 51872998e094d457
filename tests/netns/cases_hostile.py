# A hostile client beside an ordinary one: Postern survives, and the other sandbox is served meanwhile.
import os
import random
import socket
import struct
import threading

from cases import case, equal, holds
from dns_client import TcpConnection, ask_tcp, ask_udp
from dns_message import QR, RD, parse, query
from postern_process import OPEN_BUDGETS, Daemon
from private_host import Namespace, in_namespace, wait_until
from recording_upstream import RecordingUpstream

CONNECTIONS = 400  # opened and left silent by one sandbox
ENOUGH = 20        # questions from the other sandbox that make a case count


class Neighbour:
    """Asks from another sandbox all the while, over UDP and TCP; `check` says that each question was answered."""

    def __init__(self, netns):
        self.netns, self.failures, self.asked, self.stop = netns, [], 0, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stop.is_set():
            how = ask_tcp if self.asked % 4 == 0 else ask_udp
            try:
                equal(how(f"www.n{self.asked % 100}.com", netns=self.netns, timeout=5).rcode_name, "NOERROR")
            except Exception as failure:
                self.failures.append(f"{how.__name__} {self.asked}: {failure!r}")
            self.asked += 1

    def check(self):
        wait_until(lambda: self.asked >= ENOUGH or self.failures, "questions from the other sandbox", seconds=30)
        self.stop.set()
        self.thread.join()
        equal(self.failures[:5], [], f"{len(self.failures)} of {self.asked} questions from the other sandbox")


def besieged():
    """(daemon, path of the hostile namespace, the neighbour at work)."""
    upstream = RecordingUpstream()
    daemon = Daemon(policy=OPEN_BUDGETS, upstream=(upstream.text,))
    hostile, friendly = Namespace("hostile"), Namespace("friendly")
    daemon.attach(hostile)
    daemon.attach(friendly)
    return daemon, hostile.path, Neighbour(friendly.path)


def survives(daemon, netns, neighbour):
    # The hostile sandbox itself is served again as well: nothing it did has used Postern up. What it has in flight may
    # still be at its limit, and a question above that is dropped: ask again as a stub would.
    def served():
        try:
            return ask_udp("www.after.com", netns=netns, timeout=1).rcode_name == "NOERROR"
        except TimeoutError:
            return False
    wait_until(served, "the hostile sandbox is served again", seconds=30)
    equal(ask_tcp("www.after.com", netns=netns, timeout=10).rcode_name, "NOERROR")
    neighbour.check()
    equal(daemon.process.poll(), None, "the daemon lives")
    equal(daemon.stop(), 0)


def udp(netns):
    sock = in_namespace(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.connect(("127.0.0.1", 53))
    sock.setblocking(False)
    return sock


def send(sock, packet):
    try:
        sock.send(packet)
    except (BlockingIOError, ConnectionRefusedError):
        pass


@case("garbage datagrams and mutated queries harm nobody")
def _():
    daemon, netns, neighbour = besieged()
    sock, draw = udp(netns), random.Random(53)
    for _ in range(3000):
        packet = bytearray(query("www.example.com", "A", draw.getrandbits(16), edns=True))
        kind = draw.random()
        if kind < 0.3:
            packet = draw.randbytes(draw.randrange(0, 600))
        elif kind < 0.9:
            for _ in range(draw.randrange(1, 6)):
                packet[draw.randrange(len(packet))] = draw.getrandbits(8)
        else:
            packet = packet[:draw.randrange(len(packet))]
        send(sock, bytes(packet))
    send(sock, b"\0" * 65507)
    send(sock, query("www.example.com")[:12] + b"\xc0\x0c" + b"\0\1\0\1")          # a name that points at itself
    send(sock, query("www.example.com")[:12] + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1")  # a name of 320 octets
    survives(daemon, netns, neighbour)


@case("a packet that claims to come from Postern itself starts no loop")
def _():
    daemon, netns, neighbour = besieged()
    # Needs root in the namespace, which a container's root has: raw datagrams from port 53 to port 53.
    raw = in_namespace(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
    for source in ("127.0.0.1", "127.0.0.2"):
        for source_port in (53, 0):
            for flags in (RD, RD | QR):
                payload = query("loop.example.com", "A", 99, flags=flags)
                datagram = struct.pack("!4H", source_port, 53, 8 + len(payload), 0) + payload
                header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0,
                                     socket.inet_aton(source), socket.inet_aton("127.0.0.1"))
                raw.sendto(header + datagram, ("127.0.0.1", 0))
    survives(daemon, netns, neighbour)
    holds(len(daemon.rows("name = 'loop.example.com'")) <= 4, "more rows than questions: a loop")


@case("a TCP client that sends one octet at a time is answered, and one that stops does not hold others up")
def _():
    daemon, netns, neighbour = besieged()
    packet = query("www.slow.com", "A", 7, edns=True)
    with TcpConnection(netns=netns, timeout=20) as slow, TcpConnection(netns=netns) as stuck:
        stuck.sock.sendall(b"\0")
        slow.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in struct.pack("!H", len(packet)) + packet:
            slow.sock.sendall(bytes([octet]))
        equal(parse(slow.receive()).id, 7)
        survives(daemon, netns, neighbour)


@case("TCP messages of 65535, 12, 1 and 0 octets harm nobody")
def _():
    daemon, netns, neighbour = besieged()
    for body in (query("www.example.com") + b"\xff" * (65535 - len(query("www.example.com"))),
                 query("x.com")[:12], b"x", b"",
                 os.urandom(65535)):
        with TcpConnection(netns=netns, timeout=0.3) as connection:
            try:
                connection.sock.sendall(struct.pack("!H", len(body)) + body)
                connection.sock.shutdown(socket.SHUT_WR)
                while connection.sock.recv(65536):
                    pass
            except OSError:
                pass  # answered or not, closed or left open until it is idle for too long: all of them are fine
    survives(daemon, netns, neighbour)


@case("hundreds of silent TCP connections from one sandbox leave the other one served", seconds=120)
def _():
    daemon, netns, neighbour = besieged()
    held = []
    for _ in range(CONNECTIONS):
        sock = in_namespace(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        sock.setblocking(False)
        try:
            sock.connect(("127.0.0.1", 53))
        except BlockingIOError:
            pass
        held.append(sock)
    equal(ask_udp("www.beside.com", netns=netns, timeout=10).rcode_name, "NOERROR",
          "UDP beside the held connections")
    enough = neighbour.asked + ENOUGH
    wait_until(lambda: neighbour.asked >= enough or neighbour.failures, "service beside the held connections",
               seconds=60)
    for sock in held:
        sock.close()
    survives(daemon, netns, neighbour)


@case("a TCP client that never reads its answers does not make Postern hold them without limit")
def _():
    daemon, netns, neighbour = besieged()
    connection = TcpConnection(netns=netns, timeout=2)
    packet = query("www.example.com", "A", 1, edns=True)
    framed = (struct.pack("!H", len(packet)) + packet) * 500
    sent = 0
    try:
        for _ in range(200):
            connection.sock.sendall(framed)
            sent += 500
    except (TimeoutError, ConnectionError):
        pass  # pushed back, or closed: both are limits
    peak = max(_resident_kib(pid) for pid in daemon.pids())
    holds(peak < 200 * 1024, f"{peak} KiB resident after {sent} unread answers")
    connection.close()
    survives(daemon, netns, neighbour)


def _resident_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0)


@case("a flood of distinct questions from one sandbox leaves the other one served", seconds=120)
def _():
    daemon, netns, neighbour = besieged()
    socks = [udp(netns) for _ in range(50)]
    for number in range(20000):
        send(socks[number % 50], query(f"www.flood{number}.com", "A", number & 0xFFFF))
    survives(daemon, netns, neighbour)


@case("a process in the sandbox cannot take Postern's port beside it", seconds=60)
def _():
    daemon, netns, neighbour = besieged()
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"),
                            (socket.AF_INET6, "::1")):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                sock = in_namespace(netns, lambda: socket.socket(family, kind))
                if option:
                    sock.setsockopt(socket.SOL_SOCKET, option, 1)
                try:
                    sock.bind((address, 53))
                    if kind == socket.SOCK_STREAM:
                        sock.listen()
                    raise AssertionError(f"bound {address} {kind!r} with option {option}")
                except OSError:
                    pass
    survives(daemon, netns, neighbour)
