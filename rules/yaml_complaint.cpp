// YamlComplaint: the sentences that several readers of YAML say.
#include "rules/yaml_complaint.h"

#include "rules/quote.h"

namespace postern {

tl::unexpected<Error> YamlComplaint::wrong_kind(const YamlNode& node, std::string_view what,
                                                YamlNode::Kind wanted) const {
  const std::string value = node.kind == YamlNode::Kind::scalar ? " " + quoted(node.text) : "";
  return at(node, std::string(what) + " is " + std::string(kind_text(wanted)) + ", here is " +
                      std::string(kind_text(node.kind)) + value);
}

tl::unexpected<Error> YamlComplaint::unknown_key(const YamlNode& key, const std::string& where) const {
  return at(key, "unknown key " + quoted(key.text) + " " + where);
}

const YamlNode* YamlComplaint::get(const YamlNode& map, std::string_view key) {
  for (std::size_t i = 0; i < map.items.size(); i += 2)
    if (map.items[i].text == key) return &map.items[i + 1];
  return nullptr;
}

}  // namespace postern
