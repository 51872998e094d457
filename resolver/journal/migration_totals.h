// Version 7 of the journal's schema: sums per domain and per sandbox, and a tally that takes less room.
#pragma once

namespace postern {

// `tally` has a row for each sandbox, domain and day: millions in a large journal, too many to add up while
// somebody waits. `domain_total` and `sandbox_total` are its sums over the rest, written by the lister in the
// same transaction (Lister::add). Whoever deletes rows of `tally` need not know: the trigger takes them off.
// A day's first moment is told as microseconds into the day, the last as microseconds after the first:
// 0 to 6 octets each in the place of 8.
inline constexpr const char* totals_migration = R"sql(
DROP VIEW usage;
DROP VIEW sessions;
DROP VIEW domains;
ALTER TABLE tally RENAME TO tally_before;
DROP INDEX tally_by_domain;
DROP INDEX tally_by_day;
CREATE TABLE tally (
  sandbox INTEGER NOT NULL REFERENCES sandbox (id),
  domain INTEGER NOT NULL REFERENCES domain (id),
  day INTEGER NOT NULL,                -- since 1970, UTC
  queries INTEGER NOT NULL,
  cached INTEGER NOT NULL,
  blocked INTEGER NOT NULL,
  nxdomain INTEGER NOT NULL,
  charge_millibits INTEGER NOT NULL,
  first_in_day_us INTEGER NOT NULL,    -- since the day began
  span_us INTEGER NOT NULL,            -- from the first to the last
  PRIMARY KEY (sandbox, domain, day)
) STRICT, WITHOUT ROWID;
INSERT INTO tally (sandbox, domain, day, queries, cached, blocked, nxdomain, charge_millibits,
                   first_in_day_us, span_us)
SELECT sandbox, domain, day, queries, cached, blocked, nxdomain, charge_millibits,
       first_us - day * 86400000000, last_us - first_us
FROM tally_before ORDER BY sandbox, domain, day;
DROP TABLE tally_before;
CREATE INDEX tally_by_domain ON tally (domain);
CREATE INDEX tally_by_day ON tally (day);

CREATE TABLE domain_total (
  domain INTEGER PRIMARY KEY REFERENCES domain (id),
  queries INTEGER NOT NULL,
  blocked INTEGER NOT NULL,
  nxdomain INTEGER NOT NULL,
  charge_millibits INTEGER NOT NULL,
  sandboxes INTEGER NOT NULL,          -- different ones
  last_us INTEGER NOT NULL
) STRICT;
INSERT INTO domain_total (domain, queries, blocked, nxdomain, charge_millibits, sandboxes, last_us)
SELECT domain, sum(queries), sum(blocked), sum(nxdomain), sum(charge_millibits), count(DISTINCT sandbox),
       max(day * 86400000000 + first_in_day_us + span_us)
FROM tally GROUP BY domain ORDER BY domain;

CREATE TABLE sandbox_total (
  sandbox INTEGER PRIMARY KEY REFERENCES sandbox (id),
  queries INTEGER NOT NULL,
  blocked INTEGER NOT NULL,
  nxdomain INTEGER NOT NULL,
  charge_millibits INTEGER NOT NULL
) STRICT;
INSERT INTO sandbox_total (sandbox, queries, blocked, nxdomain, charge_millibits)
SELECT sandbox, sum(queries), sum(blocked), sum(nxdomain), sum(charge_millibits)
FROM tally GROUP BY sandbox ORDER BY sandbox;

CREATE TRIGGER tally_deleted AFTER DELETE ON tally BEGIN
  UPDATE domain_total SET
    queries = queries - old.queries,
    blocked = blocked - old.blocked,
    nxdomain = nxdomain - old.nxdomain,
    charge_millibits = charge_millibits - old.charge_millibits,
    sandboxes = sandboxes - NOT EXISTS
      (SELECT 1 FROM tally AS t WHERE t.sandbox = old.sandbox AND t.domain = old.domain),
    last_us = CASE WHEN last_us > old.day * 86400000000 + old.first_in_day_us + old.span_us THEN last_us
      ELSE coalesce((SELECT max(t.day * 86400000000 + t.first_in_day_us + t.span_us) FROM tally AS t
                     WHERE t.domain = old.domain), 0) END
  WHERE domain = old.domain;
  DELETE FROM domain_total WHERE domain = old.domain AND sandboxes = 0;
  UPDATE sandbox_total SET
    queries = queries - old.queries,
    blocked = blocked - old.blocked,
    nxdomain = nxdomain - old.nxdomain,
    charge_millibits = charge_millibits - old.charge_millibits
  WHERE sandbox = old.sandbox;
  DELETE FROM sandbox_total WHERE sandbox = old.sandbox AND queries = 0
    AND NOT EXISTS (SELECT 1 FROM tally AS t WHERE t.sandbox = old.sandbox);
END;

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
  t.day * 86400000000 + t.first_in_day_us AS first_us,
  t.day * 86400000000 + t.first_in_day_us + t.span_us AS last_us
FROM tally AS t
JOIN sandbox AS s ON s.id = t.sandbox
JOIN domain AS d ON d.id = t.domain;

-- The group apart from what is looked up for it: so only what a question shows is looked up.
CREATE VIEW sessions AS
SELECT
  g.session AS session,
  g.user AS user,
  g.sandboxes AS sandboxes,
  g.codes AS codes,
  g.record_protected AS record_protected,
  strftime('%Y-%m-%dT%H:%M:%S', g.first_attached_us / 1000000, 'unixepoch')
    || printf('.%06dZ', g.first_attached_us % 1000000) AS first_attached,
  g.first_attached_us AS first_attached_us,
  nullif(g.last_detached_us, 0) AS last_detached_us,
  (SELECT coalesce(sum(t.queries), 0) FROM sandbox AS z JOIN sandbox_total AS t ON t.sandbox = z.id
   WHERE z.session = g.session AND z.user = g.user) AS queries,
  (SELECT coalesce(sum(t.blocked), 0) FROM sandbox AS z JOIN sandbox_total AS t ON t.sandbox = z.id
   WHERE z.session = g.session AND z.user = g.user) AS blocked,
  (SELECT count(DISTINCT t.domain) FROM sandbox AS z JOIN tally AS t ON t.sandbox = z.id
   WHERE z.session = g.session AND z.user = g.user) AS registered_domains,
  (SELECT coalesce(sum(t.charge_millibits), 0) / 1000.0 FROM sandbox AS z
   JOIN sandbox_total AS t ON t.sandbox = z.id
   WHERE z.session = g.session AND z.user = g.user) AS charge_bits,
  (SELECT count(*) FROM sandbox AS z JOIN alert AS l ON l.sandbox = z.id
   WHERE z.session = g.session AND z.user = g.user) AS alerts
FROM (SELECT s.session, s.user, count(*) AS sandboxes, count(DISTINCT s.code_sha256) AS codes,
        min(s.record_protected) AS record_protected, min(s.attached_us) AS first_attached_us,
        max(s.detached_us) AS last_detached_us
      FROM sandbox AS s GROUP BY s.session, s.user) AS g;

CREATE VIEW domains AS
SELECT
  d.text AS registered_domain,
  strftime('%Y-%m-%dT%H:%M:%S', d.first_us / 1000000, 'unixepoch')
    || printf('.%06dZ', d.first_us % 1000000) AS first_seen,
  d.first_us AS first_seen_us,
  d.first_asked AS first_query_id,
  (SELECT count(*) FROM name AS n WHERE n.domain = d.id) AS names,
  coalesce(t.queries, 0) AS queries,
  coalesce(t.blocked, 0) AS blocked,
  coalesce(t.nxdomain, 0) AS nxdomain,
  coalesce(t.charge_millibits, 0) / 1000.0 AS charge_bits,
  coalesce(t.sandboxes, 0) AS sandboxes,
  t.last_us AS last_seen_us
FROM domain AS d
LEFT JOIN domain_total AS t ON t.domain = d.id
WHERE d.id > 0;

-- As in version 4: what the planner shall think, whatever the tables hold. Those of `tally` went with it.
DELETE FROM sqlite_stat1 WHERE tbl IN ('tally', 'tally_before');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('tally', 'tally', '300000 100 1 1'),
  ('tally', 'tally_by_domain', '300000 12 1 1'),
  ('tally', 'tally_by_day', '300000 10000 100 1'),
  ('domain_total', NULL, '25000'),
  ('sandbox_total', NULL, '3000');
)sql";

}  // namespace postern
