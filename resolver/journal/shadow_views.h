// Views of the reader's own in front of the files' views: several files as one, and nothing left out.
//
// They exist on one connection alone (temporary views), and do three things that the files' own cannot. With
// several files each is the union of theirs, with ids that are unique (shifted_ids.h) and a last column
// `journal`; `sessions`, `domains` and `resolutions` are summed up over the files; the name alone of a table,
// or of a view that is not Postern's, is an error, where it would be the first file's. `queries` has the rows
// that are not in the catalogue yet (unlisted_rows.h). And those have what only the catalogue knows
// otherwise: `name_reversed`, and `newly_observed_domain`, NULL where it cannot be told.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "resolver/journal/sqlite.h"
#include "resolver/journal/unlisted_rows.h"

namespace postern {

inline constexpr std::int64_t newly_observed_us = 86'400'000'000;  // so long a domain is new

// Of a row `v` that the catalogue of the attached file `schema` may not have: is its domain new? `first_us`:
// when the earliest of such rows was asked, as what is not in `domain` was first asked in one of them; NULL
// if it is not known, and then the answer may be.
std::string newly_observed_sql(const std::string& schema, const std::string& first_us);

std::string schema_of_file(std::size_t file);  // as it is attached: "main", "j1", "j2"

// How SQLite's words begin, after its own, where a statement names a table of several files without saying
// which file's it means.
inline constexpr const char* table_of_several = "each journal has a table ";

class ShadowViews {
 public:
  // `connection` has the files of `paths` attached, and must outlive this.
  ShadowViews(Connection& connection, std::span<const std::string> paths)
      : connection_(connection), paths_(paths) {}

  // Everything but the unlisted rows of `queries`. Once for a connection.
  Result<void> create();
  // Puts the rows of these files that are unlisted in the transaction under way into `queries`; its rollback
  // takes them out again. False: there are none.
  Result<bool> add_unlisted(std::span<const std::size_t> files);

 private:
  struct View {
    std::string name;
    std::vector<std::string> columns;
  };
  // The views of a journal of that version as the migrations make them. What a file calls its own comes into
  // no statement but as a name: whoever made it may have made it by hand.
  Result<void> know_views();
  bool is_known(const std::string& name) const;
  std::string arm(const View& view, std::size_t file, const std::string& from) const;
  std::string whole(const View& view) const;
  std::string unlisted_arm(std::size_t file, const std::string& first_us, bool by_id) const;
  std::string over_files(const View& view) const;
  bool several() const { return paths_.size() > 1; }

  Connection& connection_;
  std::span<const std::string> paths_;
  std::vector<View> views_;
  std::string queries_;  // without what is unlisted; empty: the file's own
};

}  // namespace postern
