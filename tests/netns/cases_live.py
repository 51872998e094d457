# Live tunnels: at most 256 octets arrive in a zone, whatever carries them, and what runs beside is answered.
from cases import case, holds
from live import (DNS2TCP_TYPES, Carrier, OwnProgram, check, check_dns2tcp_works, measure,
                  own_programs, real_tunnels)


@case("programs of our own carry at most 256 octets out, by any type and spelling, fast and slow", seconds=180)
def _():
    results = measure(own_programs(seconds=24), seconds=25)
    check(results)
    open_and_fast = [r for r in results if r[0].policy == "open" and r[0].pause == 0]
    holds(all(arrived > 0 and asked > 100 for _, asked, arrived in open_and_fast), "the programs do carry data")
    slow = [r for r in results if isinstance(r[0], OwnProgram) and r[0].pause]
    holds(all(asked >= 9 for _, asked, _ in slow), "the slow ones ask on")


@case("iodine and dns2tcp carry at most 256 octets out, in every record type, under both policies", seconds=180)
def _():
    results = measure(real_tunnels(), seconds=14)
    check(results)
    holds(any(arrived > 0 for _, _, arrived in results), "something of a tunnel got through")


@case("dns2tcp without Postern carries data, in TXT and in KEY records", seconds=90)
def _():
    carrier = Carrier()
    for rtype in DNS2TCP_TYPES:
        check_dns2tcp_works(carrier, rtype)
