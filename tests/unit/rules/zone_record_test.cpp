// Zone records: presentation form to wire form, and what is wrong with a line.
#include "rules/zone_record.h"

#include "rules/explain.h"
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

// "owner ttl type data"
std::string read(std::string_view line) {
  const auto record = parse_zone_record(line, name("corp.example"));
  if (!record) return record.error().message;
  return record->owner.text() + " " + std::to_string(record->ttl) + " " + type_text(record->type) + " " +
         data_text(*record);
}

std::string error(std::string_view line) {
  const std::string told = read(line);
  const std::string head = "cannot read record " + std::string("\"");
  return told.starts_with(head) ? told.substr(told.find("\": ") + 3) : "read: " + told;
}

}  // namespace

TEST_CASE("records are read as zone files write them") {
  const struct {
    const char *line, *record;
  } rows[] = {
      {"@ A 10.20.0.1", "corp.example 5 A 10.20.0.1"},
      {"www 300 IN A 10.20.0.1", "www.corp.example 300 A 10.20.0.1"},
      {"WWW.Corp.Example. 0 a 10.20.0.1", "www.corp.example 0 A 10.20.0.1"},
      {"  www\tAAAA\tfd12::7  ; the rack in the cellar", "www.corp.example 5 AAAA fd12::7"},
      {"*.dev CNAME www", "*.dev.corp.example 5 CNAME www.corp.example"},
      {"a CNAME b.example.org.", "a.corp.example 5 CNAME b.example.org"},
      {"a\\.b A 10.0.0.1", "a\\.b.corp.example 5 A 10.0.0.1"},
      {"a\\\\. A 10.0.0.1", "is a name outside"},
      {"@ MX 10 mail", "corp.example 5 MX 10 mail.corp.example"},
      {"_ldap._tcp SRV 0 5 389 dc1", "_ldap._tcp.corp.example 5 SRV 0 5 389 dc1.corp.example"},
      {"@ NS ns1", "corp.example 5 NS ns1.corp.example"},
      {"7 PTR db", "7.corp.example 5 PTR db.corp.example"},
      {"@ TXT \"v=spf1 -all\"", "corp.example 5 TXT \"v=spf1 -all\""},
      {"@ TXT one \"two three\" \"\"", "corp.example 5 TXT \"one\" \"two three\" \"\""},
      {"@ TXT \"a;b\\\"c\\092d\\255\"", "corp.example 5 TXT \"a;b\\034c\\092d\\255\""},
      {"@ CAA 0 issue \"ca.example.net\"",
       "corp.example 5 CAA \\# 21 000569737375656361"
       "2e6578616d706c652e6e6574"},
      {"@ HTTPS 0 www", "corp.example 5 HTTPS \\# 20 00000377777704636f7270076578616d706c6500"},
      {"@ HTTPS 1 . port=8443 alpn=h2,h3",
       "corp.example 5 HTTPS \\# 19 00010000010006026832026833000300"
       "0220fb"},
      {"@ SVCB 1 . ipv6hint=fd12::7 ipv4hint=10.0.0.1,10.0.0.2",
       "corp.example 5 SVCB \\# 35 000100000400080a0000010a00000200060010fd12000000000000000000000000"
       "0007"},
  };
  for (const auto& row : rows) {
    if (std::string(row.record).find("outside") != std::string::npos) {
      CHECK(error(row.line).find("not in the zone") != std::string::npos);
      continue;
    }
    CHECK(read(row.line) == std::string(row.record));
  }
}

TEST_CASE("a record that cannot be read says why") {
  const struct {
    const char *line, *why;
  } rows[] = {
      {"", "a record is OWNER [TTL] TYPE DATA"},
      {"@ A", "a record is OWNER [TTL] TYPE DATA"},
      {"@ 300 A", "the address is missing"},
      {"@ 300 IN", "the type is missing"},
      {"www A 10.20.0.256", "not an IPv4 address: \"10.20.0.256\""},
      {"www A fd12::7", "not an IPv4 address: \"fd12::7\""},
      {"www AAAA 10.0.0.1", "not an IPv6 address: \"10.0.0.1\""},
      {"www A 10.0.0.1 10.0.0.2", "there is more than the data: \"10.0.0.2\""},
      {"www.example.org. A 10.0.0.1", "its owner is not in the zone \"corp.example\""},
      {"www 86401 A 10.0.0.1", "the TTL is 0 to 86400 seconds, here is \"86401\""},
      {"www 99999999999 A 10.0.0.1", "the TTL is 0 to 86400 seconds, here is \"99999999999\""},
      {"www CH A 10.0.0.1", "unknown type \"CH\""},
      {"www SOA a b 1 2 3 4 5",
       "type \"SOA\" is not served; A, AAAA, CNAME, MX, NS, PTR, SRV, TXT, CAA, SVCB and HTTPS are"},
      {"@ MX ten mail", "the preference is a number from 0 to 65535, here is \"ten\""},
      {"@ MX 65536 mail", "the preference is a number from 0 to 65535, here is \"65536\""},
      {"@ SRV 0 0 80", "the target is missing"},
      {"@ TXT \"open", "the closing quote is missing"},
      {"@ TXT ab\"c", "a quote stands inside a word"},
      {"@ TXT ab\\", "a backslash ends the line"},
      {"@ TXT \\256", "there is no octet \"\\\\256\""},
      {"@ TXT \\25", "an escape is \\DDD or \\X, here is \"\\\\25\""},
      {"@ MX ( 10 mail )", "a record is on one line; parentheses are not read here"},
      {"@ CAA 256 issue x", "the flags is a number from 0 to 255, here is \"256\""},
      {"@ CAA 0 is-sue x", "a CAA tag has 1 to 15 letters and digits, here is \"is-sue\""},
      {"@ HTTPS 1 . dohpath=x",
       "unknown parameter \"dohpath\"; known are mandatory, alpn, no-default-alpn, port, ipv4hint, ipv6hint "
       "and "
       "keyNNNNN"},
      {"@ HTTPS 1 . port=1 port=2", "parameter \"port\" is given twice"},
      {"@ HTTPS 1 . no-default-alpn", "the parameters do not go together (RFC 9460)"},
      {"@ HTTPS 1 . alpn=", "alpn lists protocols, here is \"\""},
      {"@ HTTPS 1 . ipv4hint=10.0.0.1,", "not an IPv4 address: \"\""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.line));
    CHECK(error(row.line) == std::string(row.why));
  }
  const std::string longest(255, 'x');
  CHECK(error("@ TXT " + longest).starts_with("read: "));
  CHECK(error("@ TXT " + longest + "y").find("the text has over 255 octets") == 0);
  CHECK(error(std::string(64, 'x') + " A 10.0.0.1").find("63") != std::string::npos);
  std::string many = "@ TXT";
  for (int i = 0; i < 17; ++i) many += " " + longest;
  CHECK(error(many) == "its data has over 4096 octets");
}
