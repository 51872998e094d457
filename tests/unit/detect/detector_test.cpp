// The detector: who is flagged, how fast, how often it is told, and what it costs in memory.
#include "detect/detector.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

// A session and its clock. Zones here have two labels unless said otherwise.
struct Session {
  SessionDetector detector;
  Instant now = 1h;
  std::mt19937_64 random{7};

  explicit Session(std::size_t zones = 1024)
      : detector(SessionDetector::Limits{.zones = zones, .seed = 99}) {}

  Finding ask(const std::string& name, Type type = type::A, std::size_t labels = 2) {
    const Query query{Name::parse(name).value(), type};
    return detector.observe({.now = now, .query = &query, .registered_labels = labels});
  }
  std::string hex(std::size_t digits) {
    std::string out;
    while (out.size() < digits) out += "0123456789abcdef"[random() % 16];
    return out;
  }
};

// "host", 7, ".site.example": host7.site.example.
std::string numbered(std::string before, int number, const char* after) {
  before += std::to_string(number);
  return before += after;
}

// How many names it takes until something is called a tunnel; 0: not within `most`.
template <class MakeName>
int names_until_tunnel(Session& session, int most, Instant pause, MakeName make_name, Type type = type::A) {
  for (int i = 1; i <= most; ++i) {
    const Finding finding = session.ask(make_name(i), type);
    if (finding.crossed && finding.level == Level::tunnel) return i;
    session.now += pause;
  }
  return 0;
}

double part(const std::vector<Contribution>& why, std::string_view feature) {
  for (const Contribution& contribution : why)
    if (contribution.feature == feature) return contribution.value;
  FAIL("no such feature: " << feature);
  return 0;
}

}  // namespace

TEST_CASE("a single long name is quiet, however often and of whatever type it is asked") {
  Session session;
  const std::string name =
      "e5a6ae085b6c43020dea230eb0c0ecc33a188227507da97b8ecc05eb8beace6.us-east-1.prod.service.minerva."
      "devices.a2z.com";
  for (int i = 0; i < 2000; ++i) {
    const Finding finding = session.ask(name, i % 2 == 0 ? type::A : type::TXT);
    CHECK(finding.level == Level::quiet);
    CHECK(finding.score < 0.01);
    session.now += 100ms;
  }
}

TEST_CASE("hex in names is called a tunnel within 30 names, in A queries alone") {
  Session session;
  const int at =
      names_until_tunnel(session, 100, 50ms, [&](int) { return session.hex(32) + ".evil.example"; });
  CHECK(at > 8);
  CHECK(at <= 30);
}

TEST_CASE("one query every two seconds, or every minute, does not hide a tunnel") {
  for (const Instant pause : {Instant(2s), Instant(60s)}) {
    CAPTURE(pause.count());
    Session session;
    const int at =
        names_until_tunnel(session, 100, pause, [&](int) { return session.hex(32) + ".evil.example"; });
    CHECK(at > 0);
    CHECK(at <= 40);
  }
}

TEST_CASE("TXT and NULL queries are flagged in fewer names than addresses") {
  const auto until = [](Type type) {
    Session session;
    return names_until_tunnel(
        session, 100, 200ms, [&](int) { return session.hex(32) + ".evil.example"; }, type);
  };
  CHECK(until(type::TXT) < until(type::A));
  CHECK(until(type::NULL_) <= until(type::TXT));
  CHECK(until(type::NULL_) > 0);
}

TEST_CASE("hashed names of content networks are not called a tunnel") {
  Session session;
  const std::vector<std::string> names = {
      "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
      "k8s-cronus-cronus0s-736f02aeaf-144887da84306c05.elb.us-east-1.amazonaws.com",
      "github-production-repository-file-5c1aeb.s3.amazonaws.com",
      "github-production-user-asset-6210df.s3.amazonaws.com",
      "7ba3f64df98de730df38846b54ecfbdf7f61f80f.cws.conviva.com",
      "andr-785f3ec7eb-cbc62794911ff31b-c55635c491a5a663fa-2710522.na.api.amazonvideo.com",
      "fcf6e04155acfb1cc0cbbc89a5b5f284.safeframe.googlesyndication.com",
      "apimgmthsjgbvz4hufib7a8kgzfswryy50du5vrxd5d6cno2zn.cloudapp.net",
      "i-pinimg-com-cdn-cloudflare-net.pinimg.com.cdn.cloudflare.net",
      "_http._tcp.security.ubuntu.com",
  };
  for (int round = 0; round < 100; ++round) {
    for (const std::string& name : names) {
      const Finding finding = session.ask(name);
      CHECK_FALSE(finding.crossed);
    }
    session.now += 10s;
  }
}

TEST_CASE("eight hashed probe names of one zone, each asked twice, stay below suspect") {
  Session session;  // as network measurements of browsers do
  for (int i = 0; i < 8; ++i) {
    const std::string name = session.hex(32) + ".clo.footprintdns.com";
    CHECK(session.ask(name).level == Level::quiet);
    CHECK(session.ask(name, type::AAAA).level == Level::quiet);
    session.now += 1s;
  }
}

TEST_CASE("numbered shards and many ordinary hosts of one zone stay quiet") {
  Session session;
  double highest = 0;
  for (int i = 0; i < 600; ++i) {
    highest = std::max(highest, session.ask(numbered("valve", 100 + i % 70, ".steamcontent.com")).score);
    session.now += 500ms;
  }
  CHECK(highest < suspect_threshold);
}

TEST_CASE("repeats add to the rate but not to the distinct names") {
  Session session;
  for (int i = 0; i < 30; ++i) session.ask("www.site.example");
  const auto why = session.detector.explain(Name::parse("site.example").value(), 2);
  CHECK(part(why, "distinct") == doctest::Approx(1).epsilon(0.01));
  CHECK(part(why, "rate") > 15);
  CHECK(part(why, "fresh") < 0.05);
}

TEST_CASE("blocked and cached queries are observed like others") {
  Session session;
  Level highest = Level::quiet;
  for (int i = 0; i < 60; ++i) {
    const Query query{Name::parse(session.hex(32) + ".evil.example").value(), type::A};
    const Finding finding = session.detector.observe({.now = session.now,
                                                      .query = &query,
                                                      .registered_labels = 2,
                                                      .blocked = i % 2 == 0,
                                                      .cached = i % 2 == 1});
    highest = std::max(highest, finding.level);
    session.now += 1s;
  }
  CHECK(highest == Level::tunnel);
}

TEST_CASE("each rise is told exactly once, with reasons that add up to the score") {
  Session session;
  int suspect = 0, tunnel = 0;
  for (int i = 0; i < 3000; ++i) {
    const Finding finding = session.ask(session.hex(40) + ".evil.example", type::TXT);
    CHECK(finding.why.empty() == !finding.crossed);
    if (finding.crossed) {
      CHECK_FALSE(finding.session_wide);
      (finding.level == Level::tunnel ? tunnel : suspect) += 1;
      double sum = 0;
      for (const Contribution& contribution : finding.why) sum += contribution.weight;
      CHECK(sum == doctest::Approx(finding.score));
      CHECK(finding.why.front().weight >= finding.why.back().weight);
    }
    session.now += 1s;
  }
  CHECK(suspect == 1);
  CHECK(tunnel == 1);
}

TEST_CASE("evidence fades: after a day of quiet the zone starts anew, and a new rise is told again") {
  Session session;
  const auto burst = [&] {
    return names_until_tunnel(session, 60, 100ms, [&](int) { return session.hex(32) + ".evil.example"; });
  };
  CHECK(burst() > 0);
  CHECK(burst() == 0);  // the rise was told; nothing new
  session.now += 20min;
  CHECK(burst() == 0);  // not even after a pause
  session.now += 24h;
  const Finding quiet = session.ask("www.evil.example");
  CHECK(quiet.level == Level::quiet);
  CHECK(quiet.score < 0.05);
  session.now += 2h;
  session.ask("www.evil.example");  // below for longer than retell_after
  CHECK(burst() > 0);
}

TEST_CASE("names are forgotten after one to two hours, not sooner") {
  Session session;
  const auto distinct = [&] {
    return part(session.detector.explain(Name::parse("site.example").value(), 2), "distinct");
  };
  for (int i = 0; i < 20; ++i) session.ask(numbered("host", i, ".site.example"));
  CHECK(distinct() == doctest::Approx(20).epsilon(0.15));
  session.now += 59min;
  session.ask("host1.site.example");
  CHECK(distinct() == doctest::Approx(20).epsilon(0.15));
  session.now += 62min;
  session.ask("host1.site.example");
  session.now += 62min;
  session.ask("host1.site.example");
  CHECK(distinct() < 3);
}

TEST_CASE("a tunnel spread over 64 zones raises the session, and says that no single zone is to blame") {
  Session session;
  int at = 0;
  for (int i = 1; i <= 400 && at == 0; ++i) {
    const Finding finding = session.ask(session.hex(32) + numbered(".e", i % 64, ".example"));
    if (finding.crossed) CHECK(finding.session_wide);
    if (finding.crossed && finding.level == Level::tunnel) at = i;
    session.now += 1s;
  }
  CHECK(at > 32);
  CHECK(at <= 128);
}

TEST_CASE("a session that looks at ten thousand ordinary zones is not raised") {
  Session session;
  for (int i = 0; i < 10000; ++i) {
    const std::string zone = numbered("site", i, ".example");
    for (const char* host : {"www.", "cdn.", "api2.eu-west-1."})
      CHECK_FALSE(session.ask(host + zone).crossed);
    session.now += 200ms;
  }
}

TEST_CASE("after a tunnel in one zone the session is not told as well") {
  Session session;
  int wide = 0;
  for (int i = 0; i < 500; ++i) wide += session.ask(session.hex(40) + ".evil.example").session_wide;
  CHECK(wide == 0);
}

TEST_CASE("answers of unknown zones are ignored; NXDOMAIN and size count for known ones") {
  Session session;
  const Query query{Name::parse("a.site.example").value(), type::A};
  session.detector.answered(query, 2, 3, 100, session.now);
  CHECK(session.detector.zones() == 0);
  session.ask("a.site.example");
  session.detector.answered(query, 2, 3, 100, session.now);
  session.detector.answered(query, 2, 0, 300, session.now);
  const auto why = session.detector.explain(query.name, 2);
  CHECK(part(why, "nxdomain") == doctest::Approx(0.5));
  CHECK(part(why, "answer size") == doctest::Approx(200));
}

TEST_CASE("a hundred thousand zones stay within the limit and its memory formula") {
  constexpr std::size_t limit = 256;
  Session session(limit);
  const std::string filler(50, 'x');
  for (int i = 0; i < 100000; ++i)
    session.ask("www." + std::to_string(i) + filler + ".example-zone-with-a-long-name");
  CHECK(session.detector.zones() == limit);
  CHECK(session.detector.memory_octets() <= limit * (296 + 255 + 16) + 4096);
  Session idle;
  CHECK(idle.detector.memory_octets() < 1024);
}

TEST_CASE("a flagged zone outlives quiet ones when room is needed") {
  Session session(8);
  CHECK(names_until_tunnel(session, 60, 100ms, [&](int) { return session.hex(32) + ".evil.example"; }) > 0);
  for (int i = 0; i < 100; ++i) session.ask(numbered("www.other", i, ".example"));
  CHECK_FALSE(session.detector.explain(Name::parse("evil.example").value(), 2).empty());
  CHECK(session.detector.explain(Name::parse("other1.example").value(), 2).empty());
  CHECK_FALSE(session.detector.explain(Name::parse("other99.example").value(), 2).empty());
}

TEST_CASE("zones are told apart exactly, also after many were forgotten") {
  Session session(16);
  for (int i = 0; i < 5000; ++i) {
    session.ask(numbered("www.z", i * 7 % 40, ".example"));
    session.now += 1ms;
  }
  int known = 0;
  for (int i = 0; i < 40; ++i)
    known += !session.detector.explain(Name::parse(numbered("z", i, ".example")).value(), 2).empty();
  CHECK(known == 16);
}

TEST_CASE("names at the limits are taken: the root, 127 labels, 63-octet labels, counts that do not fit") {
  Session session;
  const std::string longest(63, 'f');
  std::string labels127;
  for (int i = 0; i < 127; ++i) labels127 += i == 0 ? "a" : ".a";
  for (const std::string& name : {std::string("."), std::string("com"), labels127,
                                  longest + "." + longest + "." + longest + "." + std::string(61, '0')}) {
    for (std::size_t labels : {0u, 1u, 2u, 126u, 127u, 128u, 100000u}) {
      const Finding finding = session.ask(name, type::NULL_, labels);
      CHECK(finding.score >= 0);
      CHECK(finding.score <= 1);
      const Query query{Name::parse(name).value(), type::A};
      session.detector.answered(query, labels, 3, 0, session.now);
      CHECK_FALSE(session.detector.explain(query.name, labels).empty());
    }
  }
}

TEST_CASE("a clock that steps backwards, or jumps by years, does no harm") {
  Session session;
  for (const Instant step :
       {Instant(0), Instant(-1h), Instant(24h * 365 * 20), Instant(-24h * 365 * 40), Instant(1us)}) {
    session.now += step;
    for (int i = 0; i < 50; ++i) {
      const double score = session.ask(session.hex(20) + ".evil.example").score;
      CHECK(score >= 0);
      CHECK(score <= 1);
    }
  }
}

TEST_CASE("a flood of fifty thousand names keeps its score: a full sketch forgets nothing") {
  Session session;
  double last = 0;
  for (int i = 0; i < 50000; ++i) last = session.ask(session.hex(40) + ".evil.example").score;
  CHECK(last > tunnel_threshold);
}

TEST_CASE("a level is told again only after an hour below it") {
  const auto told_again_after = [](Instant below) {
    Session session;
    const auto burst = [&] {
      return names_until_tunnel(session, 60, 100ms, [&](int) { return session.hex(32) + ".evil.example"; });
    };
    REQUIRE(burst() > 0);
    const auto is_tunnel = [&] { return session.ask("www.evil.example").level == Level::tunnel; };
    for (int step = 0; is_tunnel(); ++step) {
      REQUIRE(step < 1000);
      session.now += 1min;
    }
    session.now += below;
    session.ask("www.evil.example");
    return burst() > 0;
  };
  CHECK_FALSE(told_again_after(50min));
  CHECK(told_again_after(61min));
}

TEST_CASE("a level is left only well below its threshold") {
  Session session;
  REQUIRE(names_until_tunnel(session, 60, 1s, [&](int) { return session.hex(32) + ".evil.example"; }) > 0);
  int wavering = 0, left = 0;
  for (int i = 0; i < 600; ++i) {  // time takes the evidence away, slowly
    session.now += 1min;
    const Finding finding = session.ask("www.evil.example");
    CHECK_FALSE(finding.crossed);
    CHECK((finding.level == Level::tunnel) == (finding.score >= tunnel_threshold - hysteresis));
    wavering += finding.level == Level::tunnel && finding.score < tunnel_threshold;
    left += finding.level == Level::quiet;
  }
  CHECK(wavering > 0);
  CHECK(left > 0);
}

TEST_CASE("rates forget half in a minute, sums half in an hour") {
  Session session;
  for (int i = 0; i < 32; ++i) session.ask(session.hex(32) + ".evil.example");
  const Name zone = Name::parse("evil.example").value();
  const auto value = [&](const char* feature) { return part(session.detector.explain(zone, 2), feature); };
  const double encoded = value("encoded");
  CHECK(encoded > 32 * 32 * 0.35);
  CHECK(encoded < 32 * 32 * 0.75);
  CHECK(value("rate") == doctest::Approx(32 * 0.693).epsilon(0.01));
  session.now += 1min;
  session.ask("evil.example");
  CHECK(value("rate") == doctest::Approx(17 * 0.693).epsilon(0.01));
  session.now += 59min;
  session.ask("evil.example");
  CHECK(value("encoded") == doctest::Approx(encoded / 2).epsilon(0.01));
  CHECK(value("rate") == doctest::Approx(0.693).epsilon(0.01));
}

TEST_CASE("names asked now and then stay known for at least an hour") {
  Session session;
  for (int i = 0; i < 20; ++i) session.ask(numbered("host", i, ".site.example"));
  for (int i = 0; i < 5; ++i) {
    session.now += 11min;
    session.ask("host1.site.example");
  }
  CHECK(part(session.detector.explain(Name::parse("site.example").value(), 2), "distinct") > 15);
}

TEST_CASE("a zone met while the clock was wrong keeps its evidence when the clock is right again") {
  Session session;
  session.now = 10h;
  session.ask("www.other.example");
  session.now = 1h;
  for (int i = 0; i < 20; ++i) session.ask(numbered("host", i, ".site.example"));
  session.now = 10h;
  session.ask("host1.site.example");
  CHECK(part(session.detector.explain(Name::parse("site.example").value(), 2), "distinct") > 15);
}

TEST_CASE("the zone that was quiet for longest is forgotten first") {
  Session session(3);
  for (const char* name :
       {"www.a.example", "www.b.example", "www.c.example", "www.a.example", "www.d.example"})
    session.ask(name);
  const auto known = [&](const char* zone) {
    return !session.detector.explain(Name::parse(zone).value(), 2).empty();
  };
  CHECK(known("a.example"));
  CHECK_FALSE(known("b.example"));
  CHECK(known("c.example"));
  CHECK(known("d.example"));
}

TEST_CASE("fresh names are counted right also when the sketch fills up") {
  Session session;
  for (int i = 0; i < 500; ++i) session.ask(session.hex(40) + ".evil.example");
  const auto why = session.detector.explain(Name::parse("evil.example").value(), 2);
  CHECK(part(why, "distinct") == doctest::Approx(500).epsilon(0.25));
  CHECK(part(why, "fresh") > 0.85);
}
