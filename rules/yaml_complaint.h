// YamlComplaint: errors about a node of a YAML file, each with its place and the offending value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rules/yaml_tree.h"

namespace postern {

class YamlComplaint {
 public:
  // Where rules say they are written: in a file of the operator's, or in one that nobody has at hand.
  enum class Places : std::uint8_t { with_line, file_only };
  // `file` must outlive it.
  explicit YamlComplaint(const std::string& file, Places places = Places::with_line)
      : file_(file), places_(places) {}

  tl::unexpected<Error> at(const YamlNode& node, const std::string& message) const {
    return failure_at(file_, node.line, node.column, message);
  }
  tl::unexpected<Error> wrong_kind(const YamlNode& node, std::string_view what, YamlNode::Kind wanted) const;
  tl::unexpected<Error> unknown_key(const YamlNode& key, const std::string& where) const;
  // "FILE:3:5", or "FILE:"
  std::string place(const YamlNode& node) const {
    if (places_ == Places::file_only) return file_ + ":";
    return file_ + ":" + std::to_string(node.line) + ":" + std::to_string(node.column);
  }
  // The value of a map's key; null if it has none.
  static const YamlNode* get(const YamlNode& map, std::string_view key);

 protected:
  const std::string& file_;
  Places places_;
};

}  // namespace postern
