# Real stub resolvers under `postern run`: each gets what the little internet holds, and is refused what policy refuses.
import os
import shutil

from cases import case, equal, holds
from little_internet import WWW4, WWW6, LittleInternet
from postern_process import run
from private_host import Skip, sh, temp_folder

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stubs")


def stub(name):
    """A copy of a stub program where every user can read it."""
    path = os.path.join(temp_folder(), name)
    shutil.copyfile(os.path.join(_HERE, name), path)
    os.chmod(path, 0o644)
    return path


def need(program):
    found = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if not found:
        raise Skip(f"{program} is not installed")
    return found


def musl_program():
    program = os.path.join(temp_folder(), "musl_lookup")
    sh(need("musl-gcc"), "-static", "-O1", "-o", program, os.path.join(_HERE, "musl_lookup.c"))
    os.chmod(program, 0o755)
    return program


def addresses(text):
    return sorted({line.split()[0] for line in text.splitlines() if line.strip()})


def check_stub(command, www=(WWW4, WWW6)):
    """`command(name)` is the argv that prints the addresses of `name`."""
    LittleInternet()
    found = run(*command("www.example.com"))
    equal(found.status, 0, found)
    equal(addresses(found.out), sorted(www), found)
    rows = found.rows()
    holds({row["type"] for row in rows} & {"A", "AAAA"}, rows)
    for row in rows:
        equal((row["name"], row["registered_domain"], row["action"], row["rcode"]),
              ("www.example.com", "example.com", "allowed", "NOERROR"), row)

    chain = run(*command("chain.example.com"))
    holds("93.184.215.77" in addresses(chain.out), chain)

    missing = run(*command("no-such-host.example.com"))
    holds(missing.status != 0, missing)
    holds(all(row["rcode"] == "NXDOMAIN" and row["action"] == "allowed" for row in missing.rows()),
          missing.rows())

    refused = run(*command("www.example.org"), options=("--block", "**.example.org"))
    holds(refused.status != 0, refused)
    holds(refused.rows(), "the refused lookup has no row")
    for row in refused.rows():
        equal((row["action"], row["rcode"], row["reason"]), ("blocked", "NXDOMAIN", "rule"), row)

    # Allowed, but the answer holds only a private address: nothing comes back, whatever the stub makes of that.
    rebound = run(*command("rebind.example"))
    holds(rebound.status != 0 and "10.0.0.1" not in rebound.out, rebound)
    rows = rebound.rows("type = 'A'")
    holds(rows and all(row["action"] == "blocked" and row["rcode"] == "NOERROR" for row in rows), rows)

    # An address of one family only must not fail the whole lookup (REFUSED to the other family would).
    single = run(*command("v4only.example.com"))
    equal(addresses(single.out), ["93.184.215.15"], single)


@case("glibc's getent resolves through postern run and is refused what policy refuses")
def _():
    check_stub(lambda name: ("getent", "ahosts", name))


@case("a static musl program resolves through postern run and is refused what policy refuses")
def _():
    program = musl_program()
    check_stub(lambda name: (program, name))


@case("Python's getaddrinfo resolves through postern run and is refused what policy refuses")
def _():
    script = stub("lookup.py")
    check_stub(lambda name: ("/usr/bin/python3", script, name))


@case("a program that asks for one family, if the host has it, gets that family's addresses")
def _():
    LittleInternet()
    script = stub("lookup.py")
    for family, address in (("4", WWW4), ("6", WWW6)):
        found = run("/usr/bin/python3", script, "www.example.com", family)
        equal((found.status, addresses(found.out)), (0, [address]), found)


@case("Node's dns.resolve resolves through postern run and is refused what policy refuses")
def _():
    script, node = stub("lookup.js"), need("node")
    check_stub(lambda name: (node, script, "resolve", name))


@case("Node's dns.lookup resolves through postern run and is refused what policy refuses")
def _():
    script, node = stub("lookup.js"), need("node")
    check_stub(lambda name: (node, script, "lookup", name))


@case("Java's InetAddress resolves through postern run and is refused what policy refuses", seconds=180)
def _():
    source, compiler, java = stub("Lookup.java"), need("javac"), need("java")
    sh(compiler, "-d", temp_folder(), source)  # once: a single-file launch would compile at each lookup
    folder = temp_folder()
    check_stub(lambda name: (java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", folder, "Lookup", name),
               www=(WWW4, "2606:2800:21f:0:0:0:0:1"))


@case("dig sees addresses, aliases, services and mail hosts with their TTLs as the upstream has them")
def _():
    LittleInternet()
    done = run("sh", "-c",
               f"""{need('dig')} +noall +answer +nocookie www.example.com A && dig +noall +answer chain.example.com A &&
        dig +short example.com MX && dig +short _imap._tcp.example.com SRV && dig +short www.example.com TYPE65 &&
        dig +short example.com TXT && dig +noall +comments v4only.example.com AAAA""")
    equal(done.status, 0, done)
    for part in (WWW4, "chain2.example.com.", "93.184.215.77", "10 mail.example.com.",
                 "20 mail2.example.com.",
                 "5 10 143 mail.example.com.", "v=spf1 -all", "status: NOERROR"):
        holds(part in done.out, f"{part!r} is missing from {done}")
    equal([row["type"] for row in done.rows()], ["A", "A", "MX", "SRV", "HTTPS", "TXT", "AAAA"])


@case("kdig asks several questions on one TCP connection and gets each answer")
def _():
    LittleInternet()
    done = run(need("kdig"), "+tcp", "+keepopen", "+short", "@127.0.0.1", "www.example.com", "A",
               "www.example.org", "A",
               "files.example.org", "A", "example.net", "A")
    equal(done.out.split(), [WWW4, "93.184.215.20", "93.184.215.21", "93.184.215.30"], done)
    equal(len(done.rows("action = 'allowed'")), 4)


@case("curl finds the server that it is told to reach by name")
def _():
    LittleInternet()
    done = run(need("curl"), "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{errormsg}",
               "http://v4only.example.com:8080/")
    # There is no network in the sandbox but loopback: connecting fails (7), resolving (6) does not.
    equal(done.status, 7, done)
    unknown = run("curl", "-sS", "-m", "5", "http://no-such-host.example.com/")
    equal(unknown.status, 6, unknown)
