#!/usr/bin/python3
# The demo: a little internet, ordinary programs and a real DNS tunnel in sandboxes, and what Postern makes of them.
#
# Exits 0 only if the ordinary lookups worked and the tunnel was cut. Nothing leaves this machine.
import argparse
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import private_host
from cases_tunnel import alert_program
from iodine_client import DropBox, Iodine
from little_internet import UPSTREAM, WWW4, LittleInternet
from postern_process import Daemon
from private_host import Namespace, Skip, temp_folder, wait_until

LOOT = 20000          # octets that the tunnel is asked to carry, with and without Postern
CUT_PATIENCE = 8.0    # seconds that the tunnel gets to come up again after the alert
TUNNEL_PATIENCE = 60  # seconds until a working tunnel must be there, or the alert
WIDTH = 100           # columns

POLICY = """# What the demo's sandboxes may ask.
default: allow
block:
  - "**.blocked.example"
"""


class Page:
    """Headings, tables and paragraphs; in colour where somebody looks."""

    def __init__(self):
        self.colour = sys.stdout.isatty() and os.environ.get("NO_COLOR") is None and os.environ.get("TERM") != "dumb"

    def paint(self, text, code):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def good(self, text):
        return self.paint(text, "32")

    def bad(self, text):
        return self.paint(text, "31")

    def dim(self, text):
        return self.paint(text, "2")

    def heading(self, text):
        print(f"\n{self.paint(text, '1;36')}\n{self.dim('-' * len(text))}", flush=True)

    def say(self, text=""):
        print(text, flush=True)

    def row(self, cells, widths, paints=None):
        """One line of a table; the last cell is cut at the page's width."""
        out, used = [], 2
        for i, (cell, width) in enumerate(zip(cells, widths)):
            room = WIDTH - used if i == len(cells) - 1 else width
            text = cell if len(cell) <= room else cell[:room - 3] + "..."
            padded = text if i == len(cells) - 1 else text.ljust(width)
            out.append(paints[i](padded) if paints and paints[i] else padded)
            used += width + 2
        self.say("  " + "  ".join(out))


page = Page()


def serve_pages(address):
    """A web server at the little internet's www.example.com."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"Hello from www.example.com\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((address, 80), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


_PYTHON = "import socket, sys; print(socket.getaddrinfo(sys.argv[1], None, socket.AF_INET)[0][4][0])"


def commands(name):
    """The ordinary programs, as argv, for one name."""
    return {
        "getent": ["getent", "ahostsv4", name],
        "python": ["/usr/bin/python3", "-c", _PYTHON, name],
        "curl": ["curl", "-sS", "-4", "-m", "5", "-w", "%{http_code} from %{remote_ip}", "-o", "/dev/null",
                 f"http://{name}/"],
        "dig NULL": ["dig", "+short", "+tries=1", name, "NULL"],
    }


_CURL_SAYS = {6: "host not found", 7: "could not connect", 28: "too late"}


def outcome(program, done):
    """What the program made of it, in a few words."""
    if program == "curl":
        return done.stdout.strip() if done.returncode == 0 else _CURL_SAYS.get(done.returncode, "failed")
    if program == "dig NULL":
        return done.stdout.strip() or "no data"
    if done.returncode != 0:
        return "not found" if program == "getent" else "socket.gaierror"
    return done.stdout.split()[0]


def show_programs(daemon, sandbox):
    """Sections 2 and 3: lookups that are answered and lookups that are not; says whether each did as it should."""
    fine = True

    def one(program, name, answered, widths):
        done = sandbox.run(*commands(name)[program])
        got = outcome(program, done)
        row = wait_until(lambda: [r for r in daemon.rows("name = ?", name) if r["rcode"] != "unknown"],
                         f"the record of {name}")[-1]
        worked = done.returncode == 0 and got != "no data"
        why = row["action"] if answered else said_by(row, daemon)
        as_expected = worked == answered and (row["action"] == "allowed") == answered
        page.row((program, name, got, why), widths,
                 (None, None, page.good if worked else page.bad, page.dim if as_expected else page.bad))
        return as_expected

    page.heading("2  Ordinary programs in a sandbox: answered")
    widths = (8, 24, 23, 20)
    page.row(("program", "asks for", "gets", "on record"), widths, [page.dim] * 4)
    for program, name in (("getent", "www.example.com"), ("python", "files.example.org"),
                          ("python", "chain.example.com"),
                          ("getent", "cdn.example.net"), ("curl", "www.example.com")):
        fine &= one(program, name, True, widths)
    page.heading("3  The same programs: refused, and why")
    widths = (8, 24, 15, 20)
    page.row(("program", "asks for", "gets", "refused by"), widths, [page.dim] * 4)
    for program, name in (("getent", "ads.blocked.example"), ("python", "to-blocked.example.com"),
                          ("curl", "metadata.rebind.example"), ("python", "lan.rebind.example"),
                          ("curl", "metadata.google.internal"), ("dig NULL", "www.example.com"),
                          ("getent", "printer.local")):
        fine &= one(program, name, False, widths)
    return fine


def said_by(row, daemon):
    """The rule that spoke, without the folder of the policy file and without its source in brackets."""
    text = (row["rule"] or row["reason"]).replace(daemon.folder + "/", "")
    return re.sub(r" \([^()]*\)$", "", text).removeprefix("answer ")


def show_run(postern):
    """Section 1: the shortest way to use it."""
    page.heading("1  One command in a sandbox of its own")
    page.say("  $ " + page.paint("postern run --block '*.example.org' -- sh -c 'getent hosts ...'", "1"))
    db = os.path.join(temp_folder(), "run", "journal.db")
    os.makedirs(os.path.dirname(db))
    script = ("for name in v4only.example.com www.example.org; do"
              " printf '%s ' $name; getent hosts $name | cut -d' ' -f1 | grep . || echo nothing; done")
    done = subprocess.run([postern, "run", "--block", "*.example.org", "--upstream", UPSTREAM, "--session",
                           "demo-run",
                           "--db", db, "--", "sh", "-c", script], text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "HOME": "/tmp"},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    got = dict(line.split() for line in done.stdout.splitlines())
    for name, text in got.items():
        page.row((name, text), (26, 20), (None, page.bad if text == "nothing" else page.good))
    for line in done.stderr.splitlines():
        page.say(page.dim("  " + line.replace(temp_folder() + "/", "")[:WIDTH - 2]))
    return got == {"v4only.example.com": "93.184.215.15", "www.example.org": "nothing"}


class FreeTunnel:
    """The tunnel without Postern, in the background of the first sections: it proves that iodine works here."""

    def __init__(self, box):
        self.box = box
        self.namespace = Namespace("free")
        self.namespace.connect(1)
        self.started = time.monotonic()
        self.tunnel = Iodine(self.namespace, UPSTREAM, "-T", "TXT")
        self.took = None
        self.arrived = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            if self.tunnel.settle() and self.tunnel.send(LOOT, 20):
                self.took = time.monotonic() - self.started
        except AssertionError:
            pass  # `took` stays empty: reported by finish
        self.arrived = self.box.received

    def finish(self):
        self.thread.join()
        self.tunnel.stop()
        return self.arrived


def show_tunnel(daemon, box, free, told):
    """Section 4: the tunnel with and without Postern, an ordinary program beside it, and the alert."""
    page.heading("4  A real tunnel (iodine), with an ordinary program beside it")
    arrived = free.finish()
    page.row(("without Postern", f"{arrived:,} of {LOOT:,} octets carried out in {free.took or 0:.1f} s"),
             (18, 40),
             (None, page.bad))
    night = Namespace("night-job")
    daemon.attach(night, session="night-job", user="mallory", code=code_hash("iodine"),
                  more=("--label", "ticket=4711"))
    before = box.received
    started = time.monotonic()
    tunnel = Iodine(night, "127.0.0.1", "-T", "TXT")
    beside = 0
    asked = 0
    alert, deadline = None, started + TUNNEL_PATIENCE
    while time.monotonic() < deadline:
        done = night.run(*commands("www.example.com")["python"])
        asked += 1
        beside += done.returncode == 0
        if alert is None:
            found = daemon.alerts("kind = 'tunnel'")
            if found:
                alert, deadline = found[0], time.monotonic() + CUT_PATIENCE
                cut_after = time.monotonic() - started
        time.sleep(0.1)  # an ordinary program's pace
    if tunnel.up():
        tunnel.send(LOOT, 3)
    tunnel.stop()
    through = box.received - before
    rows = daemon.rows("sandbox = 'night-job' AND registered_domain = 'tunnel.example'")
    forwarded = [r for r in rows if r["action"] == "allowed" and not r["cached"]]
    refused = [r for r in rows if r["reason"] == "tunnel"]
    cut = alert is not None and bool(refused) and through == 0
    if alert is None:
        page.row(("with Postern", "no alert: the tunnel was not noticed"), (18, 40), (None, page.bad))
        return False, beside == asked
    page.row(("with Postern", f"{through:,} of {LOOT:,} octets carried out: cut {cut_after:.1f} s after its start,"),
             (18, 40), (None, page.good if cut else page.bad))
    page.row(("", f"when {len(forwarded)} of its queries had gone upstream; {len(refused)} were refused since"),
             (18, 40))
    page.row(("beside it", f"{beside} of {asked} lookups of www.example.com answered in the same sandbox"),
             (18, 40),
             (None, page.good if beside == asked else page.bad))
    show_alert(alert, told)
    return cut, beside == asked


def show_alert(alert, told):
    page.heading("5  The alert, as the alert program got it on stdin")
    found = wait_until(lambda: [a for a in told() if a["kind"] == "tunnel"], "the alert program's JSON")[0]
    for key in ("kind", "severity", "sandbox", "session", "user", "labels", "zone", "action", "name"):
        value = found.get(key)
        if value not in (None, "", {}):
            text = ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
            page.row((key, text), (10, 20), (page.dim, page.bad if key in ("kind", "zone") else None))
    why = found.get("why") or json.loads(alert["evidence"]).get("why", [])
    page.row(("score", f"{alert['score']:.2f}, because of"), (10, 20), (page.dim, None))
    for part in why:
        if part["weight"] >= 0.005:
            page.row(("", part["feature"], f"{part['value']:.4g}", f"+{part['weight']:.2f}",
                      "#" * round(part["weight"] * 100)),
                     (10, 14, 8, 5, 30), (None, None, None, None, page.bad))


QUESTIONS = (
    ("Which sessions asked, and what became of it?",
     "SELECT session, user, action, reason, count(*) AS queries, count(DISTINCT name) AS names\n"
     "FROM queries GROUP BY 1, 2, 3, 4 ORDER BY session, queries DESC"),
    ("Which domains look odd?",
     "SELECT registered_domain AS domain, count(*) AS queries, count(DISTINCT name) AS names,\n"
     "       sum(reason = 'tunnel') AS refused, round(max(score), 2) AS score\n"
     "FROM queries GROUP BY 1 ORDER BY max(score) DESC, domain LIMIT 4"),
    ("What left through the tunnel before it was cut?",
     "SELECT q.id, q.session, q.type, q.rcode, substr(q.name, 1, 60) AS name\n"
     "FROM queries AS q JOIN alerts AS a ON a.session = q.session AND a.zone = q.registered_domain\n"
     "WHERE a.kind = 'tunnel' AND q.action = 'allowed' ORDER BY q.id DESC LIMIT 4"),
)


def show_sql(postern, db):
    page.heading("6  An analyst's questions, in SQL")
    fine = True
    for number, (question, statement) in enumerate(QUESTIONS):
        if number:
            page.say()
        page.say("  " + page.paint(question, "1"))
        for line in statement.splitlines():
            page.say(page.dim("  " + line))
        done = subprocess.run([postern, "sql", "--db", db, statement], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30)
        fine &= done.returncode == 0
        for line in done.stdout.rstrip().splitlines():
            page.say("  " + line[:WIDTH + 2])
    return fine


def code_hash(program):
    with open(shutil.which(program), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def demo(postern):
    page.say(page.paint("Postern, shown on a little internet of its own", "1"))
    page.say(page.dim("NSD serves a root and zones, Unbound recurses over it, iodined waits behind a delegation."))
    LittleInternet(tunnel=True)
    serve_pages(WWW4)
    box = DropBox()
    free = FreeTunnel(box)
    try:
        ran = show_run(postern)
        program, told = alert_program()
        daemon = Daemon(policy=POLICY, alert_exec=program)
        builder = Namespace("builder")
        builder.connect(2)
        daemon.attach(builder, session="build-42", user="alice", code=code_hash("curl"))
        ordinary = show_programs(daemon, builder)
        cut, undisturbed = show_tunnel(daemon, box, free, told)
        told_sql = show_sql(postern, daemon.db) if cut else False
        daemon.stop()
    finally:
        free.tunnel.process.poll() is None and free.tunnel.process.kill()
    page.heading("In short")
    checks = (("ordinary lookups answered, the others refused", ran and ordinary),
              ("the tunnel works without Postern", free.arrived == LOOT), ("the tunnel was cut", cut),
              ("what ran beside the tunnel was not disturbed", undisturbed),
              ("the record answers in SQL", told_sql))
    for text, fine in checks:
        page.row(("yes" if fine else "NO", text), (3, 50), (page.good if fine else page.bad, None))
    return 0 if all(fine for _, fine in checks) else 1


def main():
    options = argparse.ArgumentParser(description="Postern's demo")
    options.add_argument("--postern", default="build/release/postern")
    given = options.parse_args()
    postern = os.path.abspath(given.postern)
    if not os.access(postern, os.X_OK):
        sys.exit(f"demo: {given.postern} is not an executable: build it first")
    if os.geteuid() != 0:
        sys.exit("demo: network namespaces need root: run it with sudo")
    os.environ["POSTERN_BINARY"] = postern
    private_host.enter()
    try:
        return demo(postern)
    except Skip as missing:
        print(f"demo: cannot run here: {missing}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
