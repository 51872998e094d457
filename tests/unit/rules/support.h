// Shared by the tests of rules/: short ways to write names, policies and queries.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>

#include "rules/policy.h"

namespace postern::test {

inline Name name(std::string_view text) {
  const Result<Name> parsed = Name::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), (parsed ? "" : parsed.error().message));
  return *parsed;
}

inline std::shared_ptr<const PolicySet> policies(std::string_view yaml) {
  const auto set = PolicySet::parse(yaml, "p.yaml");
  REQUIRE_MESSAGE(set.has_value(), (set ? "" : set.error().message));
  return *set;
}

inline std::shared_ptr<const Policy> policy(std::string_view yaml) {
  return policies(yaml)->find("");
}

inline std::string error_of(std::string_view yaml) {
  const auto set = PolicySet::parse(yaml, "p.yaml");
  return set ? "no error" : set.error().message;
}

// "NXDOMAIN rule", "allow default", "local special_use NODATA": what a verdict means for the client, and why.
inline std::string told(const Verdict& verdict) {
  const auto action = [&]() -> std::string {
    switch (verdict.action) {
      case Action::allow:
        return "allow";
      case Action::block_name:
        return "NXDOMAIN";
      case Action::block_data:
        return "NODATA";
      case Action::refuse:
        return "REFUSED";
      case Action::drop:
        return "no reply";
      case Action::local:
        break;
    }
    REQUIRE(verdict.local != nullptr);
    if (verdict.local->rcode != 0) return "local " + rcode_text(verdict.local->rcode);
    return verdict.local->answer.empty() ? "local NODATA" : "local data";
  };
  return action() + " " + std::string(reason_text(verdict.reason));
}

inline std::string decide(const Policy& policy, std::string_view text, Type type = type::A) {
  return told(policy.decide({name(text), type}));
}

inline std::string rule_for(const Policy& policy, std::string_view text, Type type = type::A) {
  return std::string(policy.rule_text(policy.decide({name(text), type}).rule));
}

}  // namespace postern::test
