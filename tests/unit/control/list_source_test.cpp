// Whoever checks a policy for the daemon finds the lists that the daemon finds, and no others.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "resolver/control/list_source.h"
#include "rules/list.h"

using namespace postern;

namespace {

struct Folders {
  Folders() {
    char name[] = "/tmp/postern-lists-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    root = name;
    for (const char* folder : {"policy", "policy/sub", "more", "else"})
      std::filesystem::create_directory(root / folder);
    for (const char* file : {"policy/a", "policy/sub/b", "more/c", "else/d"})
      std::ofstream(root / file) << "ads.example\n";
    std::filesystem::create_symlink("a", root / "policy/inside");
    std::filesystem::create_symlink("../else/d", root / "policy/outside");
  }
  ~Folders() { std::filesystem::remove_all(root); }
  std::string said(const std::string& file) const {
    ListRequest request;
    request.file = file;
    const auto list = lists_below({(root / "policy").string(), (root / "more").string()})(request);
    return list ? std::to_string((*list)->report().entries) : list.error().message;
  }
  std::filesystem::path root;
};

}  // namespace

TEST_CASE("a list lies beside the policy, below it, or in a folder that is named; nothing leads out") {
  const Folders here;
  const std::string root = here.root.string(), policy = "in \"" + root + "/policy\": ";
  const std::string leads_out = "it leads out of the folder; list_folders names further ones";
  CHECK(here.said("a") == "1");
  CHECK(here.said("sub/b") == "1");
  CHECK(here.said("sub/../a") == "1");
  CHECK(here.said("inside") == "1");
  CHECK(here.said(root + "/policy/a") == "1");
  CHECK(here.said(root + "/more/c") == "1");
  CHECK(here.said(root + "/more/../else/d") ==
        "cannot read list \"" + root +
            "/more/../else/d\": it is neither beside the policy file nor in "
            "one of the list_folders");
  CHECK(here.said("../else/d") == "cannot read list \"../else/d\" " + policy + leads_out);
  CHECK(here.said("outside") == "cannot read list \"outside\" " + policy + leads_out);
  CHECK(here.said("sub") == "cannot read list \"sub\" " + policy + "it is not a plain file");
}
