# `postern log` beside a running daemon: followed live, ended cleanly, and readable by other tools.
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import termios

import dns_message
from cases import case, equal, holds
from dns_client import ask_tcp, ask_udp
from postern_process import Daemon, binary
from private_host import Namespace, wait_until
from recording_upstream import RecordingUpstream


def ask(namespace, name):
    return ask_udp(name, netns=namespace.path)


def log(daemon, *arguments):
    return subprocess.run([binary(), "log", "--db", daemon.db, *arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30)


@case("a log that is followed prints each query once it is settled, and ends cleanly when told to")
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(policy="policies:\n  default:\n    block: ['**.blocked.example']\n", upstream=(upstream.text,))
    box = Namespace("box")
    daemon.attach(box)
    ask(box, "before.example.com")
    follower = subprocess.Popen([binary(), "log", "-f", "--db", daemon.db, "--format", "json"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        # The first line shows that it follows by now; names asked before that may or may not be its.
        seen, number = [], 0
        while not seen:
            ask(box, f"start{number}.example.com")
            number += 1
            ready, _, _ = select.select([follower.stdout], [], [], 0.2)
            if ready:
                seen.append(json.loads(follower.stdout.readline()))
        ask(box, "one.example.com")
        ask(box, "x.blocked.example")
        while seen[-1]["name"] != "x.blocked.example":
            seen.append(json.loads(follower.stdout.readline()))
    finally:
        follower.send_signal(signal.SIGINT)
    rest, complaints = follower.communicate(timeout=10)
    equal((follower.returncode, rest, complaints), (0, "", ""))
    names = [row["name"] for row in seen]
    holds("before.example.com" not in names and len(names) == len(set(names)), names)
    by_name = {row["name"]: row for row in seen}
    equal((by_name["one.example.com"]["action"], by_name["one.example.com"]["rcode"]), ("allowed", "NOERROR"))
    equal((by_name["x.blocked.example"]["action"], by_name["x.blocked.example"]["sandbox"]), ("blocked", "box"))


@case("a log that is followed goes on in the journal that is begun when the file is deleted, and says so")
def _():
    daemon = Daemon(policy="block: ['**.blocked.example']\n")
    daemon.stop()
    shutil.rmtree(os.path.dirname(daemon.db))  # in a folder of its own making it may begin a journal anew
    daemon.start()
    box = Namespace("box")
    daemon.attach(box)
    ask(box, "before.blocked.example")
    follower = subprocess.Popen([binary(), "log", "-f", "--since", "1h", "--db", daemon.db, "--format", "json"],
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        equal(json.loads(follower.stdout.readline())["name"], "before.blocked.example")
        os.remove(daemon.db)
        holds("waiting for the next one" in follower.stderr.readline(), "it was said that the file is gone")
        wait_until(lambda: ask(box, "after.blocked.example").rcode == 3 and os.path.exists(daemon.db),
                   "a new journal", seconds=30)
        equal(json.loads(follower.stdout.readline())["name"], "after.blocked.example")
        holds("following the journal" in follower.stderr.readline(), "it was said that a new one is there")
    finally:
        follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=10)
    equal(follower.returncode, 0)


@case("a log goes to a reader that stops reading, to a Zeek reader, and through filters, beside the daemon")
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(upstream=(upstream.text,))
    box = Namespace("box")
    daemon.attach(box, session="s1")
    for i in range(60):
        ask(box, f"n{i % 3}.zone{i}.com")
    equal(log(daemon, "--domain", "zone7.com", "--format", "json").stdout.count("\n"), 1)
    equal(log(daemon, "--session", "nobody").stdout, "")
    bad = log(daemon, "--since", "yesterday")
    holds(bad.returncode == 125 and '"yesterday"' in bad.stderr, bad)
    for words in (("logs",), ("journal", "verfy")):  # a slip is quoted
        slip = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=30)
        holds(slip.returncode == 125 and f'"{words[-1]}"' in slip.stderr, slip)
    # A reader that has seen enough is no fault.
    reader, writer = os.pipe()
    os.close(reader)
    broken = subprocess.run([binary(), "log", "--db", daemon.db, "--format", "ocsf"], stdout=writer,
                            stderr=subprocess.PIPE, text=True, timeout=30)
    os.close(writer)
    equal((broken.returncode, broken.stderr), (0, ""))
    zeek = log(daemon, "--format", "zeek").stdout
    replayed = subprocess.run([binary(), "replay", "--json", "-"], input=zeek, stdout=subprocess.PIPE, text=True,
                              timeout=30)
    total = json.loads(replayed.stdout.splitlines()[-1])["total"]
    equal(total["queries"], 60, total)


@case("a log whose reader has stopped reading ends when told to, and what it wrote are whole records")
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(upstream=(upstream.text,))
    box = Namespace("box")
    daemon.attach(box)
    for i in range(300):  # more than a pipe takes
        ask(box, f"n{i}.example.com")
    for follow in ((), ("-f", "--since", "1h")):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4 * 4096)
        stalled = subprocess.Popen([binary(), "log", "--db", daemon.db, "--format", "json", *follow], text=True,
                                   stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)

        def is_full():  # each of its pages has a write of its own
            waiting = fcntl.ioctl(reader, termios.FIONREAD, b"\0\0\0\0")
            return int.from_bytes(waiting, "little") > 3 * 4096

        wait_until(is_full, "the pipe is full")
        stalled.send_signal(signal.SIGTERM)
        equal(stalled.wait(timeout=10), 0 if follow else 128 + signal.SIGTERM)  # an export is not whole
        equal(stalled.stderr.read(), "")
        with os.fdopen(reader) as pipe:
            out = pipe.read()
        holds(out.endswith("\n"), out[-200:])
        records = [json.loads(line) for line in out.splitlines()]
        holds(10 < len(records) < 300, len(records))
    daemon.stop()


@case("an answer of two hundred addresses is on record whole, and each of them is found")
def _():
    def many(packet, tcp):
        records = [("A", 300, bytes([93, 184, 1, i])) for i in range(200)]
        if not tcp:
            return [dns_message.reply_to(packet, (), flags=0x8000 | 0x200 | 0x100 | 0x80)]
        return [dns_message.reply_to(packet, records)]

    upstream = RecordingUpstream(behaviour=many)
    daemon = Daemon(upstream=(upstream.text,))
    box = Namespace("box")
    daemon.attach(box)
    equal(len(ask_tcp("many.example.com", netns=box.path).answer), 200)
    wait_until(lambda: daemon.read("SELECT count(*) AS n FROM resolutions")[0]["n"] == 200, "all are entered")
    fetched, = daemon.read("SELECT data FROM queries WHERE name = 'many.example.com'")
    equal(len(fetched["data"].split()), 200)
    told = daemon.read("SELECT name FROM resolutions WHERE value = '93.184.1.199'")
    equal([row["name"] for row in told], ["many.example.com"])
    daemon.stop()
