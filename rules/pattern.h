// Pattern: what `example.com`, `*.example.com` and `**.example.com` mean.
//
//   example.com     exactly this name
//   *.example.com   every name below it, at any depth; not example.com itself
//   **.example.com  both
//
// `*` and `**` alone mean every name, with and without the root.
#pragma once

#include <string>
#include <string_view>

#include "rules/name.h"

namespace postern {

// Whether a wildcard may cover a public suffix ("*.com", "*.github.io", "*"). Refused unless asked for: it is
// nearly always a slip.
enum class PublicSuffixWildcards : std::uint8_t { refused, allowed };

struct Pattern {
  enum class Scope : std::uint8_t { exact, below, at_or_below };

  Scope scope = Scope::exact;
  Name base;

  // Errors quote the text: empty, a bad name, `*` elsewhere than in front, characters that need an escape
  // (\DDD), names in Unicode, a wildcard over a public suffix. The suffixes of special-use names
  // ("*.internal") are not public.
  static Result<Pattern> parse(std::string_view text,
                               PublicSuffixWildcards wildcards = PublicSuffixWildcards::refused);

  bool matches(const Name& name) const noexcept;
  std::string text() const;  // reads back as the same pattern
};

}  // namespace postern
