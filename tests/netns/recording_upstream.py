# An upstream server that keeps every packet it got, and answers as the test tells it to.
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass

import dns_message


@dataclass
class Seen:
    tcp: bool
    packet: bytes
    source_port: int
    at: float  # monotonic seconds

    @property
    def message(self):
        return dns_message.parse(self.packet)

    @property
    def name(self):
        return dns_message.decode_name(self.packet, 12)[0].lower()


def ordinary(packet, tcp):
    """Answers A and AAAA with a public address made from the name, everything else with NODATA."""
    end = dns_message.decode_name(packet, 12)[1]
    rtype = struct.unpack_from("!H", packet, end)[0]
    if rtype == dns_message.TYPES["A"]:
        low = sum(packet[12:end]) & 0xFF
        return [dns_message.reply_to(packet, [("A", 300, bytes([93, 184, 216, low]))])]
    if rtype == dns_message.TYPES["AAAA"]:
        return [dns_message.reply_to(packet, [("AAAA", 300, dns_message.address_rdata("2606:2800:220::1"))])]
    return [dns_message.reply_to(packet)]


class RecordingUpstream:
    """Thread: one for UDP, one for TCP and one per TCP connection. `behaviour(packet, tcp)` gives the raw replies to
    send, none for silence. `log` is a file that gets the name of each query, written before the reply is sent."""

    def __init__(self, address="127.0.0.9", port=53, behaviour=ordinary, log=None):
        self.address, self.port, self.behaviour = address, port, behaviour
        self.seen = []
        self._lock = threading.Lock()
        self._log = open(log, "a", buffering=1) if log else None
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._udp.bind((address, port))
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind((address, port))
        self._tcp.listen(64)
        for loop in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    @property
    def text(self):
        return f"{self.address}:{self.port}"

    def queries(self, name=None):
        with self._lock:
            return [s for s in self.seen if name is None or s.name == name.lower()]

    def stop(self):
        # shutdown wakes the thread that waits in recvfrom; close alone would leave it there, and the port taken.
        for sock in (self._udp, self._tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _record(self, packet, port, tcp):
        seen = Seen(tcp, packet, port, time.monotonic())
        with self._lock:
            self.seen.append(seen)
        if self._log:
            self._log.write(seen.name + "\n")

    def _serve_udp(self):
        while True:
            try:
                packet, peer = self._udp.recvfrom(65535)
            except OSError:
                return
            if len(packet) < 12:
                return  # what shutdown leaves us with
            self._record(packet, peer[1], False)
            for reply in self.behaviour(packet, False) or ():
                try:
                    self._udp.sendto(reply, peer)
                except OSError:
                    return

    def _serve_tcp(self):
        while True:
            try:
                sock, peer = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(sock, peer), daemon=True).start()

    def _serve_connection(self, sock, peer):
        with sock, sock.makefile("rb") as stream:
            while True:
                try:
                    length = stream.read(2)
                    if len(length) < 2:
                        return
                    packet = stream.read(struct.unpack("!H", length)[0])
                    self._record(packet, peer[1], True)
                    for reply in self.behaviour(packet, True) or ():
                        sock.sendall(struct.pack("!H", len(reply)) + reply)
                except OSError:
                    return


def main():
    """As a program (ADDRESS PORT LOGFILE): an ordinary upstream that outlives whoever is killed beside it."""
    address, port, log = sys.argv[1:4]
    RecordingUpstream(address, int(port), log=log)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
