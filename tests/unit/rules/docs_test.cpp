// docs/RULES.md: every example in it is a policy that Postern reads, and its tables are the code's.
#include <fstream>
#include <sstream>

#include "rules/address.h"
#include "rules/explain.h"
#include "rules/special.h"
#include "support.h"

using namespace postern;

namespace {

std::string document() {
  std::ifstream file(std::string(POSTERN_SOURCE_DIR) + "/docs/RULES.md");
  REQUIRE(file.good());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> yaml_blocks(const std::string& text) {
  std::vector<std::string> blocks;
  std::istringstream lines(text);
  std::string line;
  bool inside = false;
  while (std::getline(lines, line)) {
    if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      blocks.back() += line + "\n";
    } else if (line == "```yaml") {
      inside = true;
      blocks.emplace_back();
    }
  }
  REQUIRE_FALSE(inside);
  return blocks;
}

}  // namespace

TEST_CASE("every yaml example in docs/RULES.md is read") {
  const auto blocks = yaml_blocks(document());
  CHECK(blocks.size() >= 3);
  for (const std::string& block : blocks) {
    CAPTURE(block);
    const auto set = PolicySet::parse(block, "docs/RULES.md");
    CHECK_MESSAGE(set.has_value(), (set ? "" : set.error().message));
    if (set) CHECK(test_expectations(**set).unmet.empty());
  }
}

TEST_CASE("docs/RULES.md has examples of observing and of expectations, and they do what the text says") {
  std::size_t expectations = 0;
  for (const std::string& block : yaml_blocks(document())) {
    const auto set = postern::test::policies(block);
    expectations += test_expectations(*set).expectations;
    const auto careful = set->find("careful");
    if (!careful) continue;
    const Verdict trial = set->find("")->decide({postern::test::name("other.example"), type::A});
    CHECK(trial.action == Action::allow);
    CHECK(set->find("")->rule_text(trial.rule) == "would block: p.yaml:4:14 default block");
    CHECK(document().find("`would block: policy.yaml:4:14 default block`") != std::string::npos);
    const Verdict ads = careful->decide({postern::test::name("x.ads.example.com"), type::A});
    CHECK(ads.action == Action::allow);
    CHECK(ads.observed);
    CHECK(postern::test::decide(*careful, "x.ads.example.org") == "NXDOMAIN default");
  }
  CHECK(expectations >= 6);
}

TEST_CASE("docs/RULES.md names every special zone and every address range") {
  const std::string text = document();
  for (const SpecialName& special : special_names()) {
    if (special.zone.ends_with(".arpa") && special.kind != SpecialKind::no_data &&
        special.zone != "home.arpa" && special.zone != "service.arpa")
      continue;  // reverse zones: by RFC
    CHECK_MESSAGE(text.find("`" + std::string(special.zone) + "`") != std::string::npos, special.zone);
  }
  for (const AddressClass& refused : address_classes()) {
    const std::size_t colon = refused.what.find(": "), end = refused.what.find_first_of(" ,", colon + 2);
    const std::string range(refused.what.substr(colon + 2, end - colon - 2));
    CHECK_MESSAGE(text.find("`" + range + "`") != std::string::npos, range);
  }
}

TEST_CASE("the complete example of docs/RULES.md does what the text says") {
  const auto set = postern::test::policies(yaml_blocks(document()).front());
  const auto main = set->find("");
  CHECK(postern::test::decide(*main, "mirrors.debian.org") == "allow rule");
  CHECK(postern::test::decide(*main, "debian.org") == "allow rule");
  CHECK(postern::test::decide(*main, "api.example.com") == "allow rule");
  CHECK(postern::test::decide(*main, "example.com") == "NODATA default");
  CHECK(postern::test::decide(*main, "www.example.org") == "allow rule");
  CHECK(postern::test::decide(*main, "x.www.example.org") == "NXDOMAIN default");
  CHECK(postern::test::decide(*main, "telemetry.example.com") == "NXDOMAIN rule");
  CHECK(postern::test::decide(*main, "elsewhere.example") == "NXDOMAIN default");
  CHECK(postern::test::decide(*main, "db.example.com") == "local data local_data");
  CHECK(postern::test::decide(*set->find("research"), "elsewhere.example") == "allow default");
  CHECK(postern::test::decide(*set->find("research"), "telemetry.example.com") == "NXDOMAIN rule");
  CHECK(set->find("research")->on_tunnel() == Response::quarantine);
}
