# One daemon, many sandboxes: whose row is whose, what may be attached, what becomes of a namespace, what reload does.
import json
import os
import socket
import subprocess
import threading

from cases import case, equal, holds
from dns_client import ask_tcp, ask_udp
from little_internet import LittleInternet
from postern_process import OPEN_BUDGETS, Daemon, at_terminal, binary
from private_host import Namespace, wait_until, write
from recording_upstream import RecordingUpstream

SANDBOXES = 20
LOOKUPS_BETWEEN_RELOADS = 20  # so that reloads happen under load on a slow machine, too


@case("twenty sandboxes ask at once and each row is attributed to the right one", seconds=120)
def _():
    LittleInternet()
    daemon = Daemon(workers=2)
    inside = [Namespace(f"box{i}") for i in range(SANDBOXES)]
    for i, namespace in enumerate(inside):
        daemon.attach(namespace, session=f"s{i}", user=f"u{i}", code=f"{i:064x}")
    failures, start = [], threading.Barrier(SANDBOXES)

    def ask(i):
        start.wait()
        for round_number in range(10):
            how = ask_tcp if round_number % 3 == 0 else ask_udp
            # The same names in all sandboxes, besides one that only this one asks.
            for name in ("www.example.com", f"box{i}-{round_number}.wild.example"):
                try:
                    equal(how(name, netns=inside[i].path).rcode_name, "NOERROR", name)
                except Exception as failure:
                    failures.append(f"box{i}: {name}: {failure!r}")

    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(SANDBOXES)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    equal(failures, [])
    rows = daemon.rows()
    equal(len(rows), SANDBOXES * 20)
    for row in rows:
        number = row["sandbox"].removeprefix("box")
        equal((row["session"], row["user"], row["code_sha256"]),
              (f"s{number}", f"u{number}", f"{int(number):064x}"), row)
        if row["name"].endswith("wild.example"):
            equal(row["name"].split("-")[0], row["sandbox"])
    equal(daemon.stop(), 0)
    # A cache shared between sandboxes would tell one what another asked: each must have gone upstream once by itself.
    for i in range(SANDBOXES):
        misses = [r for r in daemon.rows("sandbox = ? AND name = 'www.example.com'", f"box{i}")
                  if not r["cached"]]
        holds(misses, f"box{i} was answered from another sandbox's cache")


@case("a second sandbox in one namespace and the host's own namespace are refused")
def _():
    daemon, inside = Daemon(upstream=("127.0.0.9",)), Namespace("one")
    daemon.attach(inside, name="first")
    again = daemon.attach(inside, name="second", check=False)
    holds(again.returncode != 0 and again.stderr.strip(), again)
    holder = inside.popen("sleep", "1000")
    wait_until(lambda: _netns(holder.pid) != _netns("self"), "the holder is inside")
    again = daemon.attach(holder.pid, name="third", check=False)
    holds(again.returncode != 0, "the same namespace by pid")
    own = daemon.attach(daemon.process.pid, name="own", check=False)
    holds(own.returncode != 0 and own.stderr.strip(), own)
    other = Namespace("two")
    same_name = daemon.attach(other, name="first", check=False)
    holds(same_name.returncode != 0, "a second sandbox of the same name")
    equal(len(_listed(daemon)), 1)
    for wrong in (("--netns", "/run/netns/missing"), ("--netns", "/etc/passwd"), ("--pid", "999999")):
        refused = daemon.command("attach", *wrong, "--name", "x", "--session", "x", "--user", "x",
                                 "--code-hash", "00", check=False)
        holds(refused.returncode != 0 and refused.stderr.strip(), (wrong, refused))
    daemon.attach(other, name="second")
    holder.kill()


def _netns(pid):
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def _listed(daemon):
    listed = daemon.sandboxes()
    return listed["sandboxes"] if isinstance(listed, dict) else listed


@case("a namespace given by process id is served, and its detachment frees it")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(upstream=(upstream.text,)), Namespace("pidded")
    holder = inside.popen("sleep", "1000")
    wait_until(lambda: _netns(holder.pid) != _netns("self"), "the holder is inside")
    daemon.attach(holder.pid, name="by-pid", session="s")
    equal(ask_udp("www.example.com", netns=inside.path).rcode_name, "NOERROR")
    daemon.command("detach", "--name", "by-pid")
    equal(_listed(daemon), [])
    try:
        ask_udp("www.example.com", netns=inside.path, timeout=2)
        raise AssertionError("a detached namespace was still answered")
    except ConnectionRefusedError:
        pass
    daemon.attach(inside, name="by-path", session="s")
    equal(ask_udp("www.example.com", netns=inside.path).rcode_name, "NOERROR")
    equal([row["sandbox"] for row in daemon.rows()], ["by-pid", "by-path"])
    holds(daemon.command("detach", "--name", "nobody", check=False).returncode != 0,
          "detaching an unknown name")
    holder.kill()


@case("a namespace that disappears is noticed and its sandbox closed")
def _():
    upstream = RecordingUpstream()
    daemon, gone, stays = Daemon(upstream=(upstream.text,)), Namespace("gone"), Namespace("stays")
    daemon.attach(stays)
    holder = gone.popen("sleep", "1000")
    wait_until(lambda: _netns(holder.pid) != _netns("self"), "the holder is inside")
    daemon.attach(holder.pid, name="gone")
    equal(ask_udp("www.example.com", netns=gone.path).rcode_name, "NOERROR")
    gone.delete()
    holder.kill()
    holder.wait()
    # Postern's own sockets keep the kernel's object alive: what is to be noticed is that nobody lives there any more.
    wait_until(lambda: [s["name"] for s in _listed(daemon)] == ["stays"],
               "the vanished sandbox leaves the list", seconds=20)
    equal(ask_udp("www.example.com", netns=stays.path).rcode_name, "NOERROR")


@case("SIGTERM ends the daemon cleanly and a new one goes on in the same journal")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(upstream=(upstream.text,)), Namespace("again")
    daemon.attach(inside, session="before")
    ask_udp("www.example.com", netns=inside.path)
    equal(daemon.stop(), 0)
    daemon.start()
    daemon.attach(inside, session="after")
    ask_udp("www.example.net", netns=inside.path)
    equal([(r["session"], r["name"]) for r in daemon.rows()],
          [("before", "www.example.com"), ("after", "www.example.net")])
    second = subprocess.run([binary(), "serve", "--config", daemon.config], capture_output=True, text=True,
                            timeout=20)
    holds(second.returncode != 0 and second.stderr.strip(), "two daemons on one journal")
    equal(ask_udp("www.example.net", netns=inside.path).rcode_name, "NOERROR",
          "the first daemon is undisturbed")


@case("serve --check-config accepts a good configuration and quotes what is wrong in a bad one")
def _():
    daemon = Daemon(policy="default: allow\n")
    daemon.stop()
    check = lambda: subprocess.run([binary(), "serve", "--config", daemon.config, "--check-config"],
                                   capture_output=True,
                                   text=True, timeout=20)
    equal(check().returncode, 0, check())
    with open(daemon.config) as file:
        good = file.read()
    for bad, quoted in (("upstreams: ['192.0.2.1']\n", "upstreams"), (good + "workers: many\n", "many"),
                        (good.replace("192.0.2.1", "192.0.2.one"), "192.0.2.one")):
        write(daemon.config, bad)
        refused = check()
        holds(refused.returncode != 0 and quoted in refused.stderr + refused.stdout, (bad, refused))
    write(daemon.config, good)
    write(daemon.policy_file, "default: allow\nblock:\n  - 'a..b'\n")
    refused = check()
    holds(refused.returncode != 0 and ":3:" in refused.stderr + refused.stdout, refused)


@case("SIGHUP under load loses no query, changes the verdict, and a bad policy keeps the old one",
      seconds=120)
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(policy=f"{OPEN_BUDGETS}block: ['**.moving.example.com']\n", upstream=(upstream.text,))
    inside = Namespace("reloaded")
    daemon.attach(inside)
    stop, failures, counts = threading.Event(), [], [0, 0]

    def load(worker):
        number = 0
        while not stop.is_set():
            number += 1
            name = f"www.n{number % 50}-{worker}.com"  # many zones: one zone with many names would look like a tunnel
            try:
                equal(ask_udp(name, netns=inside.path, timeout=4).rcode_name, "NOERROR", name)
                counts[worker] += 1
            except Exception as failure:
                failures.append(repr(failure))

    threads = [threading.Thread(target=load, args=(worker,), daemon=True) for worker in range(2)]
    [thread.start() for thread in threads]
    verdict = lambda: ask_udp("moving.example.com", netns=inside.path).rcode_name
    try:
        equal(verdict(), "NXDOMAIN")
        for blocked in (False, True) * 5:
            write(daemon.policy_file, f"{OPEN_BUDGETS}block: ['**.{'moving' if blocked else 'other'}.example.com']\n")
            daemon.reload()
            wanted = "NXDOMAIN" if blocked else "NOERROR"
            wait_until(lambda: verdict() == wanted, f"the new policy says {wanted}")
            enough = sum(counts) + LOOKUPS_BETWEEN_RELOADS
            wait_until(lambda: sum(counts) >= enough or failures, "the load goes on", seconds=30)
        before = len(daemon.log())
        write(daemon.policy_file, "default: allow\nblock: ['other.example.com'\n")
        daemon.reload()
        wait_until(lambda: "policy.yaml:" in daemon.log()[before:], "the log quotes the bad policy")
        equal(verdict(), "NXDOMAIN", "under the old policy")
        write(daemon.policy_file, f"{OPEN_BUDGETS}block: ['**.other.example.com']\n")
        daemon.reload()
        wait_until(lambda: verdict() == "NOERROR", "the mended policy")
    finally:
        stop.set()
        [thread.join() for thread in threads]
    equal(failures[:5], [], f"{len(failures)} of {sum(counts)} lookups under reload")


@case("each sandbox is under the policy that it was attached with")
def _():
    upstream = RecordingUpstream()
    policy = """
policies:
  closed:
    default: block
    allow: ['www.example.com']
"""
    daemon = Daemon(policy=policy, upstream=(upstream.text,))
    opened, closed = Namespace("opened"), Namespace("closed")
    daemon.attach(opened)
    daemon.attach(closed, policy="closed")
    for name, rcodes in (("www.example.com", ("NOERROR", "NOERROR")),
                         ("www.example.net", ("NOERROR", "NXDOMAIN"))):
        equal(tuple(ask_udp(name, netns=n.path).rcode_name for n in (opened, closed)), rcodes, name)
    unknown = daemon.attach(Namespace("other"), policy="nobody-wrote-this", check=False)
    holds(unknown.returncode != 0 and "nobody-wrote-this" in unknown.stderr, unknown)


@case("postern sql prints rows as a table and as JSON, and cannot write")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(upstream=(upstream.text,)), Namespace("asked")
    daemon.attach(inside)
    ask_udp("www.example.com", netns=inside.path)
    sql = lambda *arguments: subprocess.run([binary(), "sql", "--db", daemon.db, *arguments],
                                            capture_output=True, text=True, timeout=20)
    statement = "SELECT sandbox, name, action FROM queries ORDER BY id"
    table = sql(statement)
    holds(table.returncode == 0 and "www.example.com" in table.stdout and "allowed" in table.stdout, table)
    equal(json.loads(sql("--json", statement).stdout),
          [{"sandbox": "asked", "name": "www.example.com", "action": "allowed"}])
    equal(json.loads(sql("--json", "SELECT count(*) AS n, NULL AS none, '1' AS digits FROM queries").stdout),
          [{"n": 1, "none": None, "digits": "1"}])
    holds(sql("DELETE FROM asked").returncode != 0, "a statement that writes")
    equal(len(daemon.rows()), 1)
    # What cannot be written is no success.
    for words in (("sql", "--db", daemon.db, statement), ("sql", "--db", daemon.db, "--json", statement),
                  ("journal", "stats", daemon.db), ("status", "--control", daemon.control)):
        with open("/dev/full", "w") as full:
            done = subprocess.run([binary(), *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
        holds(done.returncode == 125 and "cannot write" in done.stderr, (words, done))
    # From a pipe: one after the other, up to the first that fails.
    read = lambda text: subprocess.run([binary(), "sql", "--db", daemon.db, "--csv"], input=text,
                                       capture_output=True, text=True, timeout=20)
    equal(read("SELECT name\nFROM queries; -- all\nSELECT ';' AS s").stdout, "name\nwww.example.com\ns\n;\n")
    failed = read("SELECT 1 AS a; DELETE FROM asked; SELECT 2 AS a;")
    holds((failed.returncode, failed.stdout) == (125, "a\n1\n") and "can only be read" in failed.stderr, failed)
    holds(read("-- nothing\n").returncode == 125, "no statement")
    # From a terminal: a prompt, which outlives an error.
    shown = at_terminal([binary(), "sql", "--db", daemon.db],
                        [".views", "selec;", ".nothing", "SELECT name", "FROM queries;", ".quit"])
    for part in ("queries: id, time, ", 'gaps: id, "from", until, ', 'near "selec"', 'there is no ".nothing"',
                 "...> FROM queries;", "\nwww.example.com"):
        holds(part in shown, (part, shown))
    equal(len(daemon.rows()), 1)


@case("a sandbox with a network is answered at its own address, too")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(upstream=(upstream.text,)), Namespace("inside")
    inside.connect(1)
    daemon.attach(inside)
    for how in (ask_udp, ask_tcp):
        for server in ("10.64.1.2", "127.0.0.1"):
            equal(how("www.inside.com", server=server, netns=inside.path).rcode_name, "NOERROR", server)


@case("a query that comes in from outside the namespace is not taken for the sandbox's")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(upstream=(upstream.text,)), Namespace("inside")
    inside.connect(1)
    daemon.attach(inside)
    for how in (ask_udp, ask_tcp):
        try:
            # From the other end of the veth pair: a neighbour on the sandbox's network would look the same.
            how("www.outside.com", server="10.64.1.2", timeout=1)
            raise AssertionError(f"{how.__name__}: a query from outside the namespace was answered")
        except OSError:
            pass
    equal(daemon.rows(), [], "the sandbox's record")
    equal(upstream.queries("www.outside.com"), [], "forwarded for somebody outside")


@case("postern run hands its sandbox to a running daemon, which writes the record")
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(upstream=(upstream.text,))
    argv = [binary(), "run", "--control", daemon.control, "--session", "handed-over", "--name", "guest", "--quiet",
            "--block", "www.blocked.com", "--", "sh", "-c",
            "getent hosts www.asked.com; getent hosts www.blocked.com; exit 5"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    equal((done.returncode, done.stdout.split()[1:]), (5, ["www.asked.com"]), done)
    equal({(r["sandbox"], r["session"], r["name"], r["action"]) for r in daemon.rows()},
          {("guest", "handed-over", "www.asked.com", "allowed"),
           ("guest", "handed-over", "www.blocked.com", "blocked")})
    equal(_listed(daemon), [], "the sandbox is gone with its command")
    holds(upstream.queries("www.asked.com"), "the daemon's upstream was not asked")


@case("a reload reaches a sandbox that was given rules of its own, too, and they stay in force")
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(policy=OPEN_BUDGETS + "default: allow\n", upstream=(upstream.text,))
    argv = [binary(), "run", "--control", daemon.control, "--name", "guest", "--quiet", "--block", "www.own.com", "--",
            "sh", "-c", "getent hosts www.moving.com; read go; "
                        "getent hosts www.moving.com || echo moved; getent hosts www.own.com || echo own"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as guest:
        holds("www.moving.com" in guest.stdout.readline(), "before")
        write(daemon.policy_file, OPEN_BUDGETS + "block: ['**.moving.com']\n")
        daemon.command("reload")
        out, err = guest.communicate("go\n", timeout=30)
    equal(out.split(), ["moved", "own"], err)


@case("SIGTERM ends the daemon cleanly while clients keep asking on the control socket")
def _():
    daemon, over = Daemon(), threading.Event()
    answered = []

    def ask_on():
        while not over.is_set():
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(5)
                    client.connect(daemon.control)
                    client.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
                    answered.append(len(client.recv(65536)))
            except OSError:
                pass

    threads = [threading.Thread(target=ask_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(answered) > 50, "the clients are answered")
        equal(daemon.stop(), 0, daemon.log())
    finally:
        over.set()
        for thread in threads:
            thread.join()
    holds("killed" not in daemon.log(), daemon.log())
