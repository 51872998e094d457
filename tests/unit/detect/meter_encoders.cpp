// Encoders of every kind against the meter: a receiver that decodes all that gets through never has more than
// the budget.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>

#include "meter_names.h"

using namespace postern;
using sample::ask_of;
using sample::Dice;
using sample::digits;

namespace {

// The next name to send and how many bits of the secret it carries.
struct Sent {
  std::string name;
  double bits;
};
using Encoder = std::function<Sent(Dice&, std::size_t count)>;

struct Leak {
  double total = 0, largest_zone = 0, charged = 0;
  std::size_t forwarded = 0;
};

Leak run(const Encoder& encoder, const char* budgets, std::size_t attempts = 6000) {
  SessionMeter meter = sample::meter_with(*profile(budgets));
  Dice dice(99);
  std::map<std::string, double> zones;
  Leak leak;
  for (std::size_t i = 0; i < attempts; ++i) {
    const Sent sent = encoder(dice, i);
    const Query query{*Name::parse(sent.name), type::A};
    const Admission admission = meter.admit(ask_of(query));
    if (!admission.admitted) continue;
    leak.total += sent.bits;
    zones[registered_domain(query.name).text()] += sent.bits;
    leak.charged += admission.charge.bits();
    ++leak.forwarded;
  }
  for (const auto& [zone, bits] : zones) leak.largest_zone = std::max(leak.largest_zone, bits);
  return leak;
}

Encoder plain(const std::string& alphabet, std::size_t length, const std::string& zone) {
  return [=](Dice& dice, std::size_t) {
    return Sent{digits(dice, alphabet, length) + "." + zone,
                static_cast<double>(length) * std::log2(static_cast<double>(alphabet.size()))};
  };
}

void holds(const char* what, const Encoder& encoder, double least_use = 0.3) {
  for (const char* budgets : {"code", "browse", "strict"}) {
    const Budgets limit = *profile(budgets);
    const Leak leak = run(encoder, budgets);
    INFO(what << " under " << budgets << ": " << leak.total / 8 << " octets in all, " << leak.largest_zone / 8
              << " to one zone, " << leak.forwarded << " forwarded, charged " << leak.charged / 8);
    CHECK(leak.largest_zone <= static_cast<double>(limit.zone) * 8);
    CHECK(leak.total <= static_cast<double>(limit.session) * 8);
    if (std::string(budgets) == "strict") continue;  // may refuse a long name outright
    CHECK(leak.forwarded > 0);
    CHECK(leak.total >= least_use * std::min(static_cast<double>(limit.zone) * 8,
                                             leak.charged));  // and is not cut for nothing
  }
}

}  // namespace

TEST_CASE("hex, base32, base36 and decimal labels of several lengths stay within the bound") {
  for (const std::size_t length : {2u, 8u, 32u, 60u}) {
    holds("hex", plain(sample::hex, length, "t.example.com"), 0.2);
    holds("base32", plain(sample::base32, length, "example.com"), 0.2);
    holds("base36", plain(sample::base36, length, "example.com"), 0.2);
    holds("decimal", plain(sample::decimal, length, "example.com"), 0.2);
  }
}

TEST_CASE("words from a dictionary of 2,048 stay within the bound") {
  const auto words = [](std::size_t count, const std::string& between) -> Encoder {
    return [=](Dice& dice, std::size_t) {
      std::string name;
      for (std::size_t i = 0; i < count; ++i)
        name += (i == 0 ? "" : between) + sample::words()[dice() % 2048];
      return Sent{name + ".example.com", 11.0 * static_cast<double>(count)};
    };
  };
  holds("one word", words(1, ""));
  holds("four words in a label", words(4, "-"));
  holds("five words as labels", words(5, "."));
}

TEST_CASE("labels of two characters stay within the bound") {
  holds("two characters", plain(sample::base36, 2, "example.com"));
  holds("twenty labels of two characters", [](Dice& dice, std::size_t) {
    std::string name;
    for (int i = 0; i < 20; ++i) name += digits(dice, sample::base36, 2) + ".";
    return Sent{name + "example.com", 20 * 2 * std::log2(36.0)};
  });
}

TEST_CASE("one-character names, where the moment's 8 bits are more than the name's, stay within the bound") {
  holds("one character", plain(sample::base36, 1, "example.com"));
}

TEST_CASE("hopping over private suffixes stays within the parent's bound") {
  const Encoder hop = [](Dice& dice, std::size_t) {
    return Sent{digits(dice, sample::base36, 10) + ".cloudfront.net", 10 * std::log2(36.0)};
  };
  for (const char* budgets : {"code", "browse", "strict"}) {
    const Leak leak = run(hop, budgets);
    CHECK(leak.total <= static_cast<double>(profile(budgets)->parent) * 8);
    CHECK(leak.forwarded > 5);
  }
}

TEST_CASE("replaying 64 names, first paid for, stays within the bound: 6 bits a forward at most") {
  holds(
      "repeat only",
      [](Dice& dice, std::size_t i) {
        const std::size_t which = i < 64 ? i : dice() % 64;
        return Sent{"n" + std::to_string(which) + ".example.com", i < 64 ? 0.0 : 6.0};
      },
      0.1);
}

TEST_CASE("replaying 64 names of the public list stays within the session's bound") {
  const KnownNames known({}, true);
  REQUIRE(known.size() >= 64);
  const Encoder replay = [&](Dice& dice, std::size_t) {
    const auto wire = known.table().at(static_cast<NameTable::Id>(dice() % 64));
    return Sent{Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()})->text(),
                6.0};
  };
  for (const char* budgets : {"code", "browse", "strict"}) {
    const Leak leak = run(replay, budgets);
    CHECK(leak.total <= static_cast<double>(profile(budgets)->session) * 8);
    CHECK(leak.largest_zone <= static_cast<double>(profile(budgets)->known_zone) * 8);
  }
}

TEST_CASE("64 zones leak no more than the session's budget, and which zone is asked counts") {
  const Encoder spread = [](Dice& dice, std::size_t) {
    return Sent{digits(dice, sample::hex, 30) + ".zone" + std::to_string(dice() % 64) + ".com", 30 * 4 + 6.0};
  };
  holds("64 zones", spread);
  const Encoder which_zone = [](Dice& dice, std::size_t) {
    return Sent{"zone" + std::to_string(dice() % 64) + ".com", 6.0};
  };
  holds("which of 64 zones", which_zone, 0.1);
}
