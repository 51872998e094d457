// Shared by the tests of lists: a sink that writes down what it is given, a line each.
#pragma once

#include <sstream>

#include "rules/list_text.h"
#include "support.h"

namespace postern::test {

inline std::string record_text(const Record& record) {
  std::ostringstream out;
  out << type_text(record.type) << ":" << record.ttl << ":";
  constexpr char hex[] = "0123456789abcdef";
  for (const std::uint8_t octet : record.rdata) out << hex[octet >> 4] << hex[octet & 15];
  if (!record.owner.is_root()) out << " owner " << record.owner.text();
  return out.str();
}

// "3 block **.example.com important", "5 local db.example.com [A:5:0a000001]", "7 block 192.0.2.0/24".
class WritingSink final : public ListSink {
 public:
  std::vector<std::string> lines;

  void entry(const ListEntry& entry, const ListDetail* detail) override {
    std::string line = std::to_string(entry.line) + " " + action(entry.action) + " " +
                       Pattern{entry.scope, entry.name}.text();
    if (entry.important) line += " important";
    if (detail != nullptr) {
      if (!detail->types.empty()) {
        line += detail->types_excluded ? " types ~" : " types ";
        for (const Type type : detail->types) line += type_text(type) + ",";
        line.pop_back();
      }
      for (const Name& name : detail->except) line += " except " + name.text();
      for (const Record& record : detail->local.answer) line += " [" + record_text(record) + "]";
    }
    lines.push_back(std::move(line));
  }
  void range(const ListRange& range, const ListDetail* detail) override {
    lines.push_back(std::to_string(range.line) + " " + action(range.action) + " " + range.range.text());
    if (detail == nullptr) return;
    for (const Record& record : detail->local.answer) lines.back() += " [" + record_text(record) + "]";
  }

 private:
  static const char* action(ListAction action) {
    constexpr const char* words[] = {"block", "nodata", "drop", "allow", "local"};
    return words[static_cast<std::size_t>(action)];
  }
};

// What a list says: its entries, then "skipped N CAUSE" for each cause, or the error; joined by " | ".
struct Told {
  std::string entries, skipped, error;
  ListReport report;
};

inline Told told(std::string_view text, ListOptions options = {}) {
  options.file = "list.txt";
  WritingSink sink;
  Result<ListReport> report = read_list(text, options, sink);
  Told out;
  if (!report) {
    out.error = report.error().message;
    return out;
  }
  out.report = std::move(*report);
  for (const std::string& line : sink.lines) out.entries += (out.entries.empty() ? "" : " | ") + line;
  for (const SkippedLines& cause : out.report.skipped)
    out.skipped += (out.skipped.empty() ? "" : " | ") + std::to_string(cause.lines) + " " + cause.cause;
  return out;
}

inline Told told_as(ListFormat format, std::string_view text) {
  ListOptions options;
  options.format = format;
  return told(text, options);
}

}  // namespace postern::test
