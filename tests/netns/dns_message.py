# DNS messages for the tests: build and read them byte by byte, so that no library tidies up what is looked at.
import socket
import struct
from dataclasses import dataclass, field

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "KEY": 25,
         "AAAA": 28,
         "SRV": 33, "NAPTR": 35, "DNAME": 39, "OPT": 41, "DS": 43, "RRSIG": 46, "DNSKEY": 48, "SVCB": 64,
         "HTTPS": 65, "ANY": 255, "CAA": 257, "PRIVATE": 65399}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
EDE_OPTION = 15  # RFC 8914
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010


def type_number(text):
    if isinstance(text, int):
        return text
    return int(text[4:]) if text.startswith("TYPE") else TYPES[text]


def type_name(number):
    return TYPE_NAMES.get(number, f"TYPE{number}")


def encode_name(text):
    """Wire form; the case is kept. Labels must be plain ASCII without escapes."""
    wire = b""
    for label in text.rstrip(".").split("."):
        if label:
            raw = label.encode("latin-1")
            wire += bytes([len(raw)]) + raw
    return wire + b"\0"


def decode_name(packet, offset):
    """(text without final dot, offset after the name). Follows compression pointers, at most 64."""
    labels, after = [], None
    for _ in range(256):
        length = packet[offset]
        if length & 0xC0 == 0xC0:
            if after is None:
                after = offset + 2
            offset = (length & 0x3F) << 8 | packet[offset + 1]
            continue
        offset += 1
        if length == 0:
            return ".".join(labels), after if after is not None else offset
        labels.append(packet[offset:offset + length].decode("latin-1"))
        offset += length
    raise ValueError("name does not end")


@dataclass
class Record:
    owner: str
    type: int
    cls: int
    ttl: int
    rdata: bytes
    text: str = ""  # addresses and single-name targets in presentation form, else hex


@dataclass
class Message:
    id: int
    flags: int
    question: list = field(default_factory=list)  # (name, type, class)
    answer: list = field(default_factory=list)
    authority: list = field(default_factory=list)
    additional: list = field(default_factory=list)
    trailing: bytes = b""

    @property
    def rcode(self):
        return self.flags & 15

    @property
    def rcode_name(self):
        return RCODES.get(self.rcode, f"RCODE{self.rcode}")

    @property
    def opt(self):
        return next((r for r in self.additional if r.type == TYPES["OPT"]), None)

    def options(self):
        """EDNS options as (code, data)."""
        found, at = [], 0
        raw = self.opt.rdata if self.opt else b""
        while at + 4 <= len(raw):
            code, length = struct.unpack_from("!HH", raw, at)
            found.append((code, raw[at + 4:at + 4 + length]))
            at += 4 + length
        return found

    def ede(self):
        """The first extended error as (info code, text), or None."""
        for code, data in self.options():
            if code == EDE_OPTION:
                return struct.unpack_from("!H", data)[0], data[2:].decode("utf-8", "replace")
        return None

    def texts(self, rtype):
        return [r.text for r in self.answer if r.type == type_number(rtype)]


def _record_text(packet, rtype, offset, rdata):
    if rtype == TYPES["A"] and len(rdata) == 4:
        return socket.inet_ntop(socket.AF_INET, rdata)
    if rtype == TYPES["AAAA"] and len(rdata) == 16:
        return socket.inet_ntop(socket.AF_INET6, rdata)
    if rtype in (TYPES["CNAME"], TYPES["NS"], TYPES["PTR"], TYPES["DNAME"], TYPES["SOA"]):
        return decode_name(packet, offset)[0]
    if rtype == TYPES["MX"]:
        return decode_name(packet, offset + 2)[0]
    if rtype == TYPES["SRV"]:
        return decode_name(packet, offset + 6)[0]
    return rdata.hex()


def parse(packet):
    ident, flags, *counts = struct.unpack_from("!6H", packet)
    message, offset = Message(ident, flags), 12
    for _ in range(counts[0]):
        name, offset = decode_name(packet, offset)
        message.question.append((name, *struct.unpack_from("!HH", packet, offset)))
        offset += 4
    for count, section in zip(counts[1:], (message.answer, message.authority, message.additional)):
        for _ in range(count):
            owner, offset = decode_name(packet, offset)
            rtype, cls, ttl, length = struct.unpack_from("!HHIH", packet, offset)
            offset += 10
            rdata = packet[offset:offset + length]
            if len(rdata) != length:
                raise ValueError("record cut off")
            section.append(Record(owner, rtype, cls, ttl, rdata, _record_text(packet, rtype, offset, rdata)))
            offset += length
    message.trailing = packet[offset:]
    return message


def opt_record(size=1232, options=(), flags=0):
    """An OPT record; `options` are (code, data), `flags` the upper half of which DO is 0x8000."""
    rdata = b"".join(struct.pack("!HH", code, len(data)) + data for code, data in options)
    return b"\0" + struct.pack("!HHIH", TYPES["OPT"], size, flags, len(rdata)) + rdata


def query(name, rtype="A", ident=0x1234, flags=RD, edns=None, cls=1):
    """A query; `edns` is the OPT record's bytes, or True for a plain one."""
    if edns is True:
        edns = opt_record()
    header = struct.pack("!6H", ident, flags, 1, 0, 0, 1 if edns else 0)
    return header + encode_name(name) + struct.pack("!HH", type_number(rtype), cls) + (edns or b"")


def address_rdata(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def reply_to(packet, records=(), rcode=0, flags=QR | RD | RA, ident=None, question=None):
    """A reply to the raw query `packet` that repeats its question octet by octet; `records` are (type, ttl, rdata)."""
    end = decode_name(packet, 12)[1] + 4
    question = packet[12:end] if question is None else question
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", type_number(rtype), 1, ttl, len(rdata)) + rdata
                    for rtype, ttl, rdata in records)
    ident = struct.unpack_from("!H", packet)[0] if ident is None else ident
    return struct.pack("!6H", ident, flags | rcode, 1, len(records), 0, 0) + question + body
