# Webhooks: signed, verified, told at least once with the same id; receivers that are down, slow, wrong or hostile.
import base64
import hashlib
import hmac
import json
import os
import socket
import threading

from cases import case, equal, holds
from cases_alerts import FIRST_QUERY, Program, deliveries, first_question
from dns_client import ask_udp
from postern_process import Daemon, journal_rows, run
from private_host import Namespace, sh, temp_folder, wait_until, write
from recording_upstream import RecordingUpstream
from webhook_receiver import SECRET, Authority, Receiver, documented_verify, secret_file

PORT = 8765


def daemon_for(*urls, more="", **options):
    """A daemon that posts to these addresses; `more` are further members of each."""
    upstream = RecordingUpstream()
    secret = secret_file()
    lines = ["alert_webhook:"] + [f"  - {{url: '{url}', secret_file: {secret}{more}}}" for url in urls]
    return Daemon(policy=FIRST_QUERY, upstream=(upstream.text,), more=lines, **options)


def told(daemon, count):
    return len(deliveries(daemon, "state = 'delivered'")) == count


def courier_of(daemon):
    for pid in daemon.pids():
        with open(f"/proc/{pid}/comm") as file:
            if file.read().strip() == "postern-courier":
                return pid
    return None


@case("an alert is posted over HTTP, signed as Standard Webhooks says, and the documented lines verify it")
def _():
    receiver = Receiver(PORT).start()
    daemon = daemon_for(f"http://127.0.0.1:{PORT}/alerts")
    first_question(daemon, "box")
    wait_until(lambda: told(daemon, 1), "it is told")
    (headers, body), = receiver.posts
    alert = json.loads(body)
    equal((alert["kind"], alert["sandbox"], alert["severity"]), ("first_query", "box", "low"))
    equal((headers["webhook-id"], headers["idempotency-key"]), (alert["id"], alert["id"]))
    equal(headers["content-type"], "application/json")
    signed = f"{alert['id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    equal(headers["webhook-signature"],
          "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
    verify = documented_verify()
    holds(verify(SECRET, headers, body), "the documented lines verify it")
    holds(not verify(SECRET, headers, body + b" "), "another body")
    holds(not verify(SECRET.replace("cG9", "cG8"), headers, body), "another key")
    holds(not verify(SECRET, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}, body),
          "another time")
    row, = deliveries(daemon)
    equal((row["hook"], row["status"], row["attempts"]), (f"webhook http://127.0.0.1:{PORT}/alerts", 200, 1), row)
    said = daemon.log() + daemon.command("status").stdout
    holds(SECRET not in said and SECRET.removeprefix("whsec_") not in said, "the secret is nowhere to be read")
    daemon.stop()


@case("each hook is told what its redaction leaves of an alert, and the journal's row keeps all")
def _():
    upstream, program, receiver = RecordingUpstream(), Program("exit 0"), Receiver(PORT).start()
    secret = secret_file()
    more = ["alert_exec_redact: names", "alert_webhook:",
            f"  - {{url: 'http://127.0.0.1:{PORT}/all', secret_file: {secret}, redact: all}}"]
    daemon = Daemon(policy=FIRST_QUERY, upstream=(upstream.text,), alert_exec=program.path, more=more)
    box = Namespace("box")
    daemon.attach(box, session="nightly", user="ada")
    equal(ask_udp("aGVsbG8.www.example.com", netns=box.path).rcode_name, "NOERROR")
    wait_until(lambda: told(daemon, 2), "both are told")
    named, = program.told()
    equal((named["name"], named["zone"], named["session"], named["user"]),
          ("*.example.com", "example.com", "nightly", "ada"))
    (_, body), = receiver.posts
    alert = json.loads(body)
    equal((alert["id"], alert["kind"], alert["name"]), (named["id"], "first_query", "*.example.com"))
    holds(alert["user"].startswith("user-") and alert["session"].startswith("session-"), alert)
    for text in (body.decode(), json.dumps(named)):
        holds("agvsbg8" not in text.lower(), text)
    for word in ("nightly", "ada", "box", "labels", "code_sha256"):
        holds(f'"{word}"' not in body.decode(), body)
    row, = daemon.read("SELECT query_name, session FROM alerts")
    equal((row["query_name"], row["session"]), ("agvsbg8.www.example.com", "nightly"))
    daemon.stop()


@case("a receiver that is down, then says 500, is told of every alert once it is well, over two kills", seconds=120)
def _():
    daemon = daemon_for(f"http://127.0.0.1:{PORT}/alerts")
    first_question(daemon, "down")
    row = wait_until(lambda: deliveries(daemon, "attempts > 0"), "an attempt failed")[0]
    equal((row["state"], row["status"]), ("pending", None), row)
    holds("cannot connect" in row["error"], row)
    daemon.kill()
    receiver = Receiver(PORT, mood=500).start()
    daemon.start()
    first_question(daemon, "refused")
    row = wait_until(lambda: deliveries(daemon, "status = 500"), "500 is on record")[0]
    equal(row["state"], "pending", row)
    holds(row["error"].startswith("HTTP status 500"), row)
    daemon.kill()
    receiver.mood = "ok"
    daemon.start()
    first_question(daemon, "well")
    wait_until(lambda: told(daemon, 3), "all are told", seconds=40)
    uids = {row["uid"] for row in daemon.read("SELECT uid FROM alerts")}
    equal(set(receiver.ids()), uids)
    for headers, body in receiver.posts:
        equal(headers["webhook-id"], json.loads(body)["id"])
    daemon.stop()


@case("a receiver that never answers slows no question and no other receiver, and its alert is told after all",
      seconds=90)
def _():
    slow, quick = Receiver(PORT, mood="hang").start(), Receiver(PORT + 1).start()
    daemon = daemon_for(f"http://127.0.0.1:{PORT}/alerts", f"http://127.0.0.1:{PORT + 1}/alerts", more=", timeout: 2")
    box = first_question(daemon, "box")
    wait_until(lambda: slow.posts, "the slow one has it")
    for i in range(20):
        equal(ask_udp(f"www{i}.example.com", netns=box.path).rcode_name, "NOERROR")
    wait_until(lambda: told(daemon, 1), "the quick one is told")
    equal(len(quick.posts), 1)
    row = wait_until(lambda: deliveries(daemon, "error LIKE 'no answer%'"), "its time is over")[0]
    equal((row["state"], row["error"]), ("pending", "no answer within 2 s"), row)
    slow.mood = "ok"
    wait_until(lambda: told(daemon, 2), "it is told", seconds=20)
    equal(len(set(slow.ids())), 1, "the same id each time")
    daemon.stop()


@case("over HTTPS the certificate and its name are verified, and a name is looked up in the courier's own cell",
      seconds=90)
def _():
    write("/run/hosts", "127.0.0.1 localhost receiver.example\n")
    sh("mount", "--bind", "/run/hosts", "/etc/hosts")
    authority, stranger = Authority(), Authority("stranger")
    good = Receiver(PORT, authority.certificate("DNS:receiver.example")).start()
    numeric = Receiver(PORT + 1, authority.certificate("IP:127.0.0.1")).start()
    other = Receiver(PORT + 2, authority.certificate("DNS:other.example")).start()
    forged = Receiver(PORT + 3, stranger.certificate("DNS:receiver.example")).start()
    daemon = daemon_for(f"https://receiver.example:{PORT}/alerts", f"https://127.0.0.1:{PORT + 1}/alerts",
                        f"https://receiver.example:{PORT + 2}/alerts", f"https://receiver.example:{PORT + 3}/alerts",
                        more=f", ca_file: {authority.file}")
    first_question(daemon, "box")
    wait_until(lambda: told(daemon, 2), "both good ones are told")
    equal((len(good.posts), len(numeric.posts)), (1, 1))
    bad = wait_until(lambda: len(deliveries(daemon, "attempts > 0 AND state = 'pending'")) == 2 and
                     deliveries(daemon, "state = 'pending'"), "both bad ones are refused")
    holds(all("certificate verify failed" in row["error"] for row in bad), bad)
    holds("hostname mismatch" in bad[0]["error"].lower().replace("host name", "hostname"), bad[0])
    equal((len(other.posts), len(forged.posts)), (0, 0), "nothing was sent to them")
    daemon.stop()


@case("a redirect is not followed, and a reply without end is cut off")
def _():
    receiver = Receiver(PORT, mood="redirect").start()
    daemon = daemon_for(f"http://127.0.0.1:{PORT}/alerts", more=", timeout: 5")
    first_question(daemon, "box")
    row = wait_until(lambda: deliveries(daemon, "status = 307"), "the redirect is on record")[0]
    equal((row["state"], row["error"]), ("pending", "HTTP status 307: redirects are not followed"), row)
    equal(receiver.elsewhere, [])
    receiver.stop()
    flood = socket.create_server(("127.0.0.1", PORT), reuse_port=False)

    def pour():
        while True:
            peer, _ = flood.accept()
            try:
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    peer.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")
            except OSError:
                peer.close()
    threading.Thread(target=pour, daemon=True).start()
    row = wait_until(lambda: deliveries(daemon, "error LIKE 'cannot read the reply%'"), "it is cut off", seconds=20)[0]
    equal(row["state"], "pending", row)
    daemon.stop()


@case("a courier that is killed is started again, and what it had is told once more with the same id", seconds=90)
def _():
    receiver = Receiver(PORT, mood="hang").start()
    daemon = daemon_for(f"http://127.0.0.1:{PORT}/alerts")
    box = first_question(daemon, "box")
    wait_until(lambda: receiver.posts, "the courier has it")
    courier = courier_of(daemon)
    with open(f"/proc/{courier}/status") as file:
        status = dict(line.split(":", 1) for line in file.read().splitlines())
    equal((status["CapEff"].strip(), status["NoNewPrivs"].strip(), status["Seccomp"].strip()),
          ("0" * 16, "1", "2"), "its rights")
    holds("0" not in status["Uid"].split(), status["Uid"])
    receiver.mood = "ok"
    os.kill(courier, 9)
    equal(ask_udp("www.example.net", netns=box.path).rcode_name, "NOERROR")
    wait_until(lambda: told(daemon, 1), "it is told", seconds=30)
    equal(len(set(receiver.ids())), 1)
    holds(courier_of(daemon) not in (None, courier), "another courier")
    holds("the courier was ended by signal 9" in daemon.log(), daemon.log())
    equal(daemon.stop(), 0)
    equal(os.path.exists(f"/proc/{courier}"), False)


@case("run posts its alerts by itself, and a bad webhook is refused before anything starts")
def _():
    receiver = Receiver(PORT).start()
    policy = write(os.path.join(temp_folder(), "p.yaml"), FIRST_QUERY)
    upstream, secret = RecordingUpstream(), secret_file()
    url = f"http://127.0.0.1:{PORT}/alerts"
    done = run("getent", "hosts", "www.example.com", upstream=upstream.text,
               options=("--policy", policy, "--alert-webhook", url, "--alert-webhook-secret", secret))
    equal(done.status, 0, done)
    equal(len(receiver.posts), 1)
    equal([row["state"] for row in journal_rows(done.db, "SELECT * FROM alert_deliveries ORDER BY id")],
          ["delivered"])
    os.chmod(secret, 0o644)
    for options in (("--alert-webhook", url), ("--alert-webhook", "ftp://x/", "--alert-webhook-secret", secret),
                    ("--alert-webhook", url, "--alert-webhook-secret", secret)):
        refused = run("true", upstream=upstream.text, options=options)
        equal(refused.status, 125, refused)
        holds(SECRET not in refused.err, refused)
