// Policy: what a sandbox may ask, and which answers it may see. The front door of rules/.
//
// The story: a policy file (YAML, docs/RULES.md) is parsed into a `PolicySet` of named, immutable policies.
// For each query `decide` gives a verdict with its reason; for each answer, also one from the cache,
// `inspect` gives another. Both are total, allocate nothing and never fail: what cannot be understood is
// refused. Read next: policy.cpp (precedence), policy_answers.cpp (answers), pattern.h (what `*.example.com`
// means), special.h (names answered locally), address.h (address classes), policy_yaml.cpp (the file format
// and its errors), local_zone.h (zones answered from the policy), suffix_table.h (how a lookup is fast),
// explain.h (decisions told to people).
//
// Pure: no I/O, no clock, no log. Thread: any; immutable after parse.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/budgets.h"
#include "rules/list_entry.h"
#include "rules/vocabulary.h"

namespace postern {

class List;            // list.h
struct Explanation;    // explain.h
struct PolicyOutline;  // explain.h

// What policy says of an answer. `record` is the index in Answer::answer of the record that did it.
struct AnswerVerdict {
  bool pass = true;
  Reason reason = Reason::policy_default;
  RuleId rule = 0;
  std::size_t record = 0;
  bool observed = false;  // it passes, but reason, rule and record say what would have refused it
  // Where it does not pass and a list has records of its own for such an answer (rpz-ip with local data):
  // what to answer in its place, as Verdict::local; lives as long as the policy. Null: an empty answer.
  const Answer* local = nullptr;
};

// What policies and groups of upstreams may be called: 1 to 64 letters, digits, hyphens, underscores and
// dots. It is a column, a log field, and a word of a command line.
bool is_policy_word(std::string_view text) noexcept;

// What the operator wants done about a finding, mildest first: tell; block the zone for the session; answer
// the session nothing more; besides, stop all processes of the sandbox that asked; or kill them.
enum class Response : std::uint8_t { alert, block_zone, quarantine, freeze, kill };
// "alert", "block-zone", "quarantine", "freeze", "kill".
std::string_view response_text(Response response) noexcept;

class Policy {
 public:
  virtual ~Policy() = default;
  // The verdict for a query of class IN. Total.
  virtual Verdict decide(const Query& query) const noexcept = 0;
  // The verdict where `decide` refuses for its default alone, and an answer has named this name to the
  // sandbox (SRV, MX, SVCB, HTTPS): permitted, if its form and type are. Whoever asks has made sure of both.
  // Total.
  virtual Verdict decide_referred(const Query& query) const noexcept = 0;
  // The verdict for what came back: addresses of refused classes, targets that a rule
  // explicitly blocks. An address may be excepted by range; a target never falls to the
  // default. Total. Not meant for local answers.
  virtual AnswerVerdict inspect(const Query& query, const Answer& answer) const noexcept = 0;
  // "policy.yaml:12:7 block *.example.com"; empty for 0 and for what is no rule of this policy. At most 255
  // octets, one line. Built-in refusals (special names, address classes, types) have ids and texts too.
  virtual std::string_view rule_text(RuleId rule) const noexcept = 0;
  // The group of upstreams that Verdict::route means, as `forward:` names it; empty for 0.
  virtual std::string_view upstream_group(std::uint16_t route) const noexcept = 0;
  // Send Extended DNS Errors with the rule that spoke (can be switched off: it helps probing).
  virtual bool explains() const noexcept = 0;
  // `deny-all`: the first lookup of a sandbox under this policy is an alert.
  virtual bool alert_on_first_query() const noexcept = 0;
  virtual Response on_tunnel() const noexcept = 0;
  virtual const std::string& name() const noexcept = 0;
  // Where the leak budgets come from: "code", "browse" or "strict".
  virtual std::string_view profile() const noexcept { return "code"; }
  // What may leave through names: the profile's, and what the policy sets itself.
  virtual const Budgets& budgets() const noexcept = 0;
  // When a leak budget is spent. `alert`: what it cannot bear is refused, as it always is, and no more.
  virtual Response on_budget() const noexcept = 0;
  // When a name holds a secret of the session; the query itself is refused in any case, which is all that
  // `alert` does.
  virtual Response on_secret() const noexcept { return Response::alert; }
  // When a session asks more queries, or gets more octets of answers, than its caps say.
  virtual Response on_cap() const noexcept { return Response::quarantine; }
  // Names that are charged to the session alone, not to their zone (`budgets: exempt:`).
  virtual bool is_exempt(const Name& name) const noexcept = 0;
  // The names that it allows exactly: to say one of them tells little (detect/meter_known.h). Allocates.
  virtual std::vector<Name> exact_names() const = 0;
  // For people, not for the path: why `decide` says what it says, and what the policy holds (explain.h).
  virtual Explanation explain(const Query& query) const = 0;
  virtual PolicyOutline outline() const = 0;
};

// A list that a policy names (`lists:`).
struct ListRequest {
  std::string file;                  // as written
  std::optional<ListFormat> format;  // nothing: by its content
  bool subdomains = false;           // plain names stand for what is below them, too
  bool allow_public_suffix = false;
  bool allows = false;  // `action: allow`: whatever it names is permitted

  friend bool operator==(const ListRequest&, const ListRequest&) = default;
};
// Where lists come from: rules/ reads no files. Called while a policy file is parsed, once for each list.
// Errors are quoted as they are.
using ListSource = std::function<Result<std::shared_ptr<const List>>(const ListRequest&)>;

// All policies of one file. `default`, `deny-all`, `strict` and `browse` always exist (presets.h).
class PolicySet {
 public:
  // Without a file: everything allowed except internal names and addresses.
  static std::shared_ptr<const PolicySet> builtin();
  // `file` is only quoted, in errors and in rule_text. Errors: one line
  // "FILE:LINE:COLUMN: what, quoting the value".
  // Without a source of lists, naming one is an error.
  static Result<std::shared_ptr<const PolicySet>> parse(std::string_view yaml, const std::string& file,
                                                        const ListSource& lists = {});

  // Rules from a command line, put on top of policy `base` ("default" when empty) in a copy of the set:
  // inline rules like any other (the most specific wins, a tie blocks); `default_action` replaces the
  // policy's. Errors quote the pattern.
  struct Overlay {
    std::vector<std::string> allow, block;  // patterns
    std::string default_action;             // "", "allow" or "block"
    std::string base = {};
    std::vector<std::string> include = {};  // presets, for their rules
    bool is_empty() const {
      return allow.empty() && block.empty() && default_action.empty() && include.empty();
    }
  };
  Result<std::shared_ptr<const PolicySet>> with(const Overlay& overlay) const;

  // The named policy, or nothing. "" is "default".
  std::shared_ptr<const Policy> find(std::string_view name) const noexcept;
  std::vector<std::string> names() const;  // sorted

 private:
  friend class PolicyAssembly;  // policy_spec.h: builds sets
  std::vector<std::shared_ptr<const class RulePolicy>> policies_;
};

}  // namespace postern
