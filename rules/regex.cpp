// Regular expressions through RE2.
#include "rules/regex.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <array>

#include "rules/quote.h"

namespace postern {
namespace {

RE2::Options options() {
  RE2::Options options;
  options.set_case_sensitive(false);
  options.set_log_errors(false);
  options.set_max_mem(Regex::max_memory);
  return options;
}

// The text of a name without an allocation.
struct Spelled {
  explicit Spelled(const Name& name) noexcept {
    const auto wire = name.wire();
    char* out = buffer.data();
    for (std::size_t at = 0; wire[at] != 0; at += wire[at] + 1u) {
      if (at != 0) *out++ = '.';
      for (std::size_t i = at + 1; i <= at + wire[at]; ++i) out = write_octet(out, wire[i]);
    }
    size = static_cast<std::size_t>(out - buffer.data());
  }
  re2::StringPiece view() const noexcept { return {buffer.data(), size}; }

  std::array<char, Name::max_octets * 4> buffer;
  std::size_t size;
};

}  // namespace

struct Regex::Compiled {
  explicit Compiled(std::string_view from) : text(from), re(text, options()) {}
  std::string text;
  RE2 re;
};

struct RegexSet::Together {
  Together() : set(options_for_set(), RE2::UNANCHORED) {}
  static RE2::Options options_for_set() {
    RE2::Options all = options();
    all.set_max_mem(4 * Regex::max_memory);
    return all;
  }
  RE2::Set set;
  bool ready = false;
};

Result<Regex> Regex::parse(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return failure("cannot read the regular expression " + quoted(text) + ": " + why);
  };
  if (text.empty()) return bad("it is empty, which matches every name");
  if (text.size() > max_length) return bad("it is longer than 1024 octets");
  if (text.find('\0') != std::string_view::npos) return bad("it holds a zero octet");
  Regex regex;
  auto compiled = std::make_shared<const Compiled>(text);
  if (!compiled->re.ok()) return bad(compiled->re.error());
  regex.compiled_ = std::move(compiled);
  return regex;
}

bool Regex::matches(const Name& name) const noexcept {
  const Spelled spelled(name);
  return RE2::PartialMatch(spelled.view(), compiled_->re);
}

const std::string& Regex::text() const noexcept {
  return compiled_->text;
}

void RegexSet::add(Regex one) {
  all_.push_back(std::move(one));
}

void RegexSet::compile() {
  if (all_.empty()) return;
  auto together = std::make_shared<Together>();
  together->ready = true;
  for (const Regex& one : all_) together->ready &= together->set.Add(one.text(), nullptr) >= 0;
  together->ready = together->ready && together->set.Compile();
  together_ = std::move(together);
}

// True also where the set cannot tell, because its states outgrew their memory: then each is asked by itself.
bool RegexSet::any_match(const Name& name) const noexcept {
  if (!together_->ready) return true;
  const Spelled spelled(name);
  RE2::Set::ErrorInfo error{};
  return together_->set.Match(spelled.view(), nullptr, &error) || error.kind != RE2::Set::kNoError;
}

}  // namespace postern
