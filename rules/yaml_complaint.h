// YamlComplaint: errors about a node of a YAML file, each with its place and the offending value.
#pragma once

#include <string>
#include <string_view>

#include "rules/yaml_tree.h"

namespace postern {

class YamlComplaint {
 public:
  explicit YamlComplaint(const std::string& file) : file_(file) {}  // which must outlive it

  tl::unexpected<Error> at(const YamlNode& node, const std::string& message) const {
    return failure_at(file_, node.line, node.column, message);
  }
  tl::unexpected<Error> wrong_kind(const YamlNode& node, std::string_view what, YamlNode::Kind wanted) const;
  tl::unexpected<Error> unknown_key(const YamlNode& key, const std::string& where) const;
  // "FILE:3:5"
  std::string place(const YamlNode& node) const {
    return file_ + ":" + std::to_string(node.line) + ":" + std::to_string(node.column);
  }
  // The value of a map's key; null if it has none.
  static const YamlNode* get(const YamlNode& map, std::string_view key);

 protected:
  const std::string& file_;
};

}  // namespace postern
