// Reading lists: from the text of a file to entries, in whatever format it was written.
//
// What a line means in each format, and which lines are not used, is told in docs/RULES.md ("Lists"). Read on
// in list_reading.h (what the formats share), then list_domains.cpp, list_hosts.cpp, list_adblock.cpp and
// list_rpz.cpp. Files that are compressed go through gunzip.h first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/list_entry.h"

namespace postern {

struct ListOptions {
  std::string file;                  // how quoted lines and errors name it
  std::optional<ListFormat> format;  // nothing: by its first lines
  // The names of plain domains and of hosts lines that block stand for what is below them too: as if they
  // were written `**.name`. A public suffix keeps to itself.
  bool subdomains = false;
  bool allow_public_suffix = false;  // wildcards over public suffixes ("||com^", "*.github.io") are meant

  std::size_t most_octets = std::size_t{512} << 20;  // of the text: about 25 million names
  std::size_t most_line_octets =
      64 << 10;  // adblock lists name thousands of domains in a rule; names need 255
  std::uint64_t most_entries = 32'000'000;  // what comes out of most_octets, and a bound on the sink's memory
  // Lines with an address of their own and RPZ local data: each is kept until the end, at about 600 octets.
  std::size_t most_local_records = 200'000;
};

// Hands the entries of `text` to `sink` and says what became of its lines: lines that are not used are
// counted by cause, the first of each quoted. An error is for a text that cannot be a list as a whole: empty,
// over a limit, not text (NUL, UTF-16), or not one line of it can be read. It names the file and the line;
// what the sink was given by then is void. Entries come in the file's order, local data last. Thread: any.
// Allocates nothing per line but for local data, modifiers and names in Unicode.
Result<ListReport> read_list(std::string_view text, const ListOptions& options, ListSink& sink);

// By the first lines that decide; domains where none does.
ListFormat detect_list_format(std::string_view text) noexcept;

std::string_view list_format_text(ListFormat format) noexcept;  // "domains", "hosts", "adblock", "rpz"
std::optional<ListFormat> list_format_from_text(std::string_view text) noexcept;

}  // namespace postern
