// The broker's key: what it signs, what it never signs again, and what it leaves behind.
#include "resolver/sandbox/broker_seal.h"

#include <fstream>

#include "broker_support.h"
#include "resolver/sandbox/broker_wire.h"

using namespace postern;
using namespace sandbox_test;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t now_us = 1'700'000'000'000'000;

HeadToSign head(std::int64_t block, std::uint8_t content = 1, std::uint8_t journal = 1) {
  HeadToSign wanted;
  wanted.journal.fill(journal);
  wanted.block = block;
  wanted.records = block * 1000;
  wanted.head.fill(content);
  return wanted;
}

HeadSigner must_open(const std::string& key) {
  auto signer = HeadSigner::open(key);
  if (!signer) FAIL(signer.error().message);
  return std::move(*signer);
}

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("a key is made once, for its owner alone, and its public half for everybody") {
  const Folder folder;
  const std::string path = folder.path() + "/seal/key";
  const PublicKey first = must_open(path).key();
  CHECK(must_open(path).key() == first);
  struct stat about {};
  REQUIRE(stat(path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  REQUIRE(stat((path + ".state").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  const auto read = read_public_key(path + ".pub");
  REQUIRE(read.has_value());
  CHECK(*read == first);
  CHECK_FALSE(read_public_key(path).has_value());  // the private half is none
  REQUIRE(chmod(path.c_str(), 0640) == 0);
  const auto open_to_others = HeadSigner::open(path);
  REQUIRE_FALSE(open_to_others.has_value());
  CHECK(open_to_others.error().message.find(path) != std::string::npos);
}

TEST_CASE("a key that is none is refused, and left as it is") {
  const Folder folder;
  const std::string path = folder.path() + "/key";
  std::ofstream(path) << "not a key\n";
  REQUIRE(chmod(path.c_str(), 0600) == 0);
  CHECK_FALSE(HeadSigner::open(path).has_value());
  CHECK(file_text(path) == "not a key\n");
}

TEST_CASE("the signer signs later blocks, the same one again, and never another history") {
  const Folder folder;
  const std::string path = folder.path() + "/key";
  auto signer = must_open(path);
  const auto at = HeadSigner::Clock::now();
  const auto first = signer.sign(head(1), now_us, at);
  REQUIRE(first.has_value());
  CHECK(first->fresh);
  CHECK(first->head.counter == 1);
  CHECK(first->head.time_us == now_us);
  CHECK(signature_fits(first->head));
  const auto later = signer.sign(head(7), now_us + 1, at);
  REQUIRE(later.has_value());
  CHECK(later->fresh);
  CHECK(later->head.counter == 2);
  const auto again = signer.sign(head(7), now_us + 2, at);  // its answer was lost
  REQUIRE(again.has_value());
  CHECK(again->fresh);
  CHECK(again->head.counter == 3);
  for (const HeadToSign& wrong : {head(7, 2), head(6), head(1)}) {
    const auto refused = signer.sign(wrong, now_us + 3, at);
    REQUIRE(refused.has_value());
    CHECK_FALSE(refused->fresh);
    CHECK(refused->head.block == 7);
    CHECK(refused->head.counter == 3);
    CHECK(refused->head.head == head(7).head);
    CHECK(signature_fits(refused->head));
  }
  // Another one with the same key remembers, and another journal has a count of its own.
  auto second = must_open(path);
  const auto remembered = second.sign(head(7, 2), now_us, at);
  REQUIRE(remembered.has_value());
  CHECK_FALSE(remembered->fresh);
  const auto other = second.sign(head(1, 2, 2), now_us, at);
  REQUIRE(other.has_value());
  CHECK(other->fresh);
  CHECK(other->head.counter == 1);
  // And the first one sees what the second has signed.
  REQUIRE(second.sign(head(9), now_us, at).has_value());
  const auto behind = signer.sign(head(8), now_us, at);
  REQUIRE(behind.has_value());
  CHECK_FALSE(behind->fresh);
}

TEST_CASE("a state that was torn while it was written keeps what was signed before") {
  const Folder folder;
  const std::string path = folder.path() + "/key";
  const auto at = HeadSigner::Clock::now();
  {
    auto signer = must_open(path);
    for (const std::int64_t block : {1, 2}) REQUIRE(signer.sign(head(block), now_us, at).has_value());
    REQUIRE(signer.sign(head(5, 1, 2), now_us, at).has_value());
  }
  const std::string whole = file_text(path + ".state");
  REQUIRE(whole.size() == 3 * state_record_octets);
  const auto with_octet_changed = [&](std::size_t where) {
    std::string state = whole;
    state[where] = static_cast<char>(state[where] + 1);
    std::ofstream(path + ".state", std::ios::binary) << state;
    return must_open(path);
  };
  {  // block 2's record, the second of the pair: block 1 is remembered
    auto signer = with_octet_changed(state_record_octets + 40);
    const auto refused = signer.sign(head(1, 9), now_us, at);
    REQUIRE(refused.has_value());
    CHECK_FALSE(refused->fresh);
    CHECK(signer.sign(head(2), now_us, at)->head.counter == 2);
  }
  {  // the last journal's only record: it never got its signature
    auto signer = with_octet_changed(2 * state_record_octets + 40);
    CHECK(signer.sign(head(5, 1, 2), now_us, at)->fresh);
    CHECK(signer.sign(head(2), now_us, at)->fresh);
  }
  {  // both of a pair: that no torn write does
    std::string state = whole;
    state[40] = state[state_record_octets + 40] = '!';
    std::ofstream(path + ".state", std::ios::binary) << state;
    auto signer = must_open(path);
    const auto damaged = signer.sign(head(5, 1, 2), now_us, at);
    REQUIRE_FALSE(damaged.has_value());
    CHECK(damaged.error().message.find("is damaged at octet 0") != std::string::npos);
  }
}

TEST_CASE("signatures are bounded in time, and journals in number") {
  const Folder folder;
  auto signer = must_open(folder.path() + "/key");
  auto at = HeadSigner::Clock::now();
  for (int i = 1; i <= HeadSigner::burst; ++i) CHECK(signer.sign(head(i), now_us, at).has_value());
  CHECK_FALSE(signer.sign(head(100), now_us, at).has_value());
  CHECK_FALSE(signer.sign(head(100), now_us, at + HeadSigner::one_more_after - 1ms).has_value());
  at += HeadSigner::one_more_after;
  CHECK(signer.sign(head(100), now_us, at).has_value());
  CHECK_FALSE(signer.sign(head(101), now_us, at).has_value());
  for (std::uint8_t journal = 2; journal <= HeadSigner::most_new_journals; ++journal) {
    at += HeadSigner::one_more_after;
    CHECK(signer.sign(head(1, 1, journal), now_us, at).has_value());
  }
  at += HeadSigner::one_more_after;
  CHECK_FALSE(signer.sign(head(1, 1, 200), now_us, at).has_value());
}

TEST_CASE("a broker signs for its resolver, appends the head outside and starts the program") {
  const Folder folder;
  const std::string hook = folder.path() + "/hook", told = folder.path() + "/told";
  std::ofstream(hook) << "#!/bin/sh\ncat > " << told << ".new && mv " << told << ".new " << told << "\n";
  REQUIRE(chmod(hook.c_str(), 0755) == 0);
  BrokerOptions options;
  options.seal = {folder.path() + "/key", folder.path() + "/heads.jsonl", hook, true};
  PublicKey key{};
  {
    BrokerProcess broker(options);
    BrokerClient& client = *broker.client;
    const auto signed_head = client.sign_head(head(3));
    REQUIRE_MESSAGE(signed_head.has_value(), signed_head.error().message);
    CHECK(signed_head->block == 3);
    CHECK(signature_fits(*signed_head));
    key = signed_head->key;
    const auto refused = client.sign_head(head(2));
    REQUIRE(refused.has_value());
    CHECK(refused->block == 3);
    broker.end();
  }
  CHECK(read_public_key(folder.path() + "/key.pub").value() == key);
  const std::string lines = file_text(folder.path() + "/heads.jsonl");
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 1);
  const auto line = read_signed_head(lines);
  REQUIRE(line.has_value());
  CHECK(line->block == 3);
  CHECK(file_text(told) == lines);  // the broker waits for the program before it ends
}

TEST_CASE("a broker without a key says so") {
  BrokerProcess broker{BrokerOptions{}};
  const auto none = broker.client->sign_head(head(1));
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().message == "cannot sign block 1: there is no key");
}
