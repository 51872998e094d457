// The path's promise: decide, inspect and rule_text allocate nothing.
#include <cstdlib>
#include <new>

#include "support.h"

namespace {
thread_local std::size_t allocations = 0;
}

// Not inlined: GCC would see malloc and free on their own and warn of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

using namespace postern;
using postern::test::name;

TEST_CASE("decide, inspect and rule_text allocate nothing") {
  const auto policy = postern::test::policy(R"(
observe: ["**.example.net", www.example.com]
allow: ["**.example.com"]
block: [bad.example.com, "**.tracker.example"]
hosts: {db.example.com: 10.0.0.1}
answers: {allow: [{name: "**.example.com", range: 10.0.0.0/8}]}
)");
  std::vector<Query> queries;
  for (const char* text :
       {"www.example.com", "bad.example.com", "db.example.com", "a.localhost", "a.b.internal", "db",
        "a\\032b.example.net", "other.example.net", ".", "metadata.google.internal"})
    for (const Type type : {type::A, type::NULL_}) queries.push_back({name(text), type});
  Answer answer;
  answer.answer.push_back(
      {name("www.example.com"), type::CNAME, 60, {1, 'a', 7, 't', 'r', 'a', 'c', 'k', 'e', 'r', 0}});
  answer.answer.push_back({name("a"), type::HTTPS, 60, {0, 1, 0, 0, 4, 0, 4, 8, 8, 8, 8}});
  answer.answer.push_back({name("a"), type::A, 60, {10, 0, 0, 1}});
  std::size_t octets = 0;
  const std::size_t before = allocations;
  for (const Query& query : queries) {
    octets += policy->rule_text(policy->decide(query).rule).size();
    octets += policy->rule_text(policy->inspect(query, answer).rule).size();
  }
  CHECK(allocations == before);
  CHECK(octets > 0);
  const auto counted = std::make_unique<int>(1);
  CHECK(allocations > before);  // the counter works
}
