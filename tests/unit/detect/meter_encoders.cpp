// Encoders of every kind against the meter: a receiver that decodes all that gets through never has more than
// the budget.
#include <doctest/doctest.h>

#include "encoders.h"
#include "meter_names.h"

using namespace postern;
using sample::ask_of;

namespace {

std::vector<Name> known_names() {
  const KnownNames known({}, true);
  std::vector<Name> names;
  for (NameTable::Id id = 0; id < known.size(); ++id) {
    const std::string_view wire = known.table().at(id);
    names.push_back(*Name::from_wire({reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()}));
  }
  return names;
}

// A patient sender: no name is in any cache when it is asked again, and a refused one is followed by the
// next.
struct Leak {
  std::uint64_t bits = 0, forwarded = 0, wrong = 0;
  double charged = 0;
};
Leak leak_of(const encoders::Pointer& encoder, const Budgets& budgets, std::size_t attempts) {
  SessionMeter meter = sample::meter_with(budgets);
  encoders::Sender sender(encoder, 99);
  Leak leak;
  for (std::size_t i = 0; i < attempts; ++i) {
    const Query query = sender.next();
    const Admission admission = meter.admit(ask_of(query));
    if (!admission.admitted) continue;
    sender.arrived(query);
    ++leak.forwarded;
    leak.charged += admission.charge.bits();
  }
  leak.bits = sender.decoded_bits();
  leak.wrong = sender.wrong();
  return leak;
}

std::uint64_t budget_of(const encoders::Encoder& encoder, const Budgets& budgets) {
  switch (encoder.held()) {
    case encoders::Encoder::Held::zone:
      return budgets.zone * 8;
    case encoders::Encoder::Held::parent:
      return budgets.parent * 8;
    case encoders::Encoder::Held::session:
      return budgets.session * 8;
  }
  return 0;
}

}  // namespace

TEST_CASE("every decoder reads back what its encoder wrote, and nothing out of another name") {
  for (const encoders::Pointer& encoder : encoders::all(known_names())) {
    CAPTURE(encoder->title());
    encoders::Sender sender(encoder, 5);
    std::uint64_t sent = 0;
    for (int i = 0; i < 500; ++i) {
      sender.arrived(sender.next());
      for (const unsigned bits : encoder->shape()) sent += bits;
    }
    CHECK(sender.wrong() == 0);
    CHECK(sender.decoded_bits() == sent);
    CHECK(encoder->decode({*Name::parse("WWW.else.example.org"), type::A}).groups.empty());
    // A receiver that gets something else than was sent does not count it.
    encoders::Sender other(encoder, 6);
    const Query first = sender.next();
    other.next();
    for (int i = 0; i < 40; ++i) other.next();
    other.arrived(first);
    CHECK(other.decoded_bits() <= 3);  // by chance at most a few bits are the same
  }
}

TEST_CASE(
    "whatever the encoding, the payload bits decoded stay within the budget, and it is not cut for nothing") {
  for (const char* name : {"code", "browse", "strict"}) {
    const Budgets budgets = *profile(name);
    for (const encoders::Pointer& encoder : encoders::all(known_names())) {
      const Leak leak = leak_of(encoder, budgets, 6000);
      const auto budget = static_cast<double>(budget_of(*encoder, budgets));
      INFO(encoder->title() << " under " << name << ": " << leak.bits / 8.0 << " octets decoded of "
                            << budget / 8 << ", " << leak.forwarded << " forwarded, charged "
                            << leak.charged / 8);
      CHECK(static_cast<double>(leak.bits) <= budget);
      CHECK(leak.bits <= budgets.session * 8);
      CHECK(leak.wrong == 0);
      if (std::string(name) == "strict") continue;  // may refuse a long name outright
      CHECK(leak.forwarded > 0);
      CHECK(static_cast<double>(leak.bits) >= 0.1 * std::min(budget, leak.charged));
    }
  }
}

TEST_CASE(
    "with a budget ten times as large an encoder gets more out than the budget: the test above can fail") {
  Budgets wide = *profile("code");
  wide.zone *= 10;
  wide.known_zone = wide.parent = wide.session = wide.zone * 4;
  const auto encoder = encoders::all(known_names()).front();
  CHECK(leak_of(encoder, wide, 6000).bits > budget_of(*encoder, *profile("code")));
}
