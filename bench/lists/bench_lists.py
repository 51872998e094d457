#!/usr/bin/env python3
# A list of a million names side by side: Postern, dnsmasq, Unbound and dnsdist, time until ready and memory.
"""Everything runs in namespaces that this program makes for itself, on loopback and high ports. The same names for
all, made anew by names.py; each server blocks every name of the list and what is below it, the way its users do it:

  dnsmasq   address=/NAME/ in a file of settings
  Unbound   local-zone: "NAME." always_nxdomain
  dnsdist   a SuffixMatchNode, filled from a file in Lua

Ready is the first right answer (NXDOMAIN) for the last name of the list, counted from the start of the process. Growth
is resident memory then, and CPU the processor's time until then, less those of the same server with a list of that one
name: CPU holds still where other work shares the machine. For Postern a process loads the
list as the daemon does, and says so: from the text (cold), and from the image that was cached.

Rounds alternate the servers, so that a slow minute of the machine falls on all of them; medians count.
"""
import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here.parent / "path")]
import bench_path  # noqa: E402
import names as list_names  # noqa: E402
from bench_path import TICK, Failed, cpu_ticks, family, say  # noqa: E402

PORT = 5310
START_SECONDS = 180   # Unbound needs long for a million zones
POLL_SECONDS = 0.002  # between two questions whether it is ready
NXDOMAIN = 3

# The bars: at most this share of what dnsmasq takes in the same run, and nanoseconds.
COLD, IMAGE, MEMORY, LOOKUP = 1 / 5, 1 / 50, 1 / 3, 200


def answers_nxdomain(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.05)
        try:
            client.connect(("127.0.0.1", PORT))
            client.send(query)
            reply = client.recv(4096)
        except OSError:
            return False
    return len(reply) > 12 and reply[:2] == query[:2] and reply[3] & 0x0F == NXDOMAIN


def resident(pid):
    """Octets of memory of a process and its children."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def timed_start(argv, log, probe):
    """Starts a server; seconds until it answers `probe`, and its memory and CPU time then."""
    with log.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT)
    try:
        while not answers_nxdomain(probe):
            if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise Failed(f"{argv[0]} does not answer for {probe}: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(POLL_SECONDS)
        took, cpu = time.monotonic() - began, cpu_ticks(process.pid) / TICK
        if answers_nxdomain("not-in-the-list.example"):
            raise Failed(f"{argv[0]} answers NXDOMAIN for a name that is not in the list")
        return took, resident(process.pid), cpu
    finally:
        process.terminate()
        process.wait()


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.names = list_names.generate(options.names)
        self.probe = self.names[-1]
        for kind, names in (("full", self.names), ("one", [self.probe])):
            self.write(f"{kind}.txt", "".join(f"{name}\n" for name in names))
            self.write(f"dnsmasq-{kind}.conf", f"port={PORT}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\n"
                       "no-hosts\nuser=root\npid-file=\n" + "".join(f"address=/{name}/\n" for name in names))
            self.write(f"unbound-{kind}.conf", f"""server:
  interface: 127.0.0.1@{PORT}
  do-daemonize: no
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  num-threads: 1
  local-zone: "not-in-the-list.example." refuse
""" + "".join(f'  local-zone: "{name}." always_nxdomain\n' for name in names) + """remote-control:
  control-enable: no
""")
            self.write(f"dnsdist-{kind}.conf", f"""setLocal("127.0.0.1:{PORT}")
setSecurityPollSuffix("")
local list = newSuffixMatchNode()
for name in io.lines("{folder}/{kind}.txt") do list:add(newDNSName(name)) end
addAction(SuffixMatchNodeRule(list), RCodeAction(DNSRCode.NXDOMAIN))
addAction(AllRule(), RCodeAction(DNSRCode.REFUSED))
""")

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def server(self, name, kind):
        conf = self.folder / f"{name}-{kind}.conf"
        argv = {"dnsmasq": ["dnsmasq", "--keep-in-foreground", "-C", conf], "unbound": ["unbound", "-d", "-c", conf],
                "dnsdist": ["dnsdist", "--supervised", "--disable-syslog", "-C", conf]}[name]
        return timed_start(argv, self.folder / f"{name}.log", self.probe)

    def measure_server(self, name):
        took, memory, cpu = self.server(name, "full")
        bare_took, bare_memory, bare_cpu = self.server(name, "one")
        return {"server": name, "seconds": took, "growth": memory - bare_memory, "bare_seconds": bare_took,
                "cpu_seconds": cpu - bare_cpu}

    def list_bench(self, *words):
        """What the program says, and the seconds from its start until then."""
        began = time.monotonic()
        process = subprocess.Popen([self.options.program, *map(str, words)], stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        took = time.monotonic() - began
        if process.wait() != 0 or not line:
            raise Failed(f"list_bench {' '.join(map(str, words))}: exit {process.returncode}")
        return {**json.loads(line), "whole_seconds": took}

    def measure_postern(self):
        """Cold, then from the image, thrice: one page that the host has to find is a tenth of its time. The list of
        one name goes before each, for its memory."""
        cache = self.folder / "cache"
        cache.mkdir(mode=0o700, exist_ok=True)
        for file in cache.iterdir():
            file.unlink()
        runs = []
        for name in ("postern-cold", *["postern-image"] * 3):
            bare = self.list_bench("load", self.folder / "one.txt", cache)
            run = self.list_bench("load", self.folder / "full.txt", cache)
            if run["from_image"] != (name == "postern-image") or run["entries"] != self.options.names:
                raise Failed(f"{name} did something else than was to be measured: {run}")
            runs.append({**run, "server": name, "load_seconds": run["seconds"], "seconds": run["whole_seconds"],
                         "bare_seconds": bare["whole_seconds"], "growth": run["growth"] - bare["growth"],
                         "cpu_seconds": run["cpu_seconds"] - bare["cpu_seconds"]})
        return runs


def report(runs, lookups, options):
    servers = list(dict.fromkeys(run["server"] for run in runs))
    median = {name: {key: statistics.median([run[key] for run in runs if run["server"] == name])
                     for key in ("seconds", "cpu_seconds", "growth", "bare_seconds")} for name in servers}
    base = median.get("dnsmasq")
    say(f"\n{options.names} names; medians of {options.rounds} rounds, ratios to dnsmasq\n")
    say(f"  {'':<14} {'ready':>9} {'ratio':>7} {'with one name':>14} {'CPU':>9} {'ratio':>7} {'growth':>10}"
        f" {'a name':>8} {'ratio':>7}")
    for name, row in median.items():
        ratio = f"{row['seconds'] / base['seconds']:.4f}" if base else "-"
        cpu = f"{row['cpu_seconds'] / base['cpu_seconds']:.4f}" if base else "-"
        share = f"{row['growth'] / base['growth']:.3f}" if base else "-"
        bare = f"{row['bare_seconds']:.3f} s"
        say(f"  {name:<14} {row['seconds']:7.3f} s {ratio:>7} {bare:>14} {row['cpu_seconds']:7.3f} s {cpu:>7} "
            f"{row['growth'] / 1e6:7.1f} MB "
            f"{row['growth'] / options.names:6.1f} B {share:>7}")
    say("\n  one lookup, ns of CPU: " + ", ".join(f"{what} {statistics.median(run[key] for run in lookups):.0f}"
        for what, key in (("listed", "hit_ns"), ("below a listed one", "below_ns"), ("not listed", "miss_ns")))
        + f"; one dependent read from memory {statistics.median(run['read_ns'] for run in lookups):.0f}\n")
    bars = []
    if base:
        # The list alone: less what each program takes to start with one name.
        spent = {name: row["seconds"] - row["bare_seconds"] for name, row in median.items()}
        bars = [("ready cold", spent["postern-cold"] / spent["dnsmasq"], COLD, "of dnsmasq"),
                ("ready from the image", spent["postern-image"] / spent["dnsmasq"], IMAGE, "of dnsmasq"),
                ("memory, cold", median["postern-cold"]["growth"] / base["growth"], MEMORY, "of dnsmasq"),
                ("memory, image", median["postern-image"]["growth"] / base["growth"], MEMORY, "of dnsmasq")]
    for what, value, bar, unit in bars:
        text = f"{value:.4f} {unit}, bar {bar:.4f}"
        say(f"  {what:<22} {text:<38} {'reached' if value <= bar else 'NOT reached'}")
    read = statistics.median(run["read_ns"] for run in lookups)
    for what, key in (("lookup, listed", "hit_ns"), ("lookup, not listed", "miss_ns")):
        took = statistics.median(run[key] for run in lookups)
        say(f"  {what:<22} {took:.0f} ns, wanted of the order of {LOOKUP}: {took / LOOKUP:.2f} of it, "
            f"{took / read:.2f} reads")
    return {"medians": median, "bars": [list(bar) for bar in bars]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bench/list_bench", help="(%(default)s)")
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="these servers beside Postern, with commas: dnsmasq,unbound,dnsdist")
    parser.add_argument("--quick", action="store_true", help="a tenth: one round of 100,000 names; shows that it works")
    parser.add_argument("--json", help="write every run and the table to this file")
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    if options.quick:
        options.rounds, options.names = 1, options.names // 10
    servers = options.only.split(",") if options.only else ["dnsmasq", "unbound", "dnsdist"]
    if set(servers) - {"dnsmasq", "unbound", "dnsdist"}:
        raise Failed(f"no such server: {options.only}; there are dnsmasq, unbound and dnsdist")
    if not os.access(options.program, os.X_OK):
        raise Failed(f"{options.program} is not there: ./dev build")
    bench_path.enter_namespaces()

    with tempfile.TemporaryDirectory(prefix="postern-bench-", dir="/var/tmp") as folder:
        bench = Bench(options, Path(folder))
        size = (Path(folder) / "full.txt").stat().st_size
        say(f"the list: {options.names} names, {size / 1e6:.1f} MB, {size / options.names - 1:.1f} octets each")
        runs, lookups = [], []
        for number in range(options.rounds):
            for name in servers if number % 2 == 0 else servers[::-1]:
                runs.append(bench.measure_server(name))
                say(f"round {number + 1}/{options.rounds}  {name:<14} {runs[-1]['seconds']:7.3f} s  "
                    f"{runs[-1]['growth'] / 1e6:7.1f} MB")
            for run in bench.measure_postern():
                runs.append(run)
                say(f"round {number + 1}/{options.rounds}  {run['server']:<14} {run['seconds']:7.3f} s  "
                    f"{run['growth'] / 1e6:7.1f} MB  (load {1e3 * run['load_seconds']:.1f} ms, "
                    f"CPU {1e3 * run['cpu_seconds']:.1f} ms)")
            lookups.append(bench.list_bench("lookups", Path(folder) / "full.txt"))
        table = report(runs, lookups, options)
    if options.json:
        Path(options.json).write_text(json.dumps({"runs": runs, "lookups": lookups, **table}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        print(f"bench_lists: {failed}", file=sys.stderr)
        sys.exit(1)
