// The journal's migrations: the SQL of tables and views, as an append-only list.
#include <array>

#include "resolver/journal/migration_catalogue.h"
#include "resolver/journal/migration_seals.h"
#include "resolver/journal/migration_totals.h"
#include "resolver/journal/schema.h"

namespace postern {
namespace {

// Version 1. Times are integer microseconds; 0 stands for "not yet" and -1 for "unknown" or "none", so that
// every column is NOT NULL; the views turn both into NULL or a word.
//
// Foreign keys are declared for people and tools; the writer leaves them off, since enforcing them costs a
// search per row for what it guarantees anyway (docs/decisions/0002-journal-v1.md). `alert.asked` is none,
// because alerts outlive queries.
constexpr const char* first_schema = R"sql(
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- One row each time a writer opened this file. first_asked is the first id it could draw, so that the boot of
-- a query is found by its id and costs no column there.
CREATE TABLE boot (
  id INTEGER PRIMARY KEY,
  boot_id TEXT NOT NULL,               -- the kernel's; '' when it could not be read
  started_us INTEGER NOT NULL,
  started_monotonic_us INTEGER NOT NULL,
  first_asked INTEGER NOT NULL,
  version TEXT NOT NULL,
  ended_us INTEGER NOT NULL            -- 0: still open, or killed
) STRICT;
CREATE UNIQUE INDEX boot_by_first_asked ON boot (first_asked);

CREATE TABLE sandbox (
  id INTEGER PRIMARY KEY,
  boot INTEGER NOT NULL REFERENCES boot (id),
  name TEXT NOT NULL,
  session TEXT NOT NULL,
  user TEXT NOT NULL,
  code_sha256 TEXT NOT NULL,
  labels TEXT NOT NULL,                -- JSON object of strings
  policy TEXT NOT NULL,
  record_protected INTEGER NOT NULL,
  attached_us INTEGER NOT NULL,
  detached_us INTEGER NOT NULL         -- 0: not detached
) STRICT;

CREATE TABLE rule (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE INDEX rule_by_text ON rule (text);
INSERT INTO rule (id, text) VALUES (0, '');

CREATE TABLE action (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE reason (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;

CREATE TABLE asked (
  id INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  monotonic_us INTEGER NOT NULL,       -- CLOCK_BOOTTIME
  sandbox INTEGER NOT NULL REFERENCES sandbox (id),
  name TEXT NOT NULL,                  -- presentation form, lower case, no final dot
  registered_at INTEGER NOT NULL,      -- for substr(name, registered_at)
  type INTEGER NOT NULL,
  action INTEGER NOT NULL REFERENCES action (id),
  reason INTEGER NOT NULL REFERENCES reason (id),
  rule INTEGER NOT NULL REFERENCES rule (id),
  rcode INTEGER NOT NULL,              -- -1: not known when it was asked
  ede INTEGER NOT NULL,                -- -1: none
  flags INTEGER NOT NULL,              -- 1: from the cache, 2: over TCP
  score_milli INTEGER NOT NULL,        -- thousandths
  charge_millibits INTEGER NOT NULL
) STRICT;

-- What became of a query that was forwarded; at most one.
CREATE TABLE outcome (
  asked INTEGER PRIMARY KEY REFERENCES asked (id),
  time_us INTEGER NOT NULL,
  action INTEGER NOT NULL REFERENCES action (id),  -- 0: asked's verdict stands; else this one replaces it
  reason INTEGER NOT NULL REFERENCES reason (id),
  rule INTEGER NOT NULL REFERENCES rule (id),
  rcode INTEGER NOT NULL,
  ede INTEGER NOT NULL,
  upstream_us INTEGER NOT NULL,        -- -1: unknown
  answers INTEGER NOT NULL,
  data TEXT NOT NULL
) STRICT;

CREATE TABLE alert (
  id INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  sandbox INTEGER NOT NULL REFERENCES sandbox (id),
  kind TEXT NOT NULL,
  zone TEXT NOT NULL,
  score REAL NOT NULL,
  action TEXT NOT NULL,
  evidence TEXT NOT NULL,              -- JSON object
  asked INTEGER NOT NULL               -- the query that tipped it; 0: none
) STRICT;

-- IANA "Domain Name System (DNS) Parameters": Resource Record TYPEs, and RCODEs.
CREATE TABLE rr_type (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO rr_type (id, name) VALUES
  (1,'A'),(2,'NS'),(3,'MD'),(4,'MF'),(5,'CNAME'),(6,'SOA'),(7,'MB'),(8,'MG'),(9,'MR'),(10,'NULL'),
  (11,'WKS'),(12,'PTR'),(13,'HINFO'),(14,'MINFO'),(15,'MX'),(16,'TXT'),(17,'RP'),(18,'AFSDB'),(19,'X25'),
  (20,'ISDN'),(21,'RT'),(22,'NSAP'),(23,'NSAP-PTR'),(24,'SIG'),(25,'KEY'),(26,'PX'),(27,'GPOS'),(28,'AAAA'),
  (29,'LOC'),(30,'NXT'),(31,'EID'),(32,'NIMLOC'),(33,'SRV'),(34,'ATMA'),(35,'NAPTR'),(36,'KX'),(37,'CERT'),
  (38,'A6'),(39,'DNAME'),(40,'SINK'),(41,'OPT'),(42,'APL'),(43,'DS'),(44,'SSHFP'),(45,'IPSECKEY'),
  (46,'RRSIG'),(47,'NSEC'),(48,'DNSKEY'),(49,'DHCID'),(50,'NSEC3'),(51,'NSEC3PARAM'),(52,'TLSA'),
  (53,'SMIMEA'),(55,'HIP'),(56,'NINFO'),(57,'RKEY'),(58,'TALINK'),(59,'CDS'),(60,'CDNSKEY'),
  (61,'OPENPGPKEY'),(62,'CSYNC'),(63,'ZONEMD'),(64,'SVCB'),(65,'HTTPS'),(66,'DSYNC'),(99,'SPF'),
  (100,'UINFO'),(101,'UID'),(102,'GID'),(103,'UNSPEC'),(104,'NID'),(105,'L32'),(106,'L64'),(107,'LP'),
  (108,'EUI48'),(109,'EUI64'),(128,'NXNAME'),(249,'TKEY'),(250,'TSIG'),(251,'IXFR'),(252,'AXFR'),
  (253,'MAILB'),(254,'MAILA'),(255,'ANY'),(256,'URI'),(257,'CAA'),(258,'AVC'),(259,'DOA'),(260,'AMTRELAY'),
  (261,'RESINFO'),(262,'WALLET'),(263,'CLA'),(264,'IPN'),(32768,'TA'),(32769,'DLV');
CREATE TABLE rcode (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO rcode (id, name) VALUES
  (-1,'unknown'),(0,'NOERROR'),(1,'FORMERR'),(2,'SERVFAIL'),(3,'NXDOMAIN'),(4,'NOTIMP'),(5,'REFUSED'),
  (6,'YXDOMAIN'),(7,'YXRRSET'),(8,'NXRRSET'),(9,'NOTAUTH'),(10,'NOTZONE');

-- LEFT JOINs throughout: a row of evidence shows even when what it refers to is gone.
CREATE VIEW queries AS
SELECT
  a.id AS id,
  strftime('%Y-%m-%dT%H:%M:%S', a.time_us / 1000000, 'unixepoch')
    || printf('.%06dZ', a.time_us % 1000000) AS time,
  a.time_us AS time_us,
  s.name AS sandbox,
  s.session AS session,
  s.user AS user,
  s.code_sha256 AS code_sha256,
  a.name AS name,
  substr(a.name, a.registered_at) AS registered_domain,
  coalesce(t.name, 'TYPE' || a.type) AS type,
  coalesce(ac.name, 'action ' || a.action) AS action,
  coalesce(re.name, 'reason ' || a.reason) AS reason,
  coalesce(ru.text, '') AS rule,
  coalesce(rc.name, 'RCODE' || coalesce(o.rcode, a.rcode)) AS rcode,
  nullif(coalesce(o.ede, a.ede), -1) AS ede,
  a.flags & 1 AS cached,
  nullif(o.upstream_us, -1) AS upstream_us,
  a.score_milli / 1000.0 AS score,
  a.charge_millibits / 1000.0 AS charge_bits,
  o.answers AS answers,
  coalesce(o.data, '') AS data,
  s.policy AS policy,
  CASE WHEN a.flags & 2 THEN 'tcp' ELSE 'udp' END AS transport,
  a.monotonic_us AS monotonic_us,
  (SELECT b.boot_id FROM boot AS b WHERE b.first_asked <= a.id ORDER BY b.first_asked DESC LIMIT 1) AS boot_id
FROM asked AS a
LEFT JOIN outcome AS o ON o.asked = a.id
LEFT JOIN sandbox AS s ON s.id = a.sandbox
LEFT JOIN rr_type AS t ON t.id = a.type
LEFT JOIN action AS ac ON ac.id = CASE WHEN o.action > 0 THEN o.action ELSE a.action END
LEFT JOIN reason AS re ON re.id = CASE WHEN o.action > 0 THEN o.reason ELSE a.reason END
LEFT JOIN rule AS ru ON ru.id = CASE WHEN o.action > 0 THEN o.rule ELSE a.rule END
LEFT JOIN rcode AS rc ON rc.id = coalesce(o.rcode, a.rcode);

CREATE VIEW alerts AS
SELECT
  l.id AS id,
  strftime('%Y-%m-%dT%H:%M:%S', l.time_us / 1000000, 'unixepoch')
    || printf('.%06dZ', l.time_us % 1000000) AS time,
  l.time_us AS time_us,
  s.name AS sandbox,
  s.session AS session,
  s.user AS user,
  s.code_sha256 AS code_sha256,
  l.kind AS kind,
  l.zone AS zone,
  l.score AS score,
  l.action AS action,
  l.evidence AS evidence,
  nullif(l.asked, 0) AS query_id,
  a.name AS query_name
FROM alert AS l
LEFT JOIN sandbox AS s ON s.id = l.sandbox
LEFT JOIN asked AS a ON a.id = l.asked;

CREATE VIEW sandboxes AS
SELECT
  s.id AS id,
  s.name AS sandbox,
  s.session AS session,
  s.user AS user,
  s.code_sha256 AS code_sha256,
  s.labels AS labels,
  s.policy AS policy,
  s.record_protected AS record_protected,
  CASE WHEN s.detached_us > 0 THEN 'detached'
       WHEN b.ended_us = 0 AND b.id = (SELECT max(id) FROM boot) THEN 'attached'
       ELSE 'lost' END AS state,
  strftime('%Y-%m-%dT%H:%M:%S', s.attached_us / 1000000, 'unixepoch')
    || printf('.%06dZ', s.attached_us % 1000000) AS attached,
  CASE WHEN s.detached_us > 0 THEN
    strftime('%Y-%m-%dT%H:%M:%S', s.detached_us / 1000000, 'unixepoch')
      || printf('.%06dZ', s.detached_us % 1000000)
  END AS detached,
  s.attached_us AS attached_us,
  nullif(s.detached_us, 0) AS detached_us
FROM sandbox AS s
LEFT JOIN boot AS b ON b.id = s.boot;
)sql";

// Version 2. What the leak meter needs to survive: snapshots of its ledgers, grants, a way to find the rows
// that a session was charged for (few, since its budget bounds them), the octets of answers; and a flag for
// queries that Postern's own timer asked.
constexpr const char* leak_ledgers = R"sql(
CREATE TABLE leak_snapshot (
  user TEXT NOT NULL,
  session TEXT NOT NULL,               -- '': the user's own ledger
  upto INTEGER NOT NULL,               -- the last row of asked that is in it
  grants_upto INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  octets BLOB NOT NULL,
  PRIMARY KEY (user, session)
) STRICT;
CREATE TABLE leak_grant (
  id INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  user TEXT NOT NULL,
  session TEXT NOT NULL,
  zone TEXT NOT NULL,                  -- '': the session's ledger
  octets INTEGER NOT NULL
) STRICT;
CREATE INDEX leak_grant_by_session ON leak_grant (session, user);
CREATE INDEX sandbox_by_session ON sandbox (session, user);
CREATE INDEX sandbox_by_user ON sandbox (user);
CREATE INDEX asked_charged ON asked (sandbox, id) WHERE charge_millibits > 0 OR flags & 4 <> 0;
ALTER TABLE outcome ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;

CREATE VIEW grants AS
SELECT
  g.id AS id,
  strftime('%Y-%m-%dT%H:%M:%S', g.time_us / 1000000, 'unixepoch')
    || printf('.%06dZ', g.time_us % 1000000) AS time,
  g.time_us AS time_us,
  g.user AS user,
  g.session AS session,
  g.zone AS zone,
  g.octets AS octets
FROM leak_grant AS g;

DROP VIEW queries;
CREATE VIEW queries AS
SELECT
  a.id AS id,
  strftime('%Y-%m-%dT%H:%M:%S', a.time_us / 1000000, 'unixepoch')
    || printf('.%06dZ', a.time_us % 1000000) AS time,
  a.time_us AS time_us,
  s.name AS sandbox,
  s.session AS session,
  s.user AS user,
  s.code_sha256 AS code_sha256,
  a.name AS name,
  substr(a.name, a.registered_at) AS registered_domain,
  coalesce(t.name, 'TYPE' || a.type) AS type,
  coalesce(ac.name, 'action ' || a.action) AS action,
  coalesce(re.name, 'reason ' || a.reason) AS reason,
  coalesce(ru.text, '') AS rule,
  coalesce(rc.name, 'RCODE' || coalesce(o.rcode, a.rcode)) AS rcode,
  nullif(coalesce(o.ede, a.ede), -1) AS ede,
  a.flags & 1 AS cached,
  nullif(o.upstream_us, -1) AS upstream_us,
  a.score_milli / 1000.0 AS score,
  a.charge_millibits / 1000.0 AS charge_bits,
  o.answers AS answers,
  coalesce(o.data, '') AS data,
  s.policy AS policy,
  CASE WHEN a.flags & 2 THEN 'tcp' ELSE 'udp' END AS transport,
  a.monotonic_us AS monotonic_us,
  (SELECT b.boot_id FROM boot AS b WHERE b.first_asked <= a.id ORDER BY b.first_asked DESC LIMIT 1) AS boot_id,
  (a.flags & 4) / 4 AS refresh
FROM asked AS a
LEFT JOIN outcome AS o ON o.asked = a.id
LEFT JOIN sandbox AS s ON s.id = a.sandbox
LEFT JOIN rr_type AS t ON t.id = a.type
LEFT JOIN action AS ac ON ac.id = CASE WHEN o.action > 0 THEN o.action ELSE a.action END
LEFT JOIN reason AS re ON re.id = CASE WHEN o.action > 0 THEN o.reason ELSE a.reason END
LEFT JOIN rule AS ru ON ru.id = CASE WHEN o.action > 0 THEN o.rule ELSE a.rule END
LEFT JOIN rcode AS rc ON rc.id = coalesce(o.rcode, a.rcode);
)sql";

// Version 3. The outbox: what is to be told to whom about an alert, written with it; and what an alert says
// by itself, without its evidence being read.
constexpr const char* alert_outbox = R"sql(
ALTER TABLE alert ADD COLUMN uid TEXT NOT NULL DEFAULT '';       -- '': older than this column
ALTER TABLE alert ADD COLUMN severity TEXT NOT NULL DEFAULT '';  -- low, medium, high, critical
ALTER TABLE alert ADD COLUMN attack TEXT NOT NULL DEFAULT '';    -- MITRE ATT&CK ids, space separated
ALTER TABLE alert ADD COLUMN first_us INTEGER NOT NULL DEFAULT 0;  -- of what it is about; 0: unknown
ALTER TABLE alert ADD COLUMN last_us INTEGER NOT NULL DEFAULT 0;

CREATE TABLE alert_delivery (
  id INTEGER PRIMARY KEY,
  alert INTEGER NOT NULL REFERENCES alert (id),
  hook TEXT NOT NULL,                  -- "exec PROGRAM" or "webhook URL"
  body TEXT NOT NULL,                  -- what is sent, the same at each attempt; '' once it is over
  state INTEGER NOT NULL,              -- 0 pending, 1 delivered, 2 failed, 3 given up, 4 dropped
  attempts INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  next_us INTEGER NOT NULL,            -- not before; of pending ones
  ended_us INTEGER NOT NULL,           -- 0: pending
  status INTEGER NOT NULL,             -- exit status or HTTP status of the last attempt; -1: none
  error TEXT NOT NULL                  -- of the last attempt; '': none
) STRICT;
CREATE INDEX alert_delivery_pending ON alert_delivery (hook, next_us, id) WHERE state = 0;
CREATE INDEX alert_delivery_ended ON alert_delivery (ended_us) WHERE state <> 0;

CREATE VIEW alert_deliveries AS
SELECT
  d.id AS id,
  d.alert AS alert_id,
  l.uid AS alert_uid,
  s.name AS sandbox,
  s.session AS session,
  l.kind AS kind,
  d.hook AS hook,
  CASE d.state WHEN 0 THEN 'pending' WHEN 1 THEN 'delivered' WHEN 2 THEN 'failed' WHEN 3 THEN 'given up'
    WHEN 4 THEN 'dropped' ELSE 'state ' || d.state END AS state,
  d.attempts AS attempts,
  nullif(d.status, -1) AS status,
  d.error AS error,
  strftime('%Y-%m-%dT%H:%M:%S', d.created_us / 1000000, 'unixepoch')
    || printf('.%06dZ', d.created_us % 1000000) AS created,
  CASE WHEN d.state = 0 THEN strftime('%Y-%m-%dT%H:%M:%S', d.next_us / 1000000, 'unixepoch')
    || printf('.%06dZ', d.next_us % 1000000) END AS next_attempt,
  CASE WHEN d.state <> 0 THEN strftime('%Y-%m-%dT%H:%M:%S', d.ended_us / 1000000, 'unixepoch')
    || printf('.%06dZ', d.ended_us % 1000000) END AS ended
FROM alert_delivery AS d
LEFT JOIN alert AS l ON l.id = d.alert
LEFT JOIN sandbox AS s ON s.id = l.sandbox;

DROP VIEW alerts;
CREATE VIEW alerts AS
SELECT
  l.id AS id,
  strftime('%Y-%m-%dT%H:%M:%S', l.time_us / 1000000, 'unixepoch')
    || printf('.%06dZ', l.time_us % 1000000) AS time,
  l.time_us AS time_us,
  s.name AS sandbox,
  s.session AS session,
  s.user AS user,
  s.code_sha256 AS code_sha256,
  l.kind AS kind,
  l.zone AS zone,
  l.score AS score,
  l.action AS action,
  l.evidence AS evidence,
  nullif(l.asked, 0) AS query_id,
  a.name AS query_name,
  l.uid AS uid,
  l.severity AS severity,
  l.attack AS attack,
  nullif(l.first_us, 0) AS first_us,
  nullif(l.last_us, 0) AS last_us
FROM alert AS l
LEFT JOIN sandbox AS s ON s.id = l.sandbox
LEFT JOIN asked AS a ON a.id = l.asked;
)sql";

// Version 5. What the record does not have: queries that came while it could not be written.
constexpr const char* gaps = R"sql(
CREATE TABLE gap (
  id INTEGER PRIMARY KEY,
  from_us INTEGER NOT NULL,
  until_us INTEGER NOT NULL,
  refused INTEGER NOT NULL,            -- rows that did not reach the file
  answered INTEGER NOT NULL,           -- queries that were answered without a row (audit: relaxed)
  why TEXT NOT NULL
) STRICT;

CREATE VIEW gaps AS
SELECT
  g.id AS id,
  strftime('%Y-%m-%dT%H:%M:%S', g.from_us / 1000000, 'unixepoch')
    || printf('.%06dZ', g.from_us % 1000000) AS "from",
  strftime('%Y-%m-%dT%H:%M:%S', g.until_us / 1000000, 'unixepoch')
    || printf('.%06dZ', g.until_us % 1000000) AS until,
  g.refused AS refused,
  g.answered AS answered,
  g.why AS why,
  g.from_us AS from_us,
  g.until_us AS until_us
FROM gap AS g;
)sql";

// Append here; never change or remove what stands above.
const std::array<Migration, 7> all{{
    {"the first schema", first_schema},
    {"ledgers that survive", leak_ledgers},
    {"alerts' outbox", alert_outbox},
    {"a catalogue to search by", catalogue_schema},
    {"gaps of the record", gaps},
    {"seals", seals_migration},
    {"totals", totals_migration},
}};

}  // namespace

std::span<const Migration> migrations() {
  return all;
}

}  // namespace postern
