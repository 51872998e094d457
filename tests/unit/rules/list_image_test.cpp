// Images of lists: what comes back is what was written, and damage is found.
#include "rules/list_image.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "rules/list_text.h"
#include "support.h"

using namespace postern;
using postern::test::name;

namespace {

SharedOctets shared(const std::vector<std::uint8_t>& octets) {
  auto* const copy = new std::uint8_t[octets.size() + 1];  // at a multiple of 16
  std::copy(octets.begin(), octets.end(), copy);
  return {std::shared_ptr<const std::uint8_t[]>(copy), octets.size()};
}

std::string error_of(const std::vector<std::uint8_t>& octets) {
  const auto read = ListImage::read(shared(octets));
  return read ? "no error" : read.error().message;
}

ListOptions options(ListFormat format) {
  ListOptions made;
  made.file = "l.txt";
  made.format = format;
  return made;
}

std::shared_ptr<const List> built(std::string_view text, ListFormat format) {
  const auto list = List::build(text, options(format));
  REQUIRE_MESSAGE(list.has_value(), (list ? "" : list.error().message));
  return *list;
}

constexpr std::string_view rpz_text = R"($ORIGIN rpz.example.
$TTL 60
@ SOA ns.rpz.example. host.rpz.example. 1 2 3 4 5
ads.example.com CNAME .
*.ads.example.com CNAME .
ok.ads.example.com CNAME rpz-passthru.
empty.example.com CNAME *.
drop.example.com CNAME rpz-drop.
db.example.com A 192.0.2.7
db.example.com TXT "hello"
alias.example.com CNAME elsewhere.example.net.
24.0.2.0.192.rpz-ip CNAME .
8.0.0.0.10.rpz-ip CNAME rpz-passthru.
128.1.zz.rpz-ip A 192.0.2.9
nonsense line here that is not read
)";

constexpr std::string_view adblock_text = R"(! Title: a list
||ads.example.com^
@@||ok.ads.example.com^
||typed.example.com^$dnstype=AAAA
||most.example.com^$denyallow=good.most.example.com
||strong.example.com^$important
||popup.example.com^$popup
)";

// Whatever can be asked, asked of both.
void check_same(const List& one, const List& other) {
  for (const char* text : {"ads.example.com", "x.ads.example.com", "ok.ads.example.com", "empty.example.com",
                           "drop.example.com", "db.example.com", "alias.example.com", "typed.example.com",
                           "x.most.example.com", "good.most.example.com", "strong.example.com",
                           "popup.example.com", "example.com", "com", ".", "www.example.org"}) {
    for (const Type type : {type::A, type::AAAA, type::TXT, type::CNAME}) {
      CAPTURE(text);
      const ListFinding a = one.judge({name(text), type}), b = other.judge({name(text), type});
      CHECK(a.spoke == b.spoke);
      CHECK(a.action == b.action);
      CHECK(a.important == b.important);
      CHECK(a.scope == b.scope);
      CHECK(a.depth == b.depth);
      CHECK(a.line == b.line);
      CHECK(a.allowed_beneath == b.allowed_beneath);
      REQUIRE((a.local == nullptr) == (b.local == nullptr));
      if (a.local == nullptr) continue;
      REQUIRE(a.local->answer.size() == b.local->answer.size());
      for (std::size_t i = 0; i < a.local->answer.size(); ++i) {
        CHECK(a.local->answer[i].rdata == b.local->answer[i].rdata);
        CHECK(a.local->answer[i].ttl == b.local->answer[i].ttl);
        CHECK(a.local->answer[i].owner == b.local->answer[i].owner);
      }
    }
  }
  for (const char* text : {"192.0.2.0", "192.0.2.255", "192.0.3.0", "10.255.255.255", "11.0.0.0", "::1"}) {
    const ListRange* const a = one.range_for(*Address::parse(text));
    const ListRange* const b = other.range_for(*Address::parse(text));
    REQUIRE((a == nullptr) == (b == nullptr));
    if (a == nullptr) continue;
    CHECK(a->line == b->line);
    CHECK(a->action == b->action);
    const RangeFinding c = one.judge_address(*Address::parse(text), type::A),
                       d = other.judge_address(*Address::parse(text), type::A);
    CHECK(c.action == d.action);
    REQUIRE((c.local == nullptr) == (d.local == nullptr));
    if (c.local != nullptr) CHECK(c.local->answer[0].rdata == d.local->answer[0].rdata);
  }
  const ListReport &a = one.report(), &b = other.report();
  CHECK(a.format == b.format);
  CHECK(a.lines == b.lines);
  CHECK(a.blank == b.blank);
  CHECK(a.entries == b.entries);
  CHECK(a.ranges == b.ranges);
  REQUIRE(a.skipped.size() == b.skipped.size());
  for (std::size_t i = 0; i < a.skipped.size(); ++i) {
    CHECK(a.skipped[i].cause == b.skipped[i].cause);
    CHECK(a.skipped[i].lines == b.skipped[i].lines);
    CHECK(a.skipped[i].first == b.skipped[i].first);
  }
}

}  // namespace

TEST_CASE("a list read back from its image says the same") {
  for (const auto& [text, format] :
       {std::pair{rpz_text, ListFormat::rpz}, {adblock_text, ListFormat::adblock}}) {
    const auto list = built(text, format);
    CHECK(list->judge({name("ads.example.com"), type::A}).spoke);
    CHECK(list->report().skipped_lines() > 0);
    ImageHeader header;
    header.source = {text.size(), 17, 18, 19, 20};
    header.source_digest = sha256({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    header.recipe = recipe_of(options(format));
    header.made_ns = 99;
    const std::vector<std::uint8_t> image = ListImage::write(*list, header);
    const auto head = ListImage::read_header(image);
    REQUIRE(head.has_value());
    CHECK(head->source == header.source);
    CHECK(head->source_digest == header.source_digest);
    CHECK(head->recipe == header.recipe);
    CHECK(head->made_ns == 99);
    CHECK(head->octets == image.size());
    CHECK(head->matches(text.size(), 17));
    CHECK(!head->matches(text.size() + 1, 17));
    CHECK(!head->matches(text.size(), 16));
    const auto again = ListImage::read(shared(image));
    REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().message));
    check_same(*list, **again);
    // And once more: an image of what was read from an image.
    const auto third = ListImage::read(shared(ListImage::write(**again, header)));
    REQUIRE(third.has_value());
    check_same(*list, **third);
  }
}

TEST_CASE("a list without any entry has an image too") {
  ListBuilder builder;
  const auto list = builder.finish({});
  REQUIRE(list.has_value());
  const auto again = ListImage::read(shared(ListImage::write(**list, {})));
  REQUIRE(again.has_value());
  CHECK(!(*again)->judge({name("example.com"), type::A}).spoke);
}

TEST_CASE("an image that is cut off anywhere is an error, and so is one with an octet more") {
  std::vector<std::uint8_t> image = ListImage::write(*built(adblock_text, ListFormat::adblock), {});
  for (std::size_t size = 0; size < image.size(); ++size) {
    const std::vector<std::uint8_t> cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
    if (error_of(cut) == "no error") FAIL(size);
  }
  CHECK(error_of(image) == "no error");
  image.push_back(0);
  CHECK(error_of(image) == "cannot read the image of a list: it has " + std::to_string(image.size()) +
                               " octets of " + std::to_string(image.size() - 1));
}

TEST_CASE("a changed bit anywhere is found") {
  const std::vector<std::uint8_t> image = ListImage::write(*built(rpz_text, ListFormat::rpz), {});
  for (std::size_t at = 0; at < image.size(); ++at) {
    std::vector<std::uint8_t> changed = image;
    changed[at] ^= static_cast<std::uint8_t>(1 << at % 8);
    if (error_of(changed) == "no error") FAIL(at);
  }
}

TEST_CASE("damage under a checksum that fits is an error or another list, never a read outside") {
  const std::vector<std::uint8_t> image = ListImage::write(*built(rpz_text, ListFormat::rpz), {});
  std::mt19937 random(8);
  std::size_t read = 0;
  for (std::size_t i = 0; i < 4000; ++i) {
    std::vector<std::uint8_t> changed = image;
    for (std::size_t k = 0; k <= i % 3; ++k)
      changed[i < image.size() && k == 0 ? i : random() % changed.size()] =
          static_cast<std::uint8_t>(random());
    ListImage::seal(changed);
    const auto list = ListImage::read(shared(changed));
    if (!list) continue;
    ++read;
    for (const char* text : {"ads.example.com", "x.ads.example.com", "db.example.com", "a.b.c.d.e.f", "."})
      (void)(*list)->judge({name(text), type::A});
    (void)(*list)->range_for(*Address::parse("192.0.2.1"));
  }
  CHECK(read > 0);
}

TEST_CASE("other versions, byte orders and files are told apart") {
  const std::vector<std::uint8_t> image = ListImage::write(*built(rpz_text, ListFormat::rpz), {});
  std::vector<std::uint8_t> changed = image;
  changed[0] = 'p';
  CHECK(error_of(changed) == "cannot read the image of a list: it does not begin like one");
  changed = image;
  std::swap(changed[8], changed[11]);
  CHECK(error_of(changed).find("version") != std::string::npos);
  changed = image;
  ++changed[12];
  CHECK(error_of(changed) == "cannot read the image of a list: it is of version 5, this program writes 4");
}

TEST_CASE("a recipe changes with every option that changes what a list becomes") {
  const ListOptions plain = options(ListFormat::hosts);
  CHECK(recipe_of(plain) == recipe_of(plain));
  CHECK(recipe_of(plain, ListMeaning::allows) != recipe_of(plain));
  ListOptions other = plain;
  other.format.reset();
  CHECK(recipe_of(other) != recipe_of(plain));
  other = plain;
  other.subdomains = true;
  CHECK(recipe_of(other) != recipe_of(plain));
  other = plain;
  other.allow_public_suffix = true;
  CHECK(recipe_of(other) != recipe_of(plain));
  other = plain;
  other.file = "m.txt";
  CHECK(recipe_of(other) != recipe_of(plain));
  other = plain;
  other.most_entries = 5;
  CHECK(recipe_of(other) != recipe_of(plain));
}

TEST_CASE("a list may be gzip; a damaged one is an error with the file's name") {
  // "example.com\n" by gzip -n
  const std::string packed(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\xad\x48\xcc\x2d\xc8"
      "\x49\xd5\x4b\xce\xcf\xe5\x02\x00\xf5\xf7\xdc\x80\x0c\x00\x00\x00",
      32);
  const auto list = List::build(packed, options(ListFormat::domains));
  REQUIRE_MESSAGE(list.has_value(), (list ? "" : list.error().message));
  CHECK((*list)->judge({name("example.com"), type::A}).line == 1);
  const auto damaged = List::build(packed.substr(0, 20), options(ListFormat::domains));
  REQUIRE(!damaged.has_value());
  CHECK(damaged.error().message.starts_with("cannot read list l.txt: "));
}
