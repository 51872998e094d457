// Version 4 of the journal's schema: names interned, the catalogue `listed`, roll-ups, views for analysts.
#include "resolver/journal/migration_catalogue.h"

namespace postern {

// `asked` stays the record: written before the answer, append-only, whole in itself. `listed` is its
// catalogue: written within a second afterwards (lister.h), so that a commit pays for one index only, which
// grows at its right edge. docs/decisions/0006-journal-v3.md has the measurements, and why the views are
// plain inner joins of these tables: only then do SQLite's planner and any tool find a way in from every
// column, also through joins and aggregates.
const char* const catalogue_schema = R"sql(
CREATE TABLE domain (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL,                  -- registered domain; '' for names without one
  first_asked INTEGER NOT NULL,        -- the query that showed it first; outlives it
  first_us INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX domain_by_text ON domain (text);
CREATE INDEX domain_by_first ON domain (first_us);
INSERT INTO domain (id, text, first_asked, first_us) VALUES (0, '', 0, 0);

CREATE TABLE name (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL,                  -- presentation form, lower case, no final dot
  reversed TEXT NOT NULL,              -- labels from the right, each with a dot after it: com.example.www.
  domain INTEGER NOT NULL REFERENCES domain (id),
  first_asked INTEGER NOT NULL,
  first_us INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX name_by_text ON name (text);
CREATE INDEX name_by_reversed ON name (reversed);
CREATE INDEX name_by_domain ON name (domain);

-- From now on `name` is '' and name_id says which, if the writer knew the number when it was asked. With bit
-- 8 of flags, monotonic_us is what the monotonic clock gained on the wall clock since the boot's row.
ALTER TABLE asked ADD COLUMN name_id INTEGER NOT NULL DEFAULT 0;
CREATE INDEX asked_by_time ON asked (time_us);
DROP INDEX asked_charged;
CREATE INDEX asked_charged ON asked (sandbox) WHERE charge_millibits > 0 OR flags & 4 <> 0;

-- One row per row of asked.
CREATE TABLE listed (
  sandbox INTEGER NOT NULL REFERENCES sandbox (id),
  asked INTEGER NOT NULL REFERENCES asked (id),
  name INTEGER NOT NULL REFERENCES name (id),
  PRIMARY KEY (sandbox, asked)
) STRICT, WITHOUT ROWID;
CREATE INDEX listed_by_name ON listed (name);

-- Roll-up: what a sandbox asked of a registered domain on a day (days since 1970, UTC).
CREATE TABLE tally (
  sandbox INTEGER NOT NULL REFERENCES sandbox (id),
  domain INTEGER NOT NULL REFERENCES domain (id),
  day INTEGER NOT NULL,
  queries INTEGER NOT NULL,
  cached INTEGER NOT NULL,
  blocked INTEGER NOT NULL,
  nxdomain INTEGER NOT NULL,
  charge_millibits INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  PRIMARY KEY (sandbox, domain, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_by_domain ON tally (domain);
CREATE INDEX tally_by_day ON tally (day);

-- Which names were answered with an address or a target.
CREATE TABLE resolved (
  value TEXT NOT NULL,
  name INTEGER NOT NULL REFERENCES name (id),
  first_asked INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  PRIMARY KEY (value, name)
) STRICT, WITHOUT ROWID;

-- Room for what is not written yet: the process that asked, the line of code it reports, connections made.
CREATE TABLE process (
  id INTEGER PRIMARY KEY,
  executable TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  command TEXT NOT NULL
) STRICT;
CREATE TABLE line (
  asked INTEGER PRIMARY KEY REFERENCES asked (id),
  process INTEGER NOT NULL REFERENCES process (id),
  pid INTEGER NOT NULL,
  certainty TEXT NOT NULL,             -- exact, ambiguous, gone
  file TEXT NOT NULL,
  line INTEGER NOT NULL,               -- 0: unknown
  function TEXT NOT NULL
) STRICT;
CREATE TABLE connection (
  id INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  sandbox INTEGER NOT NULL REFERENCES sandbox (id),
  process INTEGER NOT NULL REFERENCES process (id),
  protocol INTEGER NOT NULL,           -- 6: TCP, 17: UDP
  address TEXT NOT NULL,
  port INTEGER NOT NULL,
  allowed INTEGER NOT NULL,
  asked INTEGER NOT NULL               -- the query that told the address; 0: none
) STRICT;
CREATE INDEX connection_by_address ON connection (address);
INSERT INTO process (id, executable, sha256, command) VALUES (0, '', '', '');

CREATE INDEX sandbox_by_name ON sandbox (name);
CREATE INDEX sandbox_by_code ON sandbox (code_sha256);
CREATE INDEX alert_by_time ON alert (time_us);
CREATE INDEX alert_by_sandbox ON alert (sandbox);

-- Up to which id everything is listed that ever will be; what is above is looked through at the next start.
INSERT INTO meta (key, value) VALUES ('listed_upto', '0');

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
  n.text AS name,
  n.reversed AS name_reversed,
  d.text AS registered_domain,
  d.id > 0 AND a.time_us - d.first_us BETWEEN 0 AND 86400000000 AS newly_observed_domain,
  coalesce((SELECT t.name FROM rr_type AS t WHERE t.id = a.type), 'TYPE' || a.type) AS type,
  coalesce((SELECT c.name FROM action AS c WHERE c.id = CASE WHEN o.action > 0 THEN o.action ELSE a.action END),
           'action ' || a.action) AS action,
  coalesce((SELECT e.name FROM reason AS e WHERE e.id = CASE WHEN o.action > 0 THEN o.reason ELSE a.reason END),
           'reason ' || a.reason) AS reason,
  coalesce((SELECT r.text FROM rule AS r WHERE r.id = CASE WHEN o.action > 0 THEN o.rule ELSE a.rule END),
           '') AS rule,
  coalesce((SELECT k.name FROM rcode AS k WHERE k.id = coalesce(o.rcode, a.rcode)),
           'RCODE' || coalesce(o.rcode, a.rcode)) AS rcode,
  nullif(coalesce(o.ede, a.ede), -1) AS ede,
  a.flags & 1 AS cached,
  nullif(o.upstream_us, -1) AS upstream_us,
  a.score_milli / 1000.0 AS score,
  a.charge_millibits / 1000.0 AS charge_bits,
  o.answers AS answers,
  coalesce(o.data, '') AS data,
  s.policy AS policy,
  CASE WHEN a.flags & 2 THEN 'tcp' ELSE 'udp' END AS transport,
  CASE WHEN a.flags & 8 THEN
    (SELECT a.time_us - b.started_us + b.started_monotonic_us + a.monotonic_us FROM boot AS b
     WHERE b.first_asked <= a.id ORDER BY b.first_asked DESC LIMIT 1)
  ELSE a.monotonic_us END AS monotonic_us,
  (SELECT b.boot_id FROM boot AS b WHERE b.first_asked <= a.id ORDER BY b.first_asked DESC LIMIT 1) AS boot_id,
  (a.flags & 4) / 4 AS refresh,
  (SELECT p.executable FROM line AS l JOIN process AS p ON p.id = l.process WHERE l.asked = a.id) AS process,
  (SELECT l.file || ':' || l.line FROM line AS l WHERE l.asked = a.id) AS code_line
FROM listed AS x
JOIN asked AS a ON a.id = x.asked AND a.sandbox = x.sandbox
JOIN name AS n ON n.id = x.name
JOIN domain AS d ON d.id = n.domain
JOIN sandbox AS s ON s.id = x.sandbox
LEFT JOIN outcome AS o ON o.asked = a.id;

-- The record itself, the moment it is committed; quick by id and time only.
CREATE VIEW on_record AS
SELECT
  a.id AS id,
  strftime('%Y-%m-%dT%H:%M:%S', a.time_us / 1000000, 'unixepoch')
    || printf('.%06dZ', a.time_us % 1000000) AS time,
  a.time_us AS time_us,
  s.name AS sandbox,
  s.session AS session,
  s.user AS user,
  s.code_sha256 AS code_sha256,
  coalesce(n.text, a.name) AS name,
  coalesce(n.reversed, '') AS name_reversed,
  coalesce(d.text, substr(a.name, a.registered_at)) AS registered_domain,
  coalesce(d.id > 0 AND a.time_us - d.first_us BETWEEN 0 AND 86400000000, 0) AS newly_observed_domain,
  coalesce((SELECT t.name FROM rr_type AS t WHERE t.id = a.type), 'TYPE' || a.type) AS type,
  coalesce((SELECT c.name FROM action AS c WHERE c.id = CASE WHEN o.action > 0 THEN o.action ELSE a.action END),
           'action ' || a.action) AS action,
  coalesce((SELECT e.name FROM reason AS e WHERE e.id = CASE WHEN o.action > 0 THEN o.reason ELSE a.reason END),
           'reason ' || a.reason) AS reason,
  coalesce((SELECT r.text FROM rule AS r WHERE r.id = CASE WHEN o.action > 0 THEN o.rule ELSE a.rule END),
           '') AS rule,
  coalesce((SELECT k.name FROM rcode AS k WHERE k.id = coalesce(o.rcode, a.rcode)),
           'RCODE' || coalesce(o.rcode, a.rcode)) AS rcode,
  nullif(coalesce(o.ede, a.ede), -1) AS ede,
  a.flags & 1 AS cached,
  nullif(o.upstream_us, -1) AS upstream_us,
  a.score_milli / 1000.0 AS score,
  a.charge_millibits / 1000.0 AS charge_bits,
  o.answers AS answers,
  coalesce(o.data, '') AS data,
  s.policy AS policy,
  CASE WHEN a.flags & 2 THEN 'tcp' ELSE 'udp' END AS transport,
  CASE WHEN a.flags & 8 THEN
    (SELECT a.time_us - b.started_us + b.started_monotonic_us + a.monotonic_us FROM boot AS b
     WHERE b.first_asked <= a.id ORDER BY b.first_asked DESC LIMIT 1)
  ELSE a.monotonic_us END AS monotonic_us,
  (SELECT b.boot_id FROM boot AS b WHERE b.first_asked <= a.id ORDER BY b.first_asked DESC LIMIT 1) AS boot_id,
  (a.flags & 4) / 4 AS refresh,
  (SELECT p.executable FROM line AS l JOIN process AS p ON p.id = l.process WHERE l.asked = a.id) AS process,
  (SELECT l.file || ':' || l.line FROM line AS l WHERE l.asked = a.id) AS code_line
FROM asked AS a
LEFT JOIN name AS n ON n.id = a.name_id
LEFT JOIN domain AS d ON d.id = n.domain
LEFT JOIN sandbox AS s ON s.id = a.sandbox
LEFT JOIN outcome AS o ON o.asked = a.id;

-- What is on record and not in the catalogue yet: the last second, or what a killed writer left behind.
CREATE VIEW unlisted AS
SELECT r.* FROM on_record AS r
WHERE r.id > (SELECT CAST(m.value AS INTEGER) FROM meta AS m WHERE m.key = 'listed_upto')
  AND NOT EXISTS (SELECT 1 FROM asked AS a JOIN listed AS x ON x.sandbox = a.sandbox AND x.asked = a.id
                  WHERE a.id = r.id);

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
  (SELECT coalesce((SELECT n.text FROM name AS n WHERE n.id = a.name_id AND a.name = ''), a.name)
   FROM asked AS a WHERE a.id = l.asked) AS query_name,
  l.uid AS uid,
  l.severity AS severity,
  l.attack AS attack,
  nullif(l.first_us, 0) AS first_us,
  nullif(l.last_us, 0) AS last_us
FROM alert AS l
LEFT JOIN sandbox AS s ON s.id = l.sandbox;

CREATE VIEW sessions AS
SELECT
  s.session AS session,
  s.user AS user,
  count(*) AS sandboxes,
  count(DISTINCT s.code_sha256) AS codes,
  min(s.record_protected) AS record_protected,
  strftime('%Y-%m-%dT%H:%M:%S', min(s.attached_us) / 1000000, 'unixepoch')
    || printf('.%06dZ', min(s.attached_us) % 1000000) AS first_attached,
  min(s.attached_us) AS first_attached_us,
  nullif(max(s.detached_us), 0) AS last_detached_us,
  (SELECT coalesce(sum(t.queries), 0) FROM sandbox AS z JOIN tally AS t ON t.sandbox = z.id
   WHERE z.session = s.session AND z.user = s.user) AS queries,
  (SELECT coalesce(sum(t.blocked), 0) FROM sandbox AS z JOIN tally AS t ON t.sandbox = z.id
   WHERE z.session = s.session AND z.user = s.user) AS blocked,
  (SELECT count(DISTINCT t.domain) FROM sandbox AS z JOIN tally AS t ON t.sandbox = z.id
   WHERE z.session = s.session AND z.user = s.user) AS registered_domains,
  (SELECT coalesce(sum(t.charge_millibits), 0) / 1000.0 FROM sandbox AS z JOIN tally AS t ON t.sandbox = z.id
   WHERE z.session = s.session AND z.user = s.user) AS charge_bits,
  (SELECT count(*) FROM sandbox AS z JOIN alert AS l ON l.sandbox = z.id
   WHERE z.session = s.session AND z.user = s.user) AS alerts
FROM sandbox AS s
GROUP BY s.session, s.user;

CREATE VIEW domains AS
SELECT
  d.text AS registered_domain,
  strftime('%Y-%m-%dT%H:%M:%S', d.first_us / 1000000, 'unixepoch')
    || printf('.%06dZ', d.first_us % 1000000) AS first_seen,
  d.first_us AS first_seen_us,
  d.first_asked AS first_query_id,
  (SELECT count(*) FROM name AS n WHERE n.domain = d.id) AS names,
  (SELECT coalesce(sum(t.queries), 0) FROM tally AS t WHERE t.domain = d.id) AS queries,
  (SELECT coalesce(sum(t.blocked), 0) FROM tally AS t WHERE t.domain = d.id) AS blocked,
  (SELECT coalesce(sum(t.nxdomain), 0) FROM tally AS t WHERE t.domain = d.id) AS nxdomain,
  (SELECT coalesce(sum(t.charge_millibits), 0) / 1000.0 FROM tally AS t WHERE t.domain = d.id) AS charge_bits,
  (SELECT count(DISTINCT t.sandbox) FROM tally AS t WHERE t.domain = d.id) AS sandboxes,
  (SELECT max(t.last_us) FROM tally AS t WHERE t.domain = d.id) AS last_seen_us
FROM domain AS d
WHERE d.id > 0;

CREATE VIEW usage AS
SELECT
  date(t.day * 86400, 'unixepoch') AS day,
  s.name AS sandbox,
  s.session AS session,
  s.user AS user,
  s.code_sha256 AS code_sha256,
  d.text AS registered_domain,
  t.queries AS queries,
  t.cached AS cached,
  t.blocked AS blocked,
  t.nxdomain AS nxdomain,
  t.charge_millibits / 1000.0 AS charge_bits,
  t.first_us AS first_us,
  t.last_us AS last_us
FROM tally AS t
JOIN sandbox AS s ON s.id = t.sandbox
JOIN domain AS d ON d.id = t.domain;

CREATE VIEW resolutions AS
SELECT
  v.value AS value,
  n.text AS name,
  d.text AS registered_domain,
  v.first_us AS first_seen_us,
  v.first_asked AS first_query_id
FROM resolved AS v
JOIN name AS n ON n.id = v.name
JOIN domain AS d ON d.id = n.domain;

CREATE VIEW boots AS
SELECT
  b.id AS id,
  b.boot_id AS boot_id,
  b.version AS version,
  strftime('%Y-%m-%dT%H:%M:%S', b.started_us / 1000000, 'unixepoch')
    || printf('.%06dZ', b.started_us % 1000000) AS started,
  b.started_us AS started_us,
  nullif(b.ended_us, 0) AS ended_us,
  CASE WHEN b.ended_us > 0 THEN 'ended'
       WHEN b.id = (SELECT max(id) FROM boot) THEN 'open'
       ELSE 'killed' END AS state
FROM boot AS b;

-- What the planner shall think of the tables' shapes, whatever they hold at the moment (a young file would
-- mislead it, and a full ANALYZE reads all of it): rows, then rows per distinct prefix of the index.
ANALYZE meta;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('asked', 'asked_by_time', '10000000 1'),
  ('asked', 'asked_charged', '1000000 300'),
  ('listed', 'listed', '10000000 3000 1'),
  ('listed', 'listed_by_name', '10000000 40 2 1'),
  ('outcome', NULL, '5000000'),
  ('name', 'name_by_text', '250000 1'),
  ('name', 'name_by_reversed', '250000 1'),
  ('name', 'name_by_domain', '250000 10'),
  ('domain', 'domain_by_text', '25000 1'),
  ('domain', 'domain_by_first', '25000 1'),
  ('sandbox', 'sandbox_by_session', '3000 2 2'),
  ('sandbox', 'sandbox_by_user', '3000 60'),
  ('sandbox', 'sandbox_by_name', '3000 2'),
  ('sandbox', 'sandbox_by_code', '3000 10'),
  ('alert', 'alert_by_time', '300 1'),
  ('alert', 'alert_by_sandbox', '300 3'),
  ('tally', 'tally', '300000 100 1 1'),
  ('tally', 'tally_by_domain', '300000 12 1 1'),
  ('tally', 'tally_by_day', '300000 10000 100 1'),
  ('resolved', 'resolved', '500000 2 1'),
  ('boot', 'boot_by_first_asked', '50 1'),
  ('rule', 'rule_by_text', '200 1'),
  ('rr_type', NULL, '100'), ('rcode', NULL, '12'), ('action', NULL, '6'), ('reason', NULL, '16'),
  ('line', NULL, '1000000'), ('process', NULL, '1000'), ('meta', 'meta', '5 1');
)sql";

}  // namespace postern
