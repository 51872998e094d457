// PolicyLists: what the lists of a policy say together. Internal to rules/.
//
// Each list has spoken for itself (list.h). Among them: an important block, then an important allow, then a
// block, then an allow; of equals the first in the policy. Thread: any once built.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/list.h"
#include "rules/policy.h"

namespace postern {

// A list as a policy uses it.
struct ListSpec {
  std::shared_ptr<const List> list;
  ListRequest request;
  bool observes = false;
  std::string place;  // "p.yaml:7:5"
};

class PolicyLists {
 public:
  // What the lists say of one query.
  struct Voice {
    bool speaks = false;
    ListAction action = ListAction::block;
    RuleId rule = 0;
    const Answer* local = nullptr;
    std::uint32_t line = 0;
    int rank = 0;
    bool allowed_beneath = false;  // true also where none speaks
    // What decided blocks every name below, too, and nothing in its list allows one: no need to ask for
    // those.
    bool blocks_below = false;
  };
  static constexpr std::size_t actions = 5;  // texts of a list: one for each ListAction
  // What a block of a list stands at among other claims: important block 4, important allow 3, block 2,
  // allow 1.
  static constexpr int ranks = 5;

  // `first`: the id of the first text; the list at `index` has `actions` of them from there on.
  void add(const ListSpec& list, RuleId first);
  bool empty() const noexcept { return uses_.empty(); }
  Voice judge(const Query& query) const noexcept;
  // What refuses an answer for an address in it: the range of a list, as a rule (0: nothing), and what the
  // list answers in its place (null: nothing).
  struct RangeVoice {
    RuleId rule = 0;
    const Answer* local = nullptr;
    std::size_t list = 0;
    AddressRange range;
    // Of two for one answer: the first list in the policy, then the longer prefix (an IPv4 range counts as
    // one of IPv4-mapped addresses), then the lower address (draft-vixie-dnsop-dns-rpz, precedence rules).
    bool beats(const RangeVoice& other) const noexcept;
  };
  RangeVoice judge_address(const Address& address, Type type) const noexcept;
  // What one list says, by its index among those that were added.
  Voice one(std::size_t index, const Query& query) const noexcept;
  std::size_t size() const noexcept { return uses_.size(); }

  // "p.yaml:7:5 list ads.txt: block"
  static std::string text(const ListSpec& list, ListAction action);

 private:
  struct Use {
    std::shared_ptr<const List> list;
    bool allows;
    RuleId first;
  };
  std::vector<Use> uses_;
};

}  // namespace postern
