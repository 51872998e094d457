// The tables of seals: blocks of records that hang together, heads that the broker has signed, and what
// retention removed (docs/decisions/0008-seal.md, seal_block.h).
#pragma once

namespace postern {

inline constexpr const char* seals_migration = R"sql(
CREATE TABLE seal (
  block INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  flags INTEGER NOT NULL,              -- 1: left by a killed writer, 2: a clean end
  records INTEGER NOT NULL,            -- of all blocks up to this one
  cover BLOB NOT NULL,                 -- which records: runs of ids by kind
  leaves BLOB NOT NULL,                -- six octets of each record's SHA-256
  content BLOB NOT NULL,               -- SHA-256 of those SHA-256, whole
  head BLOB NOT NULL                   -- SHA-256 of this row and the head before
) STRICT;
CREATE TABLE seal_signer (id INTEGER PRIMARY KEY, public_key BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE seal_head (
  block INTEGER PRIMARY KEY,
  counter INTEGER NOT NULL,            -- of the signer, for this journal
  time_us INTEGER NOT NULL,
  records INTEGER NOT NULL,
  signer INTEGER NOT NULL REFERENCES seal_signer (id),
  signature BLOB NOT NULL              -- Ed25519
) STRICT;
CREATE TABLE seal_tombstone (
  id INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  removed BLOB NOT NULL,               -- as cover
  upto_block INTEGER NOT NULL,         -- blocks up to this one are gone; 0: none
  upto_records INTEGER NOT NULL,
  upto_head BLOB NOT NULL
) STRICT;
)sql";

}  // namespace postern
