// YamlTree: reading under limits.
#include "rules/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <unordered_set>

#include "rules/quote.h"

namespace postern {
namespace {

// Thrown by the handler through yaml-cpp to stop it; caught in read_yaml.
struct Stop : std::exception {
  Stop(int line_, int column_, std::string message_)
      : line(line_), column(column_), message(std::move(message_)) {}
  int line, column;
  std::string message;
};

std::string without_line_ends(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

// Finds the first octet that text in UTF-8 may not hold. yaml-cpp would guess at other
// encodings and replace silently.
struct Place {
  int line = 1, column = 1;
  std::string what;
};
bool find_binary(std::string_view text, Place& place) {
  int line = 1, column = 1;
  for (std::size_t i = 0; i < text.size();) {
    const auto octet = static_cast<unsigned char>(text[i]);
    const std::size_t length = octet < 0x80                    ? 1
                               : octet >= 0xc2 && octet < 0xe0 ? 2
                               : octet >= 0xe0 && octet < 0xf0 ? 3
                               : octet >= 0xf0 && octet < 0xf5 ? 4
                                                               : 0;
    bool good = length != 0 && i + length <= text.size();
    for (std::size_t k = 1; good && k < length; ++k)
      good = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
    const bool control = (octet < 0x20 && octet != '\t' && octet != '\n' && octet != '\r') || octet == 0x7f;
    if (!good || control) {
      place = {
          line, column,
          (control ? "a control character " : "an octet that is not UTF-8 ") + quoted(text.substr(i, 1))};
      return true;
    }
    if (octet == '\n') {
      ++line;
      column = 0;
    }
    i += length;
    ++column;
  }
  return false;
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode take() { return std::move(root_); }
  bool finished() const { return finished_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override { finished_ = true; }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(mark, YamlNode::Kind::null, "", anchor, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { stop(mark, "aliases are not read here"); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    add(mark, YamlNode::Kind::scalar, tag, anchor, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(add(mark, YamlNode::Kind::sequence, tag, anchor, ""));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(add(mark, YamlNode::Kind::map, tag, anchor, ""));
  }
  void OnMapEnd() override { close(); }

 private:
  // A node under construction. Parents stay put while a child is open: only the innermost one's items grow.
  struct Level {
    YamlNode* node;
    std::unordered_set<std::string> keys;
  };

  [[noreturn]] static void stop(const YAML::Mark& mark, std::string message) {
    throw Stop(mark.line + 1, mark.column + 1, std::move(message));
  }

  YamlNode* add(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) {
    if (anchor != 0) stop(mark, "anchors are not read here");
    if (!tag.empty() && tag != "?" && tag != "!") stop(mark, "tags are not read here: " + quoted(tag));
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    node.text = text;
    if (levels_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    Level& level = levels_.back();
    const bool is_key = level.node->kind == YamlNode::Kind::map && level.node->items.size() % 2 == 0;
    if (is_key) {
      if (kind != YamlNode::Kind::scalar)
        stop(mark, "a key must be plain text, not " + std::string(kind_text(kind)));
      if (!level.keys.insert(text).second) stop(mark, "duplicate key " + quoted(text));
    }
    if (!is_key && kind == YamlNode::Kind::null && level.node->kind == YamlNode::Kind::map) {
      node.line = level.node->items.back()
                      .line;  // yaml-cpp puts what is missing at the next token; the key is nearer
      node.column = level.node->items.back().column;
    }
    level.node->items.push_back(std::move(node));
    return &level.node->items.back();
  }
  void open(YamlNode* node) {
    if (levels_.size() >= yaml_max_depth)
      throw Stop(node->line, node->column,
                 "it nests deeper than " + std::to_string(yaml_max_depth) + " levels");
    levels_.push_back({node, {}});
  }
  void close() { levels_.pop_back(); }

  YamlNode root_;
  std::vector<Level> levels_;
  bool finished_ = false;
};

// yaml-cpp's message says what confused it; where that was an unquoted `*`, say what the writer needs to
// know, at the star.
tl::unexpected<Error> failure_of(const YAML::Exception& error, std::string_view text,
                                 const std::string& file) {
  int line = error.mark.line + 1, column = error.mark.column + 1;  // -1 where yaml-cpp knows no place
  const std::size_t at = error.mark.pos < 0 ? text.size() : static_cast<std::size_t>(error.mark.pos);
  const bool star_here = at < text.size() && text[at] == '*';
  const bool star_before = !star_here && at > 0 && at <= text.size() && text[at - 1] == '*';
  if (star_before) --column;
  line = std::max(line, 1);
  column = std::max(column, 1);
  if (star_here || star_before)
    return failure_at(file, line, column, "an unquoted * begins a YAML alias; put the pattern in quotes");
  return failure_at(file, line, column, "not readable as YAML: " + without_line_ends(error.msg));
}

}  // namespace

std::string_view kind_text(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::scalar:
      return "a single value";
    case YamlNode::Kind::sequence:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
  }
  return "nothing";
}

tl::unexpected<Error> failure_at(const std::string& file, int line, int column, const std::string& message) {
  return failure(without_line_ends(file) + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " +
                 message);
}

Result<YamlNode> read_yaml(std::string_view text, const std::string& file) {
  if (text.size() > yaml_max_octets)
    return failure_at(
        file, 1, 1,
        "it has " + std::to_string(text.size()) + " octets; the limit is " + std::to_string(yaml_max_octets));
  if (Place place; find_binary(text, place))
    return failure_at(file, place.line, place.column, "not a text file: it holds " + place.what);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder) || !builder.finished())
      return failure_at(file, 1, 1, "it is empty");
    YamlNode root = builder.take();
    if (TreeBuilder more; parser.HandleNextDocument(more)) {
      const YamlNode second = more.take();
      return failure_at(file, second.line, second.column, "a second document begins here; one is expected");
    }
    return root;
  } catch (const Stop& stop) {
    return failure_at(file, stop.line, stop.column, stop.message);
  } catch (const YAML::Exception& error) {
    return failure_of(error, text, file);
  } catch (const std::exception& error) {
    return failure_at(file, 1, 1, "not readable as YAML: " + without_line_ends(error.what()));
  }
}

}  // namespace postern
