# A receiver of webhooks over HTTP or HTTPS that does as it is told, and a certificate authority for it.
import http.server
import os
import re
import ssl
import threading

from private_host import sh, temp_folder, write

SECRET = "whsec_" + "cG9zdGVybi10ZXN0LXNlY3JldC1vZi0yNC1vY3RldHM="
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def secret_file():
    path = write(os.path.join(temp_folder(), "secret"), SECRET + "\n")
    os.chmod(path, 0o600)
    return path


def documented_verify():
    """The function that docs/OPERATING.md gives to receivers."""
    with open(os.path.join(ROOT, "docs", "OPERATING.md")) as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    scope = {}
    exec(next(block for block in blocks if "def verify" in block), scope)
    return scope["verify"]


class Authority:
    """A certificate authority of this test's own, and certificates by it."""

    def __init__(self, name="authority"):
        self.name = name
        self.key, self.file = self._path("key"), self._path("pem")
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
           "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.file)

    def _path(self, end):
        return os.path.join(temp_folder(), f"{self.name}.{end}")

    def certificate(self, who):
        """(certificate, key) for `who`, as in subjectAltName: DNS:name or IP:address."""
        name = re.sub(r"\W", "-", who)
        key, request, done = (self._path(f"{name}.{end}") for end in ("key", "csr", "crt"))
        sh("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
           "/CN=x", "-keyout", key, "-out", request)
        names = write(self._path(f"{name}.ext"), f"subjectAltName={who}\n")
        sh("openssl", "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-days", "2",
           "-extfile", names, "-out", done)
        return done, key


class Receiver:
    """Listens on 127.0.0.1. `mood`: "ok", a status, "hang" (never answers), or "redirect"."""

    def __init__(self, port, certificate=None, mood="ok"):
        self.port, self.certificate, self.mood = port, certificate, mood
        self.posts = []  # (headers, body) of each, whatever was answered
        self.elsewhere = []  # paths asked for other than by POST to /alerts
        self.failed_handshakes = 0
        self.server = None

    def start(self):
        receiver, released = self, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path != "/alerts":
                    receiver.elsewhere.append(self.path)
                receiver.posts.append((dict((k.lower(), v) for k, v in self.headers.items()), body))
                if receiver.mood == "hang":
                    released.wait(60)
                    return
                if receiver.mood == "redirect":
                    self.send_response(307)
                    self.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                else:
                    self.send_response(200 if receiver.mood == "ok" else receiver.mood)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                receiver.failed_handshakes += 1

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.released = released
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.server = None

    def ids(self):
        return [headers["webhook-id"] for headers, _ in self.posts]
