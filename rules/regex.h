// Regular expressions as inline rules: linear time (RE2), whatever the name and whatever the expression.
//
// An expression is matched anywhere in the name's text: lower case, no final dot, odd octets as \DDD; `^` and
// `$` anchor it. Thread: any. Memory: at most `max_memory` an expression, and four times that for a set.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rules/name.h"

namespace postern {

class Regex {
 public:
  static constexpr std::size_t max_length = 1024;     // octets of an expression: longer ones are a list
  static constexpr std::size_t max_memory = 1 << 20;  // octets: RE2 refuses to compile what needs more

  // Errors quote the text and say what RE2 says: a bad escape, a repetition that is too large.
  static Result<Regex> parse(std::string_view text);

  bool matches(const Name& name) const noexcept;
  const std::string& text() const noexcept;

 private:
  friend class RegexSet;
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

// Many expressions, asked at once: a name that none of them matches costs one pass.
class RegexSet {
 public:
  void add(Regex one);
  // After the last `add`, before the first question.
  void compile();
  bool empty() const noexcept { return all_.empty(); }
  // Calls visit(index) for each expression that matches, in the order in which they were added.
  template <class Visit>
  void each_match(const Name& name, Visit&& visit) const noexcept {
    if (all_.empty() || !any_match(name)) return;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (all_[i].matches(name)) visit(i);
  }

 private:
  struct Together;
  bool any_match(const Name& name) const noexcept;
  std::vector<Regex> all_;
  std::shared_ptr<const Together> together_;
};

}  // namespace postern
