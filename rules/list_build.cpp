// From a file's octets to a list: unpacked if it is gzip, read, sorted.
#include "rules/gunzip.h"
#include "rules/list.h"
#include "rules/list_text.h"

namespace postern {

Result<std::shared_ptr<const List>> List::build(std::string_view text, const ListOptions& options,
                                                ListMeaning meaning) {
  const auto quoting_file = [&](const Error& error) {
    return failure("cannot read list " + options.file + ": " + error.message);
  };
  std::string unpacked;
  if (is_gzip(text)) {
    Result<std::string> plain = gunzip(text, options.most_octets);
    if (!plain) return quoting_file(plain.error());
    unpacked = std::move(*plain);
    text = unpacked;
  }
  ListBuilder builder(meaning);
  Result<ListReport> report = read_list(text, options, builder);
  if (!report) return tl::unexpected(report.error());
  Result<std::shared_ptr<const List>> list = builder.finish(std::move(*report));
  if (!list) return quoting_file(list.error());
  return list;
}

}  // namespace postern
