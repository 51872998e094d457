// The cache: bounds, order, TTL rules.
#include <doctest/doctest.h>

#include "resolver/path/cache.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<CacheEntry> entry(const std::string& name, std::size_t octets, Instant expires) {
  auto made = std::make_shared<CacheEntry>();
  made->query = {*Name::parse(name), type::A};
  made->rendered.message.resize(octets);
  made->expires = expires;
  return made;
}

Answer answer_with_ttl(std::uint32_t ttl) {
  Answer answer;
  answer.answer.push_back({*Name::parse("a.example"), type::A, ttl, {1, 2, 3, 4}});
  return answer;
}

}  // namespace

TEST_CASE("the cache never holds more than its limit, and the least recently used go first") {
  Cache cache(100'000);
  for (int i = 0; i < 1000; ++i) {
    cache.insert(entry("n" + std::to_string(i) + ".example", 500, 10s));
    CHECK(cache.octets() <= 100'000);
    CHECK(cache.find({*Name::parse("n0.example"), type::A}, 1s) != nullptr);  // used every time: stays
  }
  CHECK(cache.find({*Name::parse("n1.example"), type::A}, 1s) == nullptr);
  CHECK(cache.find({*Name::parse("n999.example"), type::A}, 1s) != nullptr);
  CHECK(cache.find({*Name::parse("n999.example"), type::AAAA}, 1s) == nullptr);
}

TEST_CASE("one huge answer does not push out all others") {
  Cache cache(100'000);
  cache.insert(entry("a.example", 500, 10s));
  cache.insert(entry("huge.example", 60'000, 10s));
  CHECK(cache.find({*Name::parse("huge.example"), type::A}, 1s) == nullptr);
  CHECK(cache.find({*Name::parse("a.example"), type::A}, 1s) != nullptr);
}

TEST_CASE("an entry ends with its last microsecond") {
  Cache cache;
  cache.insert(entry("a.example", 100, 10s));
  CHECK(cache.find({*Name::parse("a.example"), type::A}, 10s - 1us) != nullptr);
  CHECK(cache.find({*Name::parse("a.example"), type::A}, 10s) == nullptr);
  CHECK(cache.size() == 0);
}

TEST_CASE("TTLs are raised to 5 seconds and cut at a day; a failure is not kept") {
  struct Row {
    std::uint32_t ttl;
    long kept;
  };
  for (const Row& row : {Row{0, 5}, {4, 5}, {5, 5}, {6, 6}, {86400, 86400}, {86401, 86400}}) {
    Answer answer = answer_with_ttl(row.ttl);
    CHECK(settle_ttls(answer).count() == row.kept);
    CHECK(answer.answer[0].ttl == row.kept);
  }
  Answer failed = answer_with_ttl(60);
  failed.rcode = 2;
  CHECK(settle_ttls(failed).count() == 0);
  Answer without_soa;
  without_soa.rcode = 3;
  CHECK(settle_ttls(without_soa).count() == 5);
}
