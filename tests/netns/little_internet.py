# A little internet: NSD with a root of its own, Unbound recursing over it, iodined behind a delegation.
#
# Everything lives in the private host's network namespace (private_host.py) on addresses of its loopback interface:
#   192.0.2.53  NSD, authoritative for the root, the top-level domains and every zone below
#   192.0.2.54  iodined, t.tunnel.example (a name to reach it is delegated by NSD)
#   127.0.0.1 and 192.0.2.1  Unbound, what Postern forwards to
#   93.184.215.14, 2606:2800:21f::1  www.example.com, for programs that want to connect to what they resolved
import os
import subprocess

from dns_client import ask_udp
from private_host import Skip, sh, temp_folder, wait_until, write

UPSTREAM = "192.0.2.1"
AUTHORITATIVE = "192.0.2.53"
TUNNEL_SERVER = "192.0.2.54"
TUNNEL_ZONE = "t.tunnel.example"
TUNNEL_PASSWORD = "little-secret"
TUNNEL_INSIDE = "10.99.0.1"   # iodined's end
WWW4, WWW6 = "93.184.215.14", "2606:2800:21f::1"

_SOA = ("@ 3600 IN SOA ns.example. hostmaster.example.com. 1 3600 600 86400 60\n"
        "@ 3600 IN NS ns.example.\n")


def _chunks(size):
    """A TXT record of about `size` octets, in strings of 100."""
    return " ".join('"' + f"{i:04d}-".ljust(99, "x") + '"' for i in range(size // 100))


ZONES = {
    ".": "com. 3600 IN NS ns.example.\norg. 3600 IN NS ns.example.\nnet. 3600 IN NS ns.example.\n"
         "example. 3600 IN NS ns.example.\nns.example. 3600 IN A 192.0.2.53\n",
    "com": "example.com. 3600 IN NS ns.example.\nhealth.com. 3600 IN NS ns.example.\n",
    "org": "example.org. 3600 IN NS ns.example.\n",
    "net": "example.net. 3600 IN NS ns.example.\n",
    "example": "ns.example. 3600 IN A 192.0.2.53\nrebind.example. 3600 IN NS ns.example.\n"
               "blocked.example. 3600 IN NS ns.example.\nwild.example. 3600 IN NS ns.example.\n"
               "tunnel.example. 3600 IN NS ns.example.\n",
    "example.com": f"""@ 300 IN A {WWW4}
www 300 IN A {WWW4}
www 300 IN AAAA {WWW6}
v4only 300 IN A 93.184.215.15
v6only 300 IN AAAA 2606:2800:21f::2
alias 300 IN CNAME www
chain 300 IN CNAME chain2
chain2 300 IN CNAME chain3.example.org.
to-blocked 300 IN CNAME target.blocked.example.
@ 300 IN MX 10 mail
@ 300 IN MX 20 mail2
mail 300 IN A 93.184.215.25
mail2 300 IN A 93.184.215.26
@ 300 IN TXT "v=spf1 -all"
_imap._tcp 300 IN SRV 5 10 143 mail
www 300 IN HTTPS 1 . alpn="h2,http/1.1" ipv4hint={WWW4}
hint-private 300 IN HTTPS 1 . alpn="h2" ipv4hint=10.0.0.7
big2k 300 IN TXT {_chunks(2000)}
big6k 300 IN TXT {_chunks(6000)}
ttl1 1 IN A 93.184.215.41
ttl5 5 IN A 93.184.215.45
ttl600 600 IN A 93.184.215.46
ttlweek 604800 IN A 93.184.215.47
many 300 IN A 93.184.215.100
""" + "".join(f"many 300 IN A 93.184.215.{i}\n" for i in range(101, 200)),
    "health.com": "@ 300 IN A 93.184.215.14\n",
    "example.org": "@ 300 IN A 93.184.215.20\nwww 300 IN A 93.184.215.20\nfiles 300 IN A 93.184.215.21\n"
                   "chain3 300 IN A 93.184.215.77\nchain3 300 IN AAAA 2606:2800:21f::77\n",
    "example.net": "@ 300 IN A 93.184.215.30\nwww 300 IN A 93.184.215.30\ncdn 300 IN CNAME edge.cdn\n"
                   "edge.cdn 300 IN A 93.184.215.31\nd 300 IN DNAME example.org.\n",
    "rebind.example": "@ 300 IN A 10.0.0.1\nmetadata 300 IN A 169.254.169.254\nloop 300 IN A 127.0.0.1\n"
                      "zero 300 IN A 0.0.0.0\nlan 300 IN A 192.168.1.1\ncgnat 300 IN A 100.64.0.1\n"
                      "not-cgnat 300 IN A 100.128.0.1\nula 300 IN AAAA fd00::1\nmapped 300 IN AAAA ::ffff:10.0.0.1\n"
                      "mixed 300 IN A 93.184.215.50\nmixed 300 IN A 10.0.0.1\nto-lan 300 IN CNAME lan\n",
    "blocked.example": "@ 300 IN A 93.184.215.66\ntarget 300 IN A 93.184.215.67\n*.any 300 IN A 93.184.215.68\n",
    "wild.example": "@ 300 IN A 93.184.215.80\n* 300 IN A 93.184.215.81\n* 300 IN AAAA 2606:2800:21f::81\n",
    "tunnel.example": f"t 300 IN NS ns.t-server\nns.t-server 300 IN A {TUNNEL_SERVER}\nwww 300 IN A 93.184.215.90\n",
}


class LittleInternet:
    """Starts on construction and is ready when that returns; `stop` ends its daemons (the private host would, too)."""

    def __init__(self, tunnel=False):
        self.folder = os.path.join(temp_folder(), "internet")
        os.makedirs(self.folder, exist_ok=True)
        self.daemons = {}
        for address in (f"{UPSTREAM}/32", f"{AUTHORITATIVE}/32", f"{TUNNEL_SERVER}/32", f"{WWW4}/32"):
            sh("ip", "addr", "add", address, "dev", "lo", check=False)
        sh("ip", "-6", "addr", "add", f"{WWW6}/128", "dev", "lo", "nodad", check=False)
        self.start_authoritative()
        self.start_recursive()
        if tunnel:
            self.start_tunnel_server()
        self._ready("nsd", AUTHORITATIVE, "www.example.com", "A")
        self._ready("unbound", UPSTREAM, "www.example.com", "A")
        if tunnel:
            # iodined answers NS for its own zone; through Unbound, so that the delegation is seen to work as well.
            self._ready("iodined", UPSTREAM, TUNNEL_ZONE, "NS")

    def start_authoritative(self):
        zones = ""
        for zone, text in ZONES.items():
            path = os.path.join(self.folder, f"{zone.rstrip('.') or 'root'}.zone")
            write(path, f"$ORIGIN {zone.rstrip('.')}.\n" + _SOA + text)
            zones += f"zone:\n  name: \"{zone}\"\n  zonefile: \"{path}\"\n"
        config = write(os.path.join(self.folder, "nsd.conf"), f"""server:
  ip-address: {AUTHORITATIVE}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{self.folder}"
  pidfile: "{self.folder}/nsd.pid"
  database: ""
  xfrdfile: "{self.folder}/xfrd.state"
  zonelistfile: "{self.folder}/zone.list"
  xfrdir: "{self.folder}"
  logfile: "{self.folder}/nsd.log"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
{zones}""")
        self._start("nsd", ["nsd", "-d", "-c", config])

    def start_recursive(self):
        hints = write(os.path.join(self.folder, "hints"),
                      f". 3600 NS ns.example.\nns.example. 3600 A {AUTHORITATIVE}\n")
        config = write(os.path.join(self.folder, "unbound.conf"), f"""server:
  interface: 127.0.0.1
  interface: {UPSTREAM}
  port: 53
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: "{self.folder}/unbound.pid"
  use-syslog: no
  logfile: "{self.folder}/unbound.log"
  verbosity: 1
  log-servfail: yes
  root-hints: "{hints}"
  module-config: "iterator"      # no trust anchors: our root is unsigned
  access-control: 0.0.0.0/0 allow
  do-not-query-localhost: no
  do-ip6: no
  num-threads: 1
  outgoing-range: 512
  num-queries-per-thread: 1024
  so-rcvbuf: 0
  # iodined answers Unbound's probing A queries with aliases, which would end the tunnel before Postern has to:
  qname-minimisation: no
  edns-buffer-size: 1232
  max-udp-size: 1232
  local-zone: "64.100.in-addr.arpa." nodefault
remote-control:
  control-enable: no
""")
        self._start("unbound", ["unbound", "-d", "-p", "-c", config])

    def start_tunnel_server(self):
        if not os.path.exists("/dev/net/tun"):
            raise Skip("/dev/net/tun is missing: no iodine here")
        # -c: the tunnel comes from whatever address and port Unbound uses.
        self._start("iodined", ["iodined", "-f", "-c", "-l", TUNNEL_SERVER, "-P", TUNNEL_PASSWORD,
                                f"{TUNNEL_INSIDE}/24", TUNNEL_ZONE])

    def restart(self, name):
        {"nsd": self.start_authoritative, "unbound": self.start_recursive,
         "iodined": self.start_tunnel_server}[name]()
        server = {"nsd": AUTHORITATIVE, "unbound": UPSTREAM, "iodined": UPSTREAM}[name]
        self._ready(name, server, *((TUNNEL_ZONE, "NS") if name == "iodined" else ("www.example.com", "A")))

    def kill(self, name):
        process = self.daemons.pop(name)
        process.kill()
        process.wait()

    def stop(self):
        for name in list(self.daemons):
            self.kill(name)

    def log(self, name):
        """What the daemon said, for the report of a failure."""
        texts = []
        for path in (f"{self.folder}/{name}.out", f"{self.folder}/{name}.log"):
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    texts.append(file.read())
        return "\n".join(texts)

    def _start(self, name, argv):
        try:
            with open(os.path.join(self.folder, f"{name}.out"), "ab") as out:
                self.daemons[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        except FileNotFoundError:
            raise Skip(f"{argv[0]} is not installed") from None

    def _ready(self, name, server, question, rtype):
        def answers():
            if name in self.daemons and self.daemons[name].poll() is not None:
                raise RuntimeError(f"{name} ended at its start: {self.log(name)}")
            try:
                return ask_udp(question, rtype, server=server, timeout=0.3).rcode == 0
            except OSError:
                return False

        try:
            wait_until(answers, f"an answer from {name}", seconds=20)
        except AssertionError as error:
            raise RuntimeError(f"{error}: {self.log(name)}") from None
