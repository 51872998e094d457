// Fuzz target: policy files and patterns. Whatever the text, parsing ends with a policy or a one-line error,
// and what it made can be asked.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "rules/address.h"
#include "rules/pattern.h"
#include "rules/policy.h"
#include "rules/svcb.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  if (const auto pattern = Pattern::parse(text, PublicSuffixWildcards::allowed)) {
    // A pattern prints as something that reads back as itself.
    const auto again = Pattern::parse(pattern->text(), PublicSuffixWildcards::allowed);
    if (!again || again->scope != pattern->scope || !(again->base == pattern->base)) std::abort();
  }
  (void)AddressRange::parse(text);
  (void)parse_service_binding({data, size});

  const auto set = PolicySet::parse(text, "f");
  if (!set) {
    if (!set.error().message.starts_with("f:") || set.error().message.find('\n') != std::string::npos)
      std::abort();
    return 0;
  }
  Query query;
  if (const auto name = Name::from_wire({data, size})) query.name = *name;
  Answer answer;
  answer.answer.push_back({query.name, type::HTTPS, 0, {data, data + size}});
  answer.answer.push_back({query.name, type::CNAME, 0, {data, data + size}});
  for (const std::string& which : (*set)->names()) {
    const auto policy = (*set)->find(which);
    const Verdict verdict = policy->decide(query);
    if ((verdict.local != nullptr) != (verdict.action == Action::local)) std::abort();
    if (policy->rule_text(verdict.rule).size() > 255) std::abort();
    (void)policy->inspect(query, answer);
  }
  return 0;
}
