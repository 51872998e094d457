# Python's resolver (the C library's): prints the addresses of argv[1], one a line; exits 1 on failure.
# With `4` or `6` in argv[2], that family alone, and only if the host has it (AI_ADDRCONFIG).
import socket
import sys

try:
    only = {"4": socket.AF_INET, "6": socket.AF_INET6}.get("".join(sys.argv[2:]))
    how = {"family": only, "flags": socket.AI_ADDRCONFIG} if only else {}
    found = {entry[4][0] for entry in socket.getaddrinfo(sys.argv[1], None, **how)}
except socket.gaierror as failure:
    print(failure, file=sys.stderr)
    sys.exit(1)
print("\n".join(sorted(found)))
