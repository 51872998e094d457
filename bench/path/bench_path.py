#!/usr/bin/env python3
# The path side by side: CPU a query of Postern, dnsdist (without and with its query log) and a bare UDP echo.
"""Everything runs in network, mount and process namespaces that this program makes for itself, so nothing collides
with the machine's own name servers, nothing leaves the machine, and nothing is left behind when it ends or is killed.

The server under test has one core to itself; dnsperf and the upstream (NSD) share another. Two cases: `hit`, a few
names that are all cached, and `forwarded`, names never asked before. Each run starts its server afresh; rounds
alternate the servers, so that a slow minute of the machine falls on all of them.

The figure is CPU time (user and system) of *all* processes of the server, from before the load until the server has
gone quiet after it (a journal written late is paid for too), divided by the queries answered.
"""
import argparse
import itertools
import json
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MARK = "POSTERN_BENCH_INSIDE"
DNSDIST_PORT, NSD_PORT, ECHO_PORT, POSTERN_PORT = 5300, 5301, 5302, 53
TICK = os.sysconf("SC_CLK_TCK")
START_SECONDS = 15    # a server that does not answer by then has failed
QUIET_SECONDS = 0.3   # this long without a tick of CPU means that the work is done
SETTLE_SECONDS = 10   # at most this long is waited for that
UPSTREAM_ADDRESS = "93.184.215.14"  # answered for every name; public, since policy stops documentation addresses
HIT_NAMES = 100
# dnsperf keeps this many queries in flight, from this many sockets: a server that spreads load by source port sees
# several of them.
OUTSTANDING, CLIENTS = 100, 8
# More than any server here answers a second, so that the list of unique names never starts again.
UNIQUE_NAMES_A_SECOND = 80_000

WORDS = """able acorn amber anchor apple arrow autumn badge baker basin beach birch bloom board bridge brook cabin
candle canvas carbon castle cedar chapel cherry circle cliff clover copper coral cotton cradle crystal daisy dawn
delta desert dragon eagle earth ember engine evening falcon feather fennel field finch flint forest fountain
galaxy garden ginger glacier golden granite grove harbor hazel heron hill hollow honey horizon indigo iron island
ivory jasmine juniper kettle kingdom lagoon lantern laurel lemon lily linen maple marble meadow mellow mint
mirror morning mountain nectar noble north oak oasis ocean olive orchard otter pearl pebble pepper piano pine
planet plum pocket pond poplar prairie quartz quiet rabbit rain raven river robin rose saddle saffron sage
sail salmon sand shadow silver sparrow spring spruce stone summer sunset swallow temple thistle thunder timber
topaz tulip valley velvet violet walnut water willow window winter wolf wonder yellow zephyr""".split()


class Failed(Exception):
    """A step that did not work: a broken set-up, never a slow machine."""


def say(text):
    print(text, flush=True)


def sh(*argv):
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def enter_namespaces():
    """Re-executes this program inside its own namespaces; process 1 there ends everything with it."""
    if os.environ.pop(MARK, None):
        sh("ip", "link", "set", "lo", "up")
        return
    if os.geteuid() != 0:
        raise Failed("cannot make network namespaces: this needs root")
    os.environ[MARK] = "yes"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, *sys.argv])


# ---- processes and their CPU time ---------------------------------------------------------------------------

def processes():
    """pid -> (parent, CPU ticks so far) of all processes in this namespace."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # gone meanwhile
            found[int(entry)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    return found


def family(pid):
    """The process and its descendants -> CPU ticks."""
    everyone, members = processes(), {}
    grown = [pid]
    while grown:
        one = grown.pop()
        if one in everyone:
            members[one] = everyone[one][1]
            grown += [child for child, (parent, _) in everyone.items() if parent == one]
    return members


def cpu_ticks(pid):
    return sum(family(pid).values())


def cpu_ticks_when_quiet(pid):
    """Waits until the server does nothing more."""
    deadline, last, since = time.monotonic() + SETTLE_SECONDS, cpu_ticks(pid), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS and time.monotonic() < deadline:
        time.sleep(0.05)
        now = cpu_ticks(pid)
        if now != last:
            last, since = now, time.monotonic()
    return last


def answers(port, name):
    """Asks 127.0.0.1 once; true for an answer without an error."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.connect(("127.0.0.1", port))
            client.send(query)
            reply = client.recv(4096)
        except OSError:
            return False
    return len(reply) > 12 and reply[3] & 0x0F == 0 and reply[7] > 0


class Server:
    """A program on the server's core (or another); its output is kept for when it fails."""

    def __init__(self, argv, cores, log):
        self.log = Path(log)
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, argv)], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT)
        self.pid = self.process.pid

    def wait_for(self, ready, what):
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                state = "still running" if self.process.poll() is None else f"exit {self.process.returncode}"
                raise Failed(f"{what} ({state}): {self.log.read_text(errors='replace')[-2000:].strip()}")
            time.sleep(0.02)
        return self

    def stop(self):
        for pid in family(self.pid):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# ---- the servers --------------------------------------------------------------------------------------------

class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.sandbox = options, folder, None
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.load_core = str(cores[0]), str(cores[-1])
        if len(cores) == 1:
            say("note: only one core here, so the load shares it with the server; CPU figures stand, rates do not")

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def start_upstream(self):
        self.file("com.zone", f"""$ORIGIN com.
$TTL 300
@ SOA ns.bench.com. host.bench.com. 1 3600 600 86400 30
@ NS ns.bench.com.
* A {UPSTREAM_ADDRESS}
""")
        conf = self.file("nsd.conf", f"""server:
  ip-address: 127.0.0.1@{NSD_PORT}
  server-count: 1
  username: ""
  chroot: ""
  database: ""
  pidfile: "{self.folder}/nsd.pid"
  xfrdfile: "{self.folder}/xfrd.state"
  zonelistfile: "{self.folder}/zone.list"
  zonesdir: "{self.folder}"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: yes
  control-interface: "{self.folder}/nsd.sock"
zone:
  name: com
  zonefile: com.zone
""")
        Server(["nsd", "-d", "-c", conf], self.load_core, self.folder / "nsd.log").wait_for(
            lambda: answers(NSD_PORT, "ready.bench.com"), "NSD does not answer")

    def upstream_queries(self):
        """How many queries NSD has answered so far."""
        text = sh("nsd-control", "-c", self.folder / "nsd.conf", "stats_noreset")
        return int(re.search(r"^num.queries=(\d+)", text, re.M).group(1))

    def start_echo(self):
        return Server([self.options.echo, ECHO_PORT], self.server_core, self.folder / "echo.log").wait_for(
            lambda: answers(ECHO_PORT, "ready.bench.com"), "the echo does not answer")

    def start_dnsdist(self, extra="", cached=True):
        conf = self.file("dnsdist.conf", f"""setLocal("127.0.0.1:{DNSDIST_PORT}")
setACL("127.0.0.0/8")
setSecurityPollSuffix("")
setMaxUDPOutstanding(65535)
newServer({{address="127.0.0.1:{NSD_PORT}", healthCheckMode="up", checkName="ready.bench.com."}})
""" + ('getPool(""):setCache(newPacketCache(200000, {maxTTL=86400, minTTL=5}))\n' if cached else "") + extra)
        return Server(["dnsdist", "--supervised", "--disable-syslog", "-C", conf], self.server_core,
                      self.folder / "dnsdist.log").wait_for(
            lambda: answers(DNSDIST_PORT, "ready.bench.com"), "dnsdist does not answer")

    def start_dnsdist_log(self, buffered="false"):
        # Every query as a line of text with its time. Unbuffered: like Postern's rows, what was answered is on record
        # even if the process is killed. (Arguments: file, binary, append, buffered, verbose only, time.)
        return self.start_dnsdist(
            f'addAction(AllRule(), LogAction("{self.folder}/query.log", false, false, {buffered}, false, true))\n')

    def start_dnsdist_log_buffered(self):
        return self.start_dnsdist_log("true")

    def start_dnsdist_batch(self):
        return self.start_dnsdist("setUDPMultipleMessagesVectorSize(64)\n")

    def start_dnsdist_uncached(self):
        return self.start_dnsdist(cached=False)

    def make_sandbox(self):
        """A network namespace with nothing but loopback, held by a process."""
        if self.sandbox is None:
            script = "ip link set lo up && echo up && exec sleep infinity"
            holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script],
                                      stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            if holder.stdout.readline().strip() != b"up":
                raise Failed("cannot make the sandbox's network namespace")
            self.sandbox = holder.pid
        return self.sandbox

    def start_postern(self):
        state = self.folder / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        control = self.folder / "control.sock"
        control.unlink(missing_ok=True)
        policy = self.file("policy.yaml", Path(self.options.policy).read_text())
        config = self.file("postern.yaml", f"""state: {state}
control: {control}
upstream: ["127.0.0.1:{NSD_PORT}"]
workers: 1
policy: {policy}
""")
        pid = self.make_sandbox()
        server = Server([self.options.postern, "serve", "--config", config], self.server_core,
                        self.folder / "postern.log")
        server.wait_for(control.exists, "postern serve opens no control socket")
        sh(self.options.postern, "attach", "--control", control, "--pid", pid, "--name", "bench", "--session", "bench",
           "--user", "bench", "--code-hash", "0" * 64)
        probe = [sys.executable, __file__, "--probe", str(POSTERN_PORT), "ready.bench.com"]
        return server.wait_for(lambda: subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", *probe]).returncode == 0,
                               "Postern does not answer inside the sandbox")

    # name -> (what starts it, its port, does dnsperf run inside the sandbox)
    SERVERS = {
        "echo": (start_echo, ECHO_PORT, False),
        "dnsdist": (start_dnsdist, DNSDIST_PORT, False),
        "dnsdist-log": (start_dnsdist_log, DNSDIST_PORT, False),
        "dnsdist-log-buffered": (start_dnsdist_log_buffered, DNSDIST_PORT, False),
        "dnsdist-uncached": (start_dnsdist_uncached, DNSDIST_PORT, False),
        "dnsdist-batch": (start_dnsdist_batch, DNSDIST_PORT, False),
        "postern": (start_postern, POSTERN_PORT, True),
    }

    # ---- the load -------------------------------------------------------------------------------------------

    def write_names(self):
        """hit.txt, and names of ordinary words under many registered domains: each word pair is a domain of its own."""
        pairs = [f"{a}-{b}.com" for a, b in itertools.product(WORDS, WORDS)]
        self.file("hit.txt", "".join(f"www.{name} A\n" for name in pairs[:HIT_NAMES]))
        domains = pairs[:self.options.zones]
        count = int(UNIQUE_NAMES_A_SECOND * self.options.seconds)
        with (self.folder / "forwarded.txt").open("w") as out:
            for number in range(count):
                # Round robin over the domains; within one, hosts named by one word, then by two, then by three.
                host, index = number // len(domains), []
                while True:
                    host, word = divmod(host, len(WORDS))
                    index.append(WORDS[word])
                    if host == 0:
                        break
                out.write(f"{'.'.join(index)}.{domains[number % len(domains)]} A\n")

    def dnsperf(self, port, inside, names, *limits):
        argv = ["taskset", "-c", self.load_core, "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(names),
                "-c", str(CLIENTS), "-T", "1", "-q", str(OUTSTANDING), *map(str, limits)]
        if inside:
            argv = ["nsenter", f"--net=/proc/{self.sandbox}/ns/net", *argv]
        text = sh(*argv)

        def number(pattern):
            match = re.search(pattern, text)
            return float(match.group(1)) if match else 0.0
        return {"sent": number(r"Queries sent:\s+(\d+)"), "answered": number(r"Queries completed:\s+(\d+)"),
                "lost": number(r"Queries lost:\s+(\d+)"), "noerror": number(r"NOERROR (\d+)"),
                "rate": number(r"Queries per second:\s+([\d.]+)"), "text": text}

    def measure(self, name, case):
        start, port, inside = self.SERVERS[name]
        server = start(self)
        try:
            names = self.folder / f"{case}.txt"
            if case == "hit":
                self.dnsperf(port, inside, names, "-n", 3, "-Q", 2000)  # the cache is filled before the clock starts
            before, asked = cpu_ticks_when_quiet(server.pid), self.upstream_queries()
            load = self.dnsperf(port, inside, names, "-l", self.options.seconds,
                                *(["-n", 1] if case == "forwarded" else []))
            after, asked = cpu_ticks_when_quiet(server.pid), self.upstream_queries() - asked
            if server.process.poll() is not None:
                raise Failed(f"{name} ended during the run: {server.log.read_text(errors='replace')[-2000:]}")
        finally:
            server.stop()
        if load["noerror"] < 0.9 * load["answered"] or load["answered"] == 0:
            raise Failed(f"{name}, {case}: these are not the answers that were to be measured:\n{load['text']}")
        share = asked / load["answered"]
        if share > 0.1 if case == "hit" else share < 0.9:
            raise Failed(f"{name}, {case}: {asked} queries reached the upstream for {load['answered']:.0f} answers")
        seconds = (after - before) / TICK
        return {"server": name, "case": case, "us": 1e6 * seconds / load["answered"], "cpu_seconds": seconds,
                "upstream_queries": asked, **{key: load[key] for key in ("sent", "answered", "lost", "rate")}}


def report(runs, servers, cases):
    """Medians, and ratios to dnsdist without its log."""
    say("\nCPU a query of all the server's processes (median, least to most), queries a second, ratio to dnsdist\n")
    say(f"  {'case':<10} {'server':<20} {'us/query':>9} {'range':>15} {'queries/s':>10} {'lost':>7} {'ratio':>7}")
    rows = []
    for case in cases:
        def of(name, key):
            return [run[key] for run in runs if run["server"] == name and run["case"] == case]
        base = statistics.median(of("dnsdist", "us")) if of("dnsdist", "us") else None
        for name in servers:
            us = of(name, "us")
            if not us:
                continue
            median = statistics.median(us)
            lost = sum(of(name, "lost")) / sum(of(name, "sent"))
            ratio = median / base if base else None
            rows.append({"case": case, "server": name, "us": median, "least": min(us), "most": max(us), "ratio": ratio,
                         "rate": statistics.median(of(name, "rate")), "lost": lost})
            say(f"  {case:<10} {name:<20} {median:9.2f} {f'{min(us):.2f}-{max(us):.2f}':>15} "
                f"{rows[-1]['rate']:10.0f} {100 * lost:6.2f}% {f'{ratio:.2f}x' if ratio else '-':>7}")
    return rows


def main():
    here = Path(__file__).resolve().parent
    if sys.argv[1:2] == ["--probe"]:
        return 0 if answers(int(sys.argv[2]), sys.argv[3]) else 1
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postern", default="build/release/postern", help="the program (%(default)s)")
    parser.add_argument("--echo", default="build/release/bench/udp_echo", help="the bare echo (%(default)s)")
    parser.add_argument("--policy", default=here / "policy.yaml", help="Postern's policy (%(default)s)")
    parser.add_argument("--only", help="these servers alone, with commas: " + ",".join(Bench.SERVERS))
    parser.add_argument("--case", choices=("hit", "forwarded"), help="one case alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load in each run (%(default)s)")
    parser.add_argument("--zones", type=int, default=1000,
                        help="registered domains that forwarded names are spread over (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth: one round of 1 s; shows that it works, no more")
    parser.add_argument("--json", help="write every run and the table to this file")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    servers = options.only.split(",") if options.only else ["echo", "dnsdist", "dnsdist-log", "postern"]
    for name in servers:
        if name not in Bench.SERVERS:
            raise Failed(f"no server is called '{name}'; there are: {' '.join(Bench.SERVERS)}")
    cases = [options.case] if options.case else ["hit", "forwarded"]
    for path, name in ((options.postern, "postern"), (options.echo, "echo")):
        if name in servers and not os.access(path, os.X_OK):
            raise Failed(f"{path} is not there: ./dev build")
    enter_namespaces()

    # Not /tmp, which is often memory: the journal should meet a file system.
    with tempfile.TemporaryDirectory(prefix="postern-bench-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)  # Postern's service user looks in
        bench = Bench(options, Path(folder))
        bench.write_names()
        bench.start_upstream()
        runs = []
        for number in range(options.rounds):
            order = servers if number % 2 == 0 else servers[::-1]
            for case in cases:
                for name in order:
                    if (name, case) in (("echo", "forwarded"), ("dnsdist-uncached", "hit")):
                        continue  # the one forwards nothing, the other keeps nothing
                    run = bench.measure(name, case)
                    runs.append(run)
                    say(f"round {number + 1}/{options.rounds}  {case:<10} {name:<20} {run['us']:7.2f} us/query  "
                        f"{run['rate']:8.0f} queries/s  {run['lost']:.0f} lost")
        rows = report(runs, servers, cases)
    if options.json:
        Path(options.json).write_text(json.dumps({"runs": runs, "table": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        print(f"bench_path: {failed}", file=sys.stderr)
        sys.exit(1)
