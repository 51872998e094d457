# Forwarded zones: their questions go to their own servers and to nobody else. Two real NSDs; the wire is watched.
import os
import socket
import struct
import subprocess
import threading

import dns_message
from cases import case, equal, holds
from dns_client import ask_tcp, ask_udp
from postern_process import Daemon, binary, new_db, run_argv
from private_host import Namespace, Skip, temp_folder, wait_until, write

USUAL, CORP, DEAD = "127.0.0.21", "127.0.0.22", "127.0.0.23"
# Both hold the forwarded zone, with other addresses: who answered can be told from the answer.
USUAL_ADDRESS, CORP_ADDRESS = "93.184.215.21", "93.184.215.22"
ETH_P_ALL, PACKET_OUTGOING = 3, 4


def start_nsd(address, own_address):
    """NSD on `address`, authoritative for example.com and corp.example.com; every name there is `own_address`."""
    folder = os.path.join(temp_folder(), f"nsd-{address}")
    os.makedirs(folder)
    zones = ""
    for zone in ("example.com", "corp.example.com", "internal"):
        path = write(os.path.join(folder, f"{zone}.zone"), f"""$ORIGIN {zone}.
@ 300 IN SOA ns hostmaster 1 3600 600 86400 60
@ 300 IN NS ns
* 300 IN A {own_address}
*.tcp 300 IN TXT {" ".join('"' + "x" * 100 + '"' for _ in range(30))}
""")
        zones += f"zone:\n  name: \"{zone}\"\n  zonefile: \"{path}\"\n"
    config = write(os.path.join(folder, "nsd.conf"), f"""server:
  ip-address: {address}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  database: ""
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  logfile: "{folder}/nsd.log"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
{zones}""")
    try:
        with open(os.path.join(folder, "nsd.out"), "wb") as out:
            subprocess.Popen(["nsd", "-d", "-c", config], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    except FileNotFoundError:
        raise Skip("NSD is not installed") from None

    def answers():
        try:
            return ask_udp("ready.example.com", server=address, timeout=0.5).rcode == 0
        except OSError:
            return False

    wait_until(answers, f"NSD on {address} answers")


class Wire:
    """Every DNS question over UDP and every connection over TCP that goes to port 53 of this host's loopback."""

    def __init__(self):
        self.questions, self.connections = [], []  # (server, name); servers
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.bind(("lo", ETH_P_ALL))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            packet, where = self._socket.recvfrom(65535)
            if where[2] == PACKET_OUTGOING or packet[0] >> 4 != 4:
                continue
            header = (packet[0] & 15) * 4
            server, port = socket.inet_ntoa(packet[16:20]), struct.unpack_from("!H", packet, header + 2)[0]
            if port != 53:
                continue
            if packet[9] == socket.IPPROTO_UDP:
                name = dns_message.decode_name(packet[header + 8:], 12)[0].lower()
                self.questions.append((server, name.rstrip(".")))
            elif packet[header + 13] & 0x12 == 0x02:  # SYN
                self.connections.append(server)

    def servers_of(self, zone):
        return {server for server, name in list(self.questions) if name == zone or name.endswith("." + zone)}


POLICY = """default: block
allow: ["**.example.com"]
forward: {corp.example.com: corp, internal: corp}
"""


@case("a forwarded zone's questions go to its own servers and to no other, over UDP and TCP", seconds=60)
def _():
    start_nsd(USUAL, USUAL_ADDRESS)
    start_nsd(CORP, CORP_ADDRESS)
    wire = Wire()
    daemon = Daemon(policy=POLICY, upstream=(USUAL,), more=[f"upstreams: {{corp: [{DEAD}, {CORP}]}}"])
    inside = Namespace("inside")
    daemon.attach(inside)
    for number in range(10):
        for how in (ask_udp, ask_tcp):
            reply = how(f"n{number}.corp.example.com", netns=inside.path)
            equal((reply.rcode_name, reply.texts("A")), ("NOERROR", [CORP_ADDRESS]), reply)
            reply = how(f"n{number}.example.com", netns=inside.path)
            equal((reply.rcode_name, reply.texts("A")), ("NOERROR", [USUAL_ADDRESS]), reply)
    # A special name that is forwarded leaves, too, and only there; too long an answer takes TCP to the same server.
    equal(ask_udp("db.internal", netns=inside.path).texts("A"), [CORP_ADDRESS])
    long = ask_tcp("a.tcp.corp.example.com", "TXT", netns=inside.path)
    equal((long.rcode_name, len(long.answer)), ("NOERROR", 1))
    equal(ask_udp("other.org", netns=inside.path).rcode_name, "NXDOMAIN")

    equal(wire.servers_of("corp.example.com"), {DEAD, CORP})  # the dead one was tried first
    equal(wire.servers_of("internal"), {CORP})
    usual = {name for server, name in wire.questions if server == USUAL}
    equal(usual, {f"n{number}.example.com" for number in range(10)})
    holds(USUAL not in wire.connections and CORP in wire.connections, f"TCP went to {wire.connections}")
    # They are priced and recorded as every other forward.
    rows = daemon.rows("name LIKE '%.corp.example.com' AND NOT cached")
    equal(len(rows), 11)
    for row in rows:
        holds(row["charge_bits"] >= 8 and "forward corp.example.com to corp" in row["rule"], row)
    equal(daemon.stop(), 0)


@case("a forward to a group that is not configured is an error with its place, at start and at reload")
def _():
    start_nsd(USUAL, USUAL_ADDRESS)
    policy = write(os.path.join(temp_folder(), "p.yaml"), POLICY)
    config = write(os.path.join(temp_folder(), "c.yaml"),
                   f"state: {temp_folder()}/state\nupstream: [{USUAL}]\npolicy: {policy}\n"
                   "upstreams: {lab: [127.0.0.24]}\n")
    said = subprocess.run([binary(), "serve", "--config", config, "--check-config"], text=True, capture_output=True)
    equal(said.returncode, 125, said)
    place = f'{policy}:3:29: "corp.example.com" is forwarded to the upstream group "corp", which is not configured'
    holds(place in said.stderr, said)
    said = subprocess.run([binary(), "policy", "check", policy, "--config", config], text=True, capture_output=True)
    equal(said.returncode, 1, said)
    holds(place in said.stderr, said)
    daemon = Daemon(policy="default: allow\n", upstream=(USUAL,))
    inside = Namespace("inside")
    daemon.attach(inside)
    write(daemon.policy_file, POLICY)
    said = daemon.command("reload", check=False)
    holds(said.returncode != 0 and "but none is configured" in said.stdout + said.stderr, said)
    equal(ask_udp("a.corp.example.com", netns=inside.path).texts("A"), [USUAL_ADDRESS], "the old policy")


@case("run takes the servers of a group from --upstream-for")
def _():
    start_nsd(USUAL, USUAL_ADDRESS)
    start_nsd(CORP, CORP_ADDRESS)
    policy = write(os.path.join(temp_folder(), "p.yaml"), POLICY)
    ask = ["/usr/bin/python3", "-c", "import socket; print(socket.gethostbyname('a.corp.example.com'), "
           "socket.gethostbyname('a.example.com'))"]
    options = ("--policy", policy, "--upstream-for", f"corp={CORP}")
    done = subprocess.run(run_argv(*ask, options=options, upstream=USUAL, db=new_db()), text=True, capture_output=True,
                          cwd=temp_folder(), stdin=subprocess.DEVNULL, timeout=30)
    equal(done.stdout.split(), [CORP_ADDRESS, USUAL_ADDRESS], done)
    done = subprocess.run(run_argv(*ask, options=("--policy", policy), upstream=USUAL, db=new_db()), text=True,
                          capture_output=True, cwd=temp_folder(), stdin=subprocess.DEVNULL, timeout=30)
    equal(done.returncode, 125, done)
    holds('"corp.example.com" is forwarded to the upstream group "corp", but none is configured' in done.stderr, done)
