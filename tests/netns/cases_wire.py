# What clients see on the wire, from inside an attached namespace: truncation, refusals, echoes, bad packets.
import socket
import struct
import subprocess

import dns_message
from cases import case, equal, holds
from dns_client import TcpConnection, ask_tcp, ask_udp, exchange_udp
from dns_message import QR, RA, RD, TC, parse, query
from little_internet import WWW4, LittleInternet
from postern_process import Daemon
from private_host import Namespace, in_namespace, wait_until

POLICY = """
block:
  - "**.blocked.example"
  - "*.example.org"
"""


def attached(policy=POLICY, **options):
    """(daemon, path of an attached namespace)."""
    LittleInternet()
    daemon, inside = Daemon(policy=policy, **options), Namespace("inside")
    daemon.attach(inside)
    return daemon, inside.path


@case("an answer that does not fit is truncated, and whole over TCP")
def _():
    _, netns = attached()
    for name, size in (("big2k.example.com", 2000), ("big6k.example.com", 6000)):
        for edns in (None, True):
            short = ask_udp(name, "TXT", netns=netns, edns=edns)
            holds(short.flags & TC and not short.answer, f"{name} edns={edns}: {short}")
        whole = ask_tcp(name, "TXT", netns=netns)
        holds(not whole.flags & TC, whole.flags)
        equal(len(whole.answer[0].rdata), size, name)
    # The neighbour: what fits 1232 octets comes whole with EDNS, and is cut at 512 without.
    many = ask_tcp("many.example.com", "A", netns=netns)
    equal(len(many.answer), 100)
    holds(ask_udp("many.example.com", "A", netns=netns, edns=None).flags & TC, "100 addresses in 512 octets")


@case("a client's EDNS size bounds the answer it gets over UDP")
def _():
    _, netns = attached()
    big = exchange_udp(query("big2k.example.com", "TXT", 7, edns=dns_message.opt_record(4096)), netns=netns)
    small = exchange_udp(query("big2k.example.com", "TXT", 8, edns=dns_message.opt_record(512)), netns=netns)
    holds(len(big) <= 4096 and len(small) <= 512, (len(big), len(small)))
    holds(parse(small).flags & TC, "2000 octets in 512")


@case("a blocked name is NXDOMAIN with an ancestor's SOA and an extended error that names the rule")
def _():
    daemon, netns = attached()
    for name in ("www.example.org", "blocked.example", "a.b.blocked.example"):
        reply = ask_udp(name, "A", netns=netns)
        equal(reply.rcode_name, "NXDOMAIN", name)
        soa = reply.authority[0]
        equal(soa.type, dns_message.TYPES["SOA"], reply)
        holds(name == soa.owner or name.endswith("." + soa.owner) or soa.owner == "",
              f"{soa.owner!r} for {name}")
        holds(soa.ttl <= 5 and struct.unpack("!I", soa.rdata[-4:])[0] <= 5, soa)
        code, text = reply.ede()
        equal(code, 15, name)
        holds(("example.org" if "org" in name else "blocked.example") in text, text)
    equal(ask_udp("example.org", "A", netns=netns).rcode_name, "NOERROR", "the apex is not below itself")
    plain = ask_udp("www.example.org", "A", netns=netns, edns=None)
    holds(plain.opt is None, "an OPT record to a client that sent none")
    rows = daemon.rows("name = 'www.example.org'")
    holds(all(r["action"] == "blocked" and r["rcode"] == "NXDOMAIN" and "example.org" in r["rule"]
              for r in rows), rows)


@case("kdig shows the extended error of a blocked name")
def _():
    _, netns = attached()
    done = subprocess.run(["nsenter", f"--net={netns}", "kdig", "+edns", "@127.0.0.1", "www.example.org"],
                          text=True,
                          stdout=subprocess.PIPE, timeout=20)
    holds("NXDOMAIN" in done.stdout and "SOA" in done.stdout, done.stdout)
    holds("EDE" in done.stdout and "15" in done.stdout, done.stdout)


@case("an answer with a private address becomes NODATA that says which, and the neighbour range passes")
def _():
    daemon, netns = attached()
    for name, rtype in (("rebind.example", "A"), ("metadata.rebind.example", "A"),
                        ("loop.rebind.example", "A"),
                        ("zero.rebind.example", "A"), ("lan.rebind.example", "A"),
                        ("cgnat.rebind.example", "A"),
                        ("ula.rebind.example", "AAAA"), ("mapped.rebind.example", "AAAA"),
                        ("mixed.rebind.example", "A"),
                        ("to-lan.rebind.example", "A"), ("hint-private.example.com", "HTTPS")):
        for how in (ask_udp, ask_udp, ask_tcp):  # the second one may come from the cache
            reply = how(name, rtype, netns=netns)
            equal((reply.rcode_name, len(reply.answer)), ("NOERROR", 0), f"{name} {rtype}")
            equal(reply.ede()[0], 15, name)
            holds(reply.authority and reply.authority[0].type == dns_message.TYPES["SOA"], f"{name}: no SOA")
    equal(ask_udp("not-cgnat.rebind.example", netns=netns).texts("A"), ["100.128.0.1"])

    def recorded():
        rows = daemon.rows("name = 'metadata.rebind.example'")
        return rows and all(row["action"] == "blocked" and row["rcode"] == "NOERROR" for row in rows)
    wait_until(recorded, "the outcome of the refused answers is on record")


@case("an alias into a blocked name is refused, an alias into an ordinary one is not")
def _():
    _, netns = attached()
    reply = ask_udp("to-blocked.example.com", netns=netns)
    equal((reply.rcode_name, len(reply.answer)), ("NOERROR", 0), reply)
    below_a_rule = ask_udp("chain.example.com", netns=netns)  # ends in chain3.example.org: below *.example.org
    equal((below_a_rule.rcode_name, len(below_a_rule.answer)), ("NOERROR", 0), below_a_rule)
    chain = ask_udp("cdn.example.net", netns=netns)
    equal((chain.texts("CNAME"), chain.texts("A")), (["edge.cdn.example.net"], ["93.184.215.31"]), "the chain")


@case("a type that is not permitted is NODATA, and a permitted one beside it is answered")
def _():
    daemon, netns = attached()
    for rtype in ("NULL", "PRIVATE", "ANY", "KEY"):
        reply = ask_udp("www.example.com", rtype, netns=netns)
        equal((reply.rcode_name, len(reply.answer)), ("NOERROR", 0), rtype)
    equal(ask_udp("www.example.com", "A", netns=netns).texts("A"), [WWW4])
    equal({row["reason"] for row in daemon.rows("type NOT IN ('A')")}, {"type"})


@case("a reply repeats the client's own spelling, and the record is in lower case")
def _():
    daemon, netns = attached()
    for how in (ask_udp, ask_udp, ask_tcp):
        for name in ("wWw.ExAmPlE.CoM", "WWW.example.com", "WwW.eXaMpLe.OrG"):
            equal(how(name, netns=netns).question[0][0], name)
    equal({row["name"] for row in daemon.rows()}, {"www.example.com", "www.example.org"})


@case("the second of two equal questions comes from the cache with a TTL that counts down")
def _():
    daemon, netns = attached()
    first = ask_udp("ttl600.example.com", netns=netns).answer[0].ttl

    def counted_down():
        return ask_udp("ttl600.example.com", netns=netns).answer[0].ttl < first
    wait_until(counted_down, "the TTL goes down", seconds=5)
    rows = daemon.rows("name = 'ttl600.example.com'")
    equal([row["cached"] for row in rows[:2]], [0, 1])


@case("a query that is not one of ours gets the error that RFCs name, or silence")
def _():
    _, netns = attached()
    ask = lambda packet: parse(exchange_udp(packet, netns=netns)).rcode_name
    name = "www.example.com"
    equal(ask(query(name, ident=1, flags=RD | 2 << 11)), "NOTIMP", "opcode STATUS")
    equal(ask(query(name, ident=2, flags=5 << 11)), "NOTIMP", "opcode UPDATE")
    equal(ask(query(name, ident=3, cls=3)), "REFUSED", "class CHAOS")
    two = bytearray(query(name, ident=4) + dns_message.encode_name(name) + b"\0\x01\0\x01")
    two[5] = 2
    equal(ask(bytes(two)), "FORMERR", "two questions")
    none = bytearray(query(name, ident=5)[:12])
    none[5] = 0
    equal(ask(bytes(none)), "FORMERR", "no question")
    equal(ask(query(name, ident=6)[:-3]), "FORMERR", "a question cut off")
    label = query(name, ident=7)[:12] + b"\x40" + b"a" * 64 + b"\0\0\x01\0\x01"
    equal(ask(label), "FORMERR", "a label of 64 octets")
    later = b"\0" + struct.pack("!HHIH", dns_message.TYPES["OPT"], 1232, 1 << 16, 0)
    equal(parse(exchange_udp(query(name, ident=9, edns=later), netns=netns)).opt.ttl >> 24, 1,
          "EDNS version 1: BADVERS")
    # A response is dropped; the question after it, with the same id, is answered: nothing came for the first.
    sock = in_namespace(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.connect(("127.0.0.1", 53))
    sock.settimeout(10)
    sock.send(query(name, ident=8, flags=RD | QR))
    sock.send(query("example.net", ident=8))
    reply = parse(sock.recv(65535))
    equal((reply.question[0][0], bool(reply.flags & QR), bool(reply.flags & RA)), ("example.net", True, True))
    sock.settimeout(0.2)
    try:
        equal(sock.recv(65535), b"", "an answer to a response")
    except TimeoutError:
        pass


@case("replies come from the address that was asked, over IPv4 and IPv6")
def _():
    _, netns = attached()
    for server in ("127.0.0.1", "::1", "127.0.0.77"):  # a connected socket takes replies from nowhere else
        equal(ask_udp("www.example.com", server=server, netns=netns).texts("A"), [WWW4], server)
    equal(ask_tcp("www.example.com", server="::1", netns=netns).texts("A"), [WWW4])


@case("many questions in one TCP segment are all answered, in whatever order")
def _():
    _, netns = attached()
    names = ["www.example.com", "www.example.org", "files.example.org", "example.net",
             "nothing.example.com"] * 10
    with TcpConnection(netns=netns) as connection:
        stream = b""
        for ident, name in enumerate(names):
            packet = query(name, ident=ident, edns=True)
            stream += struct.pack("!H", len(packet)) + packet
        connection.sock.sendall(stream)
        replies = {reply.id: reply for reply in (parse(connection.receive()) for _ in names)}
    equal(sorted(replies), list(range(len(names))))
    for ident, name in enumerate(names):
        equal(replies[ident].question[0][0], name)


@case("names for this host alone are answered here and never forwarded")
def _():
    daemon, netns = attached()
    equal(ask_udp("localhost", netns=netns).texts("A"), ["127.0.0.1"])
    for name in ("single", "printer.local", "1.0.0.10.in-addr.arpa", "x.onion", "host.test", "x.invalid",
                 "use-application-dns.net"):
        rcode = ask_udp(name, "PTR" if name.endswith("arpa") else "A", netns=netns).rcode_name
        holds(rcode in ("NXDOMAIN", "NOERROR"), f"{name}: {rcode}")
    rows = daemon.rows()
    equal({row["action"] for row in rows}, {"local"}, rows)
    equal({row["upstream_us"] for row in rows} - {None, -1}, set(), "nothing went upstream")
