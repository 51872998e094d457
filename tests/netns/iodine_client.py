# The iodine client in a namespace, and a drop box behind the tunnel that counts what arrives.
import os
import socket
import subprocess
import threading

from little_internet import TUNNEL_INSIDE, TUNNEL_PASSWORD, TUNNEL_ZONE
from private_host import Skip, temp_folder, wait_until

DROP_PORT = 4444
GIVES_UP_AFTER = 90  # seconds; iodine's own handshake gives up in about a minute when nothing comes back


class DropBox:
    """Listens on iodined's end of the tunnel and counts octets. Thread: its own."""

    def __init__(self):
        self.received = 0
        self._sock = socket.create_server((TUNNEL_INSIDE, DROP_PORT))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            threading.Thread(target=self._count, args=(sock,), daemon=True).start()

    def _count(self, sock):
        with sock:
            try:
                while data := sock.recv(65536):
                    self.received += len(data)
            except OSError:
                pass


_SENDER = f"""
import socket, sys
data = open("/dev/urandom", "rb").read(int(sys.argv[1]))
sock = socket.create_connection(("{TUNNEL_INSIDE}", {DROP_PORT}), timeout=float(sys.argv[2]))
sock.sendall(data)
sock.shutdown(socket.SHUT_WR)
sock.recv(1)
"""


class Iodine:
    """`iodine -f -r` in a namespace through `nameserver`; it needs root and /dev/net/tun there."""

    def __init__(self, namespace, nameserver, *options):
        if not os.path.exists("/dev/net/tun"):
            raise Skip("/dev/net/tun is missing: no iodine here")
        self.namespace = namespace
        self.path = os.path.join(temp_folder(), f"iodine-{namespace.name}.out")
        argv = namespace.argv("iodine", "-f", "-r", "-P", TUNNEL_PASSWORD, *options, nameserver, TUNNEL_ZONE)
        try:
            with open(self.path, "wb") as out:
                self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        except FileNotFoundError:
            raise Skip("iodine is not installed") from None

    def said(self):
        with open(self.path, errors="replace") as file:
            return file.read()

    def up(self):
        return "Connection setup complete" in self.said()

    def settle(self):
        """Waits until the tunnel is up or iodine has given up; says whether it is up."""
        wait_until(lambda: self.up() or self.process.poll() is not None, "iodine is up or gives up",
                   seconds=GIVES_UP_AFTER)
        return self.up()

    def send(self, octets, seconds=10):
        """Tries to push random octets through the tunnel; whether they got there is the drop box's to say."""
        return subprocess.run(self.namespace.argv("/usr/bin/python3", "-c", _SENDER, str(octets),
                                                  str(seconds)),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=seconds + 30).returncode == 0

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
