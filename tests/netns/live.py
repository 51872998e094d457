# Live tunnels through Postern: programs try to carry a file out, and an authority counts what arrives.
#
# Everything that leaves Postern passes `Authority`, so what it counts is what an attacker's server could have.
# Each program has a sandbox, a session and a zone of its own; all run at the same time.
import math
import os
import socket
import struct
import subprocess
import threading
import time

import dns_message
import exfil
from cases import holds
from dns_client import ask_udp
from iodine_client import Iodine
from little_internet import TUNNEL_ZONE, UPSTREAM, LittleInternet
from postern_process import Daemon
from private_host import Namespace, Skip, sh, temp_folder, wait_until, write

BUDGET = 256                     # octets that may arrive in a zone: that of the profile `code`
POLICIES = {"default": "{}", "open": "{types: any, names: any}"}
IODINE_TYPES = ("NULL", "PRIVATE", "TXT", "SRV", "MX", "CNAME", "A")
DNS2TCP_TYPES = ("TXT", "KEY")
DNS2TCP_ZONE, DNS2TCP_SERVER, DNS2TCP_KEY = "d.carrier.example", "192.0.2.55", "little-key"
BENIGN = ("www.example.com", "files.example.org", "www.example.net", "v4only.example.com")
LETTER_BITS = {"iodine": 5.0, "dns2tcp": math.log2(36)}  # base32; base64 whose letter case is lost


class Authority:
    """What Postern forwards to. Answers the programs' zones itself, hands dns2tcp's to its server and everything
    else to the little internet, and keeps the name of each query. Threads: one that reads, and one for each query
    that it hands on."""

    ADDRESS = "127.0.0.9"

    def __init__(self, zone):
        self.zone, self.names, self._lock = zone, [], threading.Lock()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((self.ADDRESS, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def seen(self, zone):
        with self._lock:
            return [name for name in self.names if name.endswith("." + zone)]

    def _serve(self):
        while True:
            packet, peer = self._sock.recvfrom(65535)
            name, end = dns_message.decode_name(packet, 12)
            with self._lock:
                self.names.append(name.lower())
            if name.lower().endswith("." + self.zone):
                self._sock.sendto(self._answer(packet, struct.unpack_from("!H", packet, end)[0]), peer)
            else:
                server = DNS2TCP_SERVER if name.lower().endswith(DNS2TCP_ZONE) else UPSTREAM
                threading.Thread(target=self._hand_on, args=(packet, peer, server), daemon=True).start()

    def _answer(self, packet, rtype):
        data = {"A": bytes([93, 184, 216, 7]), "AAAA": dns_message.address_rdata("2606:2800:220::7"),
                "TXT": b"\x02ok", "CNAME": dns_message.encode_name("next.example.com")}
        kind = dns_message.type_name(rtype)
        return dns_message.reply_to(packet, [(kind, 0, data[kind])] if kind in data else ())

    def _hand_on(self, packet, peer, server):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect((server, 53))
            try:
                sock.send(packet)
                self._sock.sendto(sock.recv(65535), peer)
            except OSError:
                pass


class Trial:
    """One program that tries: `start` begins it, `arrived` says how many octets of payload reached the authority."""

    def __init__(self, tool, what, policy, zone):
        self.tool, self.what, self.policy, self.zone = tool, what, policy, zone
        self.namespace = None
        self.process = None

    def title(self):
        return f"{self.tool} {self.what}"

    def start(self, number, daemon):
        self.namespace = Namespace(f"trial{number}")
        daemon.attach(self.namespace, session=f"trial{number}", policy=self.policy)
        self.begin()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        if self.process is not None:
            self.process.wait()


class OwnProgram(Trial):
    def __init__(self, rtype, encoding, pause, policy, zone, path, seconds):
        pace = "fast" if pause == 0 else f"every {pause} s"
        super().__init__("program", f"{rtype}, {encoding}, {pace}", policy, zone)
        self.rtype, self.encoding, self.pause, self.path, self.seconds = rtype, encoding, pause, path, seconds

    def begin(self):
        self.process = self.namespace.popen("/usr/bin/python3", exfil.__file__, self.path, self.zone, self.rtype,
                                            self.encoding, str(self.pause), str(self.seconds),
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self):
        said = self.process.communicate(timeout=self.seconds + 30)[0]
        holds(self.process.returncode == 0 and said.strip().isdigit(), f"{self.title()}: {said}")
        return int(said)

    def arrived(self, authority):
        with open(self.path, "rb") as file:
            data = file.read()
        size, pieces = exfil.OCTETS[self.encoding], {}
        for name in authority.seen(self.zone):
            piece = exfil.decoded(name, self.encoding, self.zone)
            if piece is not None and data[piece[0] * size:piece[0] * size + size] == piece[1]:
                pieces[piece[0]] = len(piece[1])
        return sum(pieces.values())


class RealTunnel(Trial):
    """iodine or dns2tcp: all that its distinct names could have said, by the encoding's alphabet."""

    def arrived(self, authority):
        bits = LETTER_BITS[self.tool]
        zone = TUNNEL_ZONE if self.tool == "iodine" else DNS2TCP_ZONE
        own = {row["name"] for row in self.rows if row["action"] == "allowed"}  # two clients share the zone
        total = 0.0
        for name in set(authority.seen(zone)):
            if dns_text(name) in own:
                total += sum(bits if ord(c) < 128 else 8 for c in name[:-len(zone)] if c != ".")
        return total / 8

    def finish(self):
        self.stop()
        return len(self.rows)


class IodineTrial(RealTunnel):
    def begin(self):
        self.process = Iodine(self.namespace, "127.0.0.1", "-T", self.what).process


def dns2tcp_client(rtype, server):
    return ["dns2tcpc", "-z", DNS2TCP_ZONE, "-k", DNS2TCP_KEY, "-T", rtype, "-r", "sink", "-l", "8888", server]


class Dns2tcpTrial(RealTunnel):
    """Its client opens a session with the server when somebody connects to its local port."""

    def begin(self):
        out = open(os.path.join(temp_folder(), f"dns2tcp-{self.namespace.name}.out"), "wb")
        self.process = self.namespace.popen(*dns2tcp_client(self.what, "127.0.0.1"),
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.sender = self.namespace.popen("/usr/bin/python3", "-c", _PUSH, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.sender.terminate()
        self.sender.wait()
        super().stop()


_PUSH = """
import os, socket, time
while True:
    try:
        with socket.create_connection(("127.0.0.1", 8888), timeout=2) as sock:
            sock.sendall(os.urandom(4000))
            time.sleep(3)
    except OSError:
        time.sleep(0.2)
"""


def dns_text(name):
    """A name as the journal spells it."""
    return "".join(c if c == "." or 0x21 <= ord(c) <= 0x7e and c not in '\\"();@$' else
                   f"\\{ord(c):03d}" if not 0x21 <= ord(c) <= 0x7e else "\\" + c for c in name)


class Carrier:
    """dns2tcp's server, and behind it a sink that counts octets. Thread: one for the sink."""

    def __init__(self):
        sh("ip", "addr", "add", f"{DNS2TCP_SERVER}/32", "dev", "lo", check=False)
        self.received = 0
        self._sink = socket.create_server(("127.0.0.1", 4446))
        threading.Thread(target=self._swallow, daemon=True).start()
        config = write(os.path.join(temp_folder(), "dns2tcpd.conf"),
                       f"listen = {DNS2TCP_SERVER}\nport = 53\nuser = nobody\nchroot = /tmp\nkey = {DNS2TCP_KEY}\n"
                       f"domain = {DNS2TCP_ZONE}\nresources = sink:127.0.0.1:4446\n")
        out = open(os.path.join(temp_folder(), "dns2tcpd.out"), "wb")
        try:
            self.process = subprocess.Popen(["dns2tcpd", "-F", "-f", config], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)
        except FileNotFoundError:
            raise Skip("dns2tcpd is not installed") from None

    def _swallow(self):
        while True:
            with self._sink.accept()[0] as sock:
                try:
                    while data := sock.recv(65536):
                        self.received += len(data)
                except OSError:
                    pass

    def stop(self):
        self.process.terminate()
        self.process.wait()


def check_dns2tcp_works(carrier, rtype):
    """Without Postern, so that what is cut later is a working tunnel."""
    before = carrier.received
    client = subprocess.Popen(dns2tcp_client(rtype, DNS2TCP_SERVER), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sender = subprocess.Popen(["/usr/bin/python3", "-c", _PUSH], stdin=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    wait_until(lambda: carrier.received >= before + 4000, "4,000 octets through dns2tcp", seconds=30)
    for process in (sender, client):
        process.terminate()
        process.wait()


class Benign:
    """Asks ordinary names in all sandboxes, round after round, until it is stopped. Thread: its own."""

    def __init__(self, trials):
        self.trials, self.asked, self.failures, self.stop = trials, 0, [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stop.is_set():
            name = BENIGN[self.asked // len(self.trials) % len(BENIGN)]
            trial = self.trials[self.asked % len(self.trials)]
            try:
                reply = ask_udp(name, netns=trial.namespace.path, timeout=10)
                if reply.rcode != 0 or not reply.answer:
                    self.failures.append(f"{name} beside {trial.title()}, {trial.policy}: {reply.rcode_name}")
            except OSError as failure:
                self.failures.append(f"{name} beside {trial.title()}: {failure!r}")
            self.asked += 1
            self.stop.wait(0.02)

    def finish(self):
        wait_until(lambda: self.asked >= 2 * len(self.trials) or self.failures, "two rounds", seconds=60)
        self.stop.set()
        self.thread.join()


def own_programs(seconds, fast=4000, slow=2000):
    """All of A, AAAA, TXT, CNAME by hex, base32, words; fast and at a query every 2 s; under both policies."""
    paths = {0: os.path.join(temp_folder(), "loot"), 2: os.path.join(temp_folder(), "small-loot")}
    for pause, size in ((0, fast), (2, slow)):
        with open(paths[pause], "wb") as file:
            file.write(os.urandom(size))
    return [OwnProgram(rtype, encoding, pause, policy, f"x.{rtype}-{encoding}-{pause}-{policy}.drop.example".lower(),
                       paths[pause], seconds)
            for pause in (2, 0) for policy in POLICIES
            for rtype in ("A", "AAAA", "TXT", "CNAME") for encoding in exfil.OCTETS]


def real_tunnels():
    return ([IodineTrial("iodine", rtype, policy, "tunnel.example") for policy in POLICIES
             for rtype in IODINE_TYPES] +
            [Dns2tcpTrial("dns2tcp", rtype, policy, "carrier.example") for policy in POLICIES
             for rtype in DNS2TCP_TYPES])


def measure(trials, seconds):
    """Runs all trials at once for about so long; prints the table and returns (trial, octets arrived) pairs."""
    LittleInternet(tunnel=True)
    carrier = Carrier()
    authority = Authority("drop.example")
    policies = "policies:\n" + "".join(f"  {name}: {text}\n" for name, text in POLICIES.items())
    daemon = Daemon(policy=policies, upstream=(authority.ADDRESS,), workers=2)
    began = time.monotonic()
    for number, trial in enumerate(trials):
        trial.start(number, daemon)
    benign = Benign(trials)
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))  # a tunnel that is cut keeps trying for ever
    results = []
    for number, trial in enumerate(trials):
        trial.rows = daemon.rows("session = ? AND registered_domain = ?", f"trial{number}",
                                 ".".join(trial.zone.split(".")[-2:]))
        if isinstance(trial, RealTunnel):
            trial.finish()
    benign.finish()
    print(f"{'program':34} {'policy':8} {'asked':>6} {'forwarded':>9} {'charged':>8} {'arrived':>8}")
    for number, trial in enumerate(trials):
        asked = trial.finish() if isinstance(trial, OwnProgram) else len(trial.rows)
        trial.rows = daemon.rows("session = ? AND registered_domain = ?", f"trial{number}",
                                 ".".join(trial.zone.split(".")[-2:]))
        forwarded = [r for r in trial.rows if r["action"] == "allowed" and not r["cached"]]
        charged = sum(r["charge_bits"] for r in forwarded) / 8
        arrived = trial.arrived(authority)
        print(f"{trial.title():34} {trial.policy:8} {asked:6} {len(forwarded):9} {charged:8.1f} {arrived:8.1f}")
        results.append((trial, asked, arrived))
    print(f"beside them: {benign.asked} ordinary lookups in {len(trials)} sandboxes, "
          f"{len(benign.failures)} not answered")
    carrier.stop()
    holds(not benign.failures, benign.failures[:5])
    return results


def check(results):
    for trial, asked, arrived in results:
        holds(asked > 0, f"{trial.title()} under {trial.policy} asked nothing")
        holds(arrived <= BUDGET, f"{trial.title()} under {trial.policy}: {arrived} octets arrived")
