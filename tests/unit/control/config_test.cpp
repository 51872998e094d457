// The daemon's configuration: what is accepted, and that every error quotes its place.
#include <doctest/doctest.h>

#include "resolver/control/config.h"

using namespace postern;

TEST_CASE("a whole configuration is read, and relative paths are the file's own") {
  const auto config = parse_config(
      "state: /var/lib/p\njournal: /var/lib/p/j.db\ncontrol: c.sock\nupstream: [192.0.2.1, "
      "\"[2001:db8::1]:5353\"]\n"
      "workers: 3\npolicy: policies/p.yaml\nalert_exec: /bin/true\njournal_sync: full\n",
      "/etc/postern/postern.yaml");
  REQUIRE(config);
  CHECK(config->journal == "/var/lib/p/j.db");
  CHECK(config->control == "/etc/postern/c.sock");
  CHECK(config->policy == "/etc/postern/policies/p.yaml");
  CHECK(config->upstream.size() == 2);
  CHECK(config->upstream[1].text() == "[2001:db8::1]:5353");
  CHECK(config->workers == 3);
  CHECK(config->sync_full);
}

TEST_CASE("an empty file means the defaults") {
  const auto config = parse_config("", "/e.yaml");
  REQUIRE(config);
  CHECK(config->state == "/var/lib/postern");
  CHECK(config->journal == "/var/lib/postern/journal.db");
  CHECK(config->workers == 1);
}

TEST_CASE("what the journal keeps: ages, a size, and words for without limit") {
  const auto keep = [](const std::string& text) {
    const auto config = parse_config(text, "/k.yaml");
    REQUIRE_MESSAGE(config.has_value(), (config ? "" : config.error().message));
    return config->keep;
  };
  constexpr std::int64_t day_us = 86'400'000'000;
  CHECK(keep("").octets == std::int64_t{10} << 30);
  CHECK(keep("").queries_us == 0);
  const Retention given = keep("journal_keep: {queries: 30d, alerts: 52w, size: 20 GiB}\n");
  CHECK(given.queries_us == 30 * day_us);
  CHECK(given.alerts_us == 364 * day_us);
  CHECK(given.octets == std::int64_t{20} << 30);
  CHECK(keep("journal_keep: {queries: 60m}\n").octets == std::int64_t{10} << 30);
  CHECK(keep("journal_keep: {alerts: forever, size: unlimited}\n").keeps_all());
  CHECK(keep("journal_keep: {size: 16MiB}\n").octets == 16 << 20);
}

TEST_CASE("an audit group is a name or a number of this host's, and another is quoted with its place") {
  const auto given = [](const std::string& text) {
    return parse_config("audit_group: " + text + "\n", "c.yaml");
  };
  CHECK(given("root")->audit_group == gid_t{0});
  CHECK(given("4242")->audit_group == gid_t{4242});
  CHECK_FALSE(parse_config("workers: 2\n", "c.yaml")->audit_group.has_value());
  for (const char* bad : {"no-such-group", "-1", "4294967295", "42x", "[a]", "\"\""}) {
    CAPTURE(bad);
    const auto refused = given(bad);
    REQUIRE(!refused.has_value());
    CHECK(refused.error().message.starts_with("c.yaml:1:14: audit_group must be a group of this host"));
  }
}

TEST_CASE("errors name file, line and column and quote the value") {
  struct Row {
    const char* text;
    const char* message;
  };
  const Row rows[] = {
      {"workers: 0\n", "/c.yaml:1:10: workers must be a number from 1 to 64, not \"0\""},
      {"workers: 65\n", "/c.yaml:1:10: workers must be a number from 1 to 64, not \"65\""},
      {"workers: two\n", "/c.yaml:1:10: workers must be a number from 1 to 64, not \"two\""},
      {"\nwrokers: 1\n", "/c.yaml:2:1: unknown key \"wrokers\""},
      {"workers: 1\nworkers: 1\n", "/c.yaml:2:1: \"workers\" is given twice"},
      {"audit: on\n", "/c.yaml:1:8: audit must be \"strict\" or \"relaxed\", not \"on\""},
      {"journal_keep: 30d\n",
       "/c.yaml:1:15: journal_keep has queries, alerts and size, as in {queries: 30d, size: 20GiB}"},
      {"journal_keep: {days: 30}\n", "/c.yaml:1:16: journal_keep has queries, alerts and size, not \"days\""},
      {"journal_keep: {queries: 30}\n",
       "/c.yaml:1:25: an age must be such as 12h, 30d, 8w or forever, not \"30\""},
      {"journal_keep: {queries: 59m}\n", "/c.yaml:1:25: queries must be kept for an hour at least"},
      {"journal_keep: {size: 20GB}\n",
       "/c.yaml:1:22: a size must be such as 500MiB, 20GiB or unlimited, not \"20GB\""},
      {"journal_keep: {size: 15MiB}\n", "/c.yaml:1:22: the size must be 16MiB at least"},
      {"journal_keep: {size: -1GiB}\n",
       "/c.yaml:1:22: a size must be such as 500MiB, 20GiB or unlimited, not \"-1GiB\""},
      {"journal_keep: {size: 20GiB, size: 1GiB}\n", "/c.yaml:1:29: \"size\" is given twice"},
      {"journal_keep: {queries: 30d, alerts: 4w}\n",
       "/c.yaml:1:15: alerts must be kept as long as queries at least: they are what queries are kept for"},
      {"journal_sync: off\n", "/c.yaml:1:15: journal_sync must be \"normal\" or \"full\", not \"off\""},
      {"- a\n", "/c.yaml:1:1: expected keys such as \"upstream:\""},
      {"upstream: []\n", "/c.yaml:1:11: upstream must name 1 to 8 servers"},
      {"upstreams: [192.0.2.1]\n", "/c.yaml:1:12: upstreams must map names of groups to lists of addresses"},
      {"upstreams: {corp: []}\n", "/c.yaml:1:19: corp must name 1 to 8 servers"},
      {"upstreams: {corp: 192.0.2.1}\n", "/c.yaml:1:19: corp must be a list of addresses"},
      {"upstreams:\n  corp: [192.0.2.1]\n  corp: [192.0.2.2]\n",
       "/c.yaml:3:3: the group \"corp\" is given twice"},
      {"upstreams: {'a b': [192.0.2.1]}\n",
       "/c.yaml:1:13: a group's name has 1 to 64 letters, digits, hyphens, underscores and dots, not \"a "
       "b\""},
      {"upstreams: {a: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5, 1.1.1.6, 1.1.1.7, 1.1.1.8, 1.1.1.9]}\n",
       "/c.yaml:1:16: a must name 1 to 8 servers"},
  };
  for (const Row& row : rows) {
    const auto config = parse_config(row.text, "/c.yaml");
    REQUIRE(!config);
    CHECK(config.error().message == row.message);
  }
  const auto server = parse_config("upstream: [300.1.1.1]\n", "/c.yaml");
  REQUIRE(!server);
  CHECK(server.error().message.find("/c.yaml:1:12: ") == 0);
  CHECK(server.error().message.find("300.1.1.1") != std::string::npos);
}

TEST_CASE("each hook has its own redaction, and what is no level is quoted with its place") {
  const std::string hooks =
      "alert_exec: /bin/true\nalert_exec_redact: all\nalert_webhook:\n"
      "  - {url: 'http://192.0.2.1/', secret_file: s, redact: names}\n"
      "  - {url: 'http://192.0.2.2/', secret_file: s}\n";
  const auto config = parse_config(hooks, "/c.yaml");
  REQUIRE_MESSAGE(config.has_value(), (config ? "" : config.error().message));
  CHECK(config->alert_exec_redact == Redaction::all);
  CHECK(config->alert_webhooks[0].redact == Redaction::names);
  CHECK(config->alert_webhooks[1].redact == Redaction::none);
  CHECK(parse_config("alert_exec: /bin/true\n", "/c.yaml")->alert_exec_redact == Redaction::none);
  const std::pair<const char*, const char*> wrong[] = {
      {"alert_exec: /bin/true\nalert_exec_redact: some\n",
       "/c.yaml:2:20: what is redacted is none, names or all, not \"some\""},
      {"alert_exec_redact: names\n", "/c.yaml:1:1: alert_exec_redact is of no use without alert_exec"},
      {"alert_webhook:\n  - {url: 'http://192.0.2.1/', secret_file: s, redact: ALL}\n",
       "/c.yaml:2:56: what is redacted is none, names or all, not \"ALL\""}};
  for (const auto& [text, message] : wrong) {
    const auto refused = parse_config(text, "/c.yaml");
    REQUIRE(!refused.has_value());
    CHECK(refused.error().message == message);
  }
}

TEST_CASE("groups of upstreams are read, from the file and from the command line") {
  const auto config =
      parse_config("upstreams:\n  corp: [10.0.0.53, '10.0.1.53:5353']\n  lab: ['fd00::53']\n", "/c.yaml");
  REQUIRE(config);
  CHECK(group_names(config->upstreams) == std::vector<std::string>{"corp", "lab"});
  CHECK(config->upstreams[0].servers[1].text() == "10.0.1.53:5353");
  CHECK(config->upstreams[1].servers[0].text() == "[fd00::53]:53");

  std::vector<UpstreamGroup> groups;
  CHECK(add_upstream_for("corp=10.0.0.53", groups));
  CHECK(add_upstream_for("lab=[fd00::53]:5353", groups));
  CHECK(add_upstream_for("corp=10.0.1.53:54", groups));
  CHECK(group_names(groups) == std::vector<std::string>{"corp", "lab"});
  CHECK(groups[0].servers[1].text() == "10.0.1.53:54");
  for (const char* bad : {"10.0.0.53", "=10.0.0.53", "corp=", "corp=db.example", "a b=10.0.0.53"})
    CHECK_MESSAGE(!add_upstream_for(bad, groups), bad);
  for (int i = 2; i < 8; ++i) CHECK(add_upstream_for("corp=10.0.1." + std::to_string(i), groups));
  CHECK(add_upstream_for("corp=10.0.1.9", groups).error().message ==
        "cannot read --upstream-for \"corp=10.0.1.9\": a group has at most 8 servers");
}

TEST_CASE("a journal outside the state folder is refused: the resolver process could not see it") {
  const auto config = parse_config("state: /a\njournal: /b/j.db\n", "/c.yaml");
  REQUIRE(!config);
  CHECK(config.error().message.find("/b/j.db") != std::string::npos);
}

TEST_CASE("a file that is a folder or missing is an error, not a hang") {
  CHECK(!read_config("/"));
  CHECK(!read_config("/nonexistent/postern.yaml"));
}
