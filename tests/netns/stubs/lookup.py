# Python's resolver (the C library's): prints the addresses of argv[1], one a line; exits 1 on failure.
import socket
import sys

try:
    found = {entry[4][0] for entry in socket.getaddrinfo(sys.argv[1], None)}
except socket.gaierror as failure:
    print(failure, file=sys.stderr)
    sys.exit(1)
print("\n".join(sorted(found)))
