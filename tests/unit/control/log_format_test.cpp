// Records in the words of other tools: what those tools require, and what must not get out.
#include "resolver/control/log_format.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "resolver/journal/journal.h"
#include "resolver/journal/reader.h"
#include "tests/unit/control/replay_support.h"

using namespace postern;
using nlohmann::json;

namespace {

LoggedQuery query() {
  LoggedQuery query;
  query.id = 7;
  query.time_us = 1'795'374'640'123'456;
  query.sandbox = "box1";
  query.session = "nightly-42";
  query.user = "ada";
  query.code_sha256 = "c0de";
  query.name = "www.example.com";
  query.registered_domain = "example.com";
  query.type = "A";
  query.action = "allowed";
  query.reason = "default";
  query.rcode = "NOERROR";
  query.upstream_us = 12'345;
  query.charge_bits = 27.25;
  query.answers = 2;
  query.data = "cdn.example.net 93.184.215.14";
  query.policy = "default";
  query.transport = "udp";
  return query;
}

LoggedAlert alert() {
  LoggedAlert alert;
  alert.id = 3;
  alert.time_us = 1'795'374'641'000'000;
  alert.sandbox = "box1";
  alert.session = "nightly-42";
  alert.user = "ada";
  alert.kind = "tunnel";
  alert.zone = "example.com";
  alert.action = "block-zone";
  alert.score = 0.61;
  alert.evidence =
      R"({"name":"aGVsbG8.example.com","why":[{"feature":"length","names":["x"]}],"user":"ada"})";
  alert.query_id = 7;
  alert.query_name = "aGVsbG8.example.com";
  alert.query_action = "allowed";
  alert.query_registered_domain = "example.com";
  alert.uid = "a1b2-3";
  alert.severity = "high";
  alert.attack = "T1071.004 T1572";
  alert.first_us = 1'795'374'640'000'000;
  return alert;
}

// Of OCSF 1.4.0 (github.com/ocsf/ocsf-schema, events/base_event.json and below): what each class requires, by
// JSON pointer, and the values that an enum allows.
struct Required {
  const char* pointer;
  std::set<int> values;  // empty: anything
};
const std::vector<Required> base = {{"/activity_id", {}},
                                    {"/category_uid", {}},
                                    {"/class_uid", {}},
                                    {"/type_uid", {}},
                                    {"/severity_id", {0, 1, 2, 3, 4, 5, 6, 99}},
                                    {"/time", {}},
                                    {"/metadata/version", {}},
                                    {"/metadata/product/vendor_name", {}}};
const std::vector<Required> dns_activity = {{"/activity_id", {0, 1, 2, 6, 99}},
                                            {"/category_uid", {4}},
                                            {"/class_uid", {4003}},
                                            {"/query/hostname", {}},
                                            {"/dst_endpoint/port", {}},
                                            {"/src_endpoint/name", {}},
                                            {"/action_id", {0, 1, 2}},
                                            {"/disposition_id", {1, 2, 6}}};
const std::vector<Required> detection_finding = {{"/activity_id", {0, 1, 2, 3, 99}},
                                                 {"/category_uid", {2}},
                                                 {"/class_uid", {2004}},
                                                 {"/finding_info/uid", {}},
                                                 {"/finding_info/title", {}},
                                                 {"/status_id", {0, 1, 2, 3, 4, 5, 6, 99}},
                                                 {"/evidences/0/data", {}},
                                                 {"/action_id", {0, 1, 2}}};

// And what it has at all, of what we emit, by the path without indices: whatever is not here is not in that
// version, or has to be looked up. `unmapped` and `data` are the producer's own.
const std::set<std::string> of_any_class = {
    "activity_id", "activity_name", "category_uid", "category_name", "class_uid", "class_name", "type_uid",
    "type_name", "severity_id", "severity", "time", "unmapped", "metadata", "metadata.version",
    "metadata.profiles", "metadata.log_name", "metadata.uid", "metadata.product", "metadata.product.name",
    "metadata.product.vendor_name", "metadata.product.version",
    // the profile security_control, since 1.4.0 of every class, with `policy` and `is_alert`
    "action_id", "action", "disposition_id", "disposition", "firewall_rule", "firewall_rule.name", "policy",
    "policy.name", "is_alert"};
const std::set<std::string> of_dns_activity = {"query",
                                               "query.hostname",
                                               "query.type",
                                               "query.class",
                                               "query.opcode_id",
                                               "query_time",
                                               "rcode_id",
                                               "rcode",
                                               "response_time",
                                               "duration",
                                               "answers",
                                               "answers.rdata",
                                               "src_endpoint",
                                               "src_endpoint.name",
                                               "dst_endpoint",
                                               "dst_endpoint.svc_name",
                                               "dst_endpoint.port",
                                               "connection_info",
                                               "connection_info.direction_id",
                                               "connection_info.protocol_name",
                                               "connection_info.protocol_num"};
const std::set<std::string> of_detection_finding = {"finding_info",
                                                    "finding_info.uid",
                                                    "finding_info.title",
                                                    "finding_info.types",
                                                    "finding_info.created_time",
                                                    "finding_info.first_seen_time",
                                                    "finding_info.last_seen_time",
                                                    "finding_info.attacks",
                                                    "finding_info.attacks.technique",
                                                    "finding_info.attacks.technique.uid",
                                                    "finding_info.attacks.sub_technique",
                                                    "finding_info.attacks.sub_technique.uid",
                                                    "status_id",
                                                    "status",
                                                    "evidences",
                                                    "evidences.data",
                                                    "evidences.query",
                                                    "evidences.query.hostname",
                                                    "evidences.query.class",
                                                    "evidences.query.type"};

void only_known(const json& value, const std::string& path, const std::set<std::string>& of_class) {
  if (value.is_array())
    for (const json& one : value) only_known(one, path, of_class);
  if (!value.is_object() || path == "unmapped." || path == "evidences.data.") return;
  for (const auto& [key, member] : value.items()) {
    const std::string name = path + key;
    CHECK_MESSAGE((of_any_class.contains(name) || of_class.contains(name)), name);
    only_known(member, name + ".", of_class);
  }
}

json checked(const std::string& line, const std::vector<Required>& required) {
  REQUIRE(line.ends_with("\n"));
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  const json object = json::parse(line);
  for (const auto* table : {&base, &required})
    for (const Required& one : *table) {
      INFO(one.pointer);
      const json::json_pointer pointer(one.pointer);
      REQUIRE(object.contains(pointer));
      CHECK(!object[pointer].is_null());
      if (!one.values.empty()) CHECK(one.values.contains(object[pointer].get<int>()));
    }
  CHECK(object["metadata"]["version"] == "1.4.0");
  only_known(object, "", object["class_uid"] == 4003 ? of_dns_activity : of_detection_finding);
  CHECK(object["type_uid"] == object["class_uid"].get<int>() * 100 + object["activity_id"].get<int>());
  CHECK(object["time"].get<std::int64_t>() / 1000 == 1'795'374'640 + (object["class_uid"] == 2004 ? 1 : 0));
  return object;
}

}  // namespace

TEST_CASE("a query in OCSF has what DNS Activity requires, whatever became of it") {
  const auto format = ocsf_log();
  const json fine = checked(format->line(query()), dns_activity);
  CHECK(fine["activity_id"] == 6);
  CHECK(fine["rcode_id"] == 0);
  CHECK(fine["rcode"] == "NoError");
  CHECK(fine["answers"] == json::parse(R"([{"rdata":"cdn.example.net"},{"rdata":"93.184.215.14"}])"));
  CHECK(fine["response_time"] == 1'795'374'640'135);
  CHECK(!fine.contains("firewall_rule"));
  for (const auto& [rcode, id] : {std::pair{"FORMERR", 1},
                                  {"SERVFAIL", 2},
                                  {"NXDOMAIN", 3},
                                  {"REFUSED", 5},
                                  {"NOTZONE", 10},
                                  {"RCODE11", 99}}) {
    LoggedQuery one = query();
    one.rcode = rcode;
    CHECK(checked(format->line(one), dns_activity)["rcode_id"] == id);
  }
  LoggedQuery open = query();
  open.rcode = "unknown";
  open.upstream_us = -1;
  open.data.clear();
  const json asked = checked(format->line(open), dns_activity);
  CHECK(asked["activity_id"] == 1);
  CHECK(!asked.contains("rcode_id"));
  CHECK(!asked.contains("answers"));
  LoggedQuery blocked = query();
  blocked.action = "blocked";
  blocked.rule = "policy.yaml:4: block **.example.com";
  const json refused = checked(format->line(blocked), dns_activity);
  CHECK(refused["action_id"] == 2);
  CHECK(refused["firewall_rule"]["name"] == blocked.rule);
  blocked.action = "dropped";
  CHECK(checked(format->line(blocked), dns_activity)["disposition_id"] == 6);
}

TEST_CASE("an alert in OCSF is a Detection Finding, also with evidence that is no JSON") {
  const json finding = checked(ocsf_log()->line(alert()), detection_finding);
  CHECK(finding["severity_id"] == 4);
  CHECK(finding["finding_info"]["uid"] == "a1b2-3");
  CHECK(finding["finding_info"]["first_seen_time"] == 1'795'374'640'000);
  CHECK(!finding["finding_info"].contains("last_seen_time"));
  CHECK(finding["finding_info"]["attacks"] == json::parse(R"([
      {"technique":{"uid":"T1071"},"sub_technique":{"uid":"T1071.004"}},{"technique":{"uid":"T1572"}}])"));
  for (const auto& [severity, id] :
       {std::pair{"low", 2}, {"medium", 3}, {"high", 4}, {"critical", 5}, {"", 0}, {"worse", 0}}) {
    LoggedAlert one = alert();
    one.severity = severity;
    CHECK(checked(ocsf_log()->line(one), detection_finding)["severity_id"] == id);
  }
  CHECK(finding["finding_info"]["title"] == "tunnel: example.com");
  CHECK(finding["evidences"][0]["query"]["hostname"] == "aGVsbG8.example.com");
  LoggedAlert broken = alert();
  broken.evidence = "{";
  broken.zone.clear();
  broken.uid.clear();  // as of a row of an older schema
  broken.attack.clear();
  CHECK(checked(ocsf_log()->line(broken), detection_finding)["finding_info"]["uid"] == "alerts-3");
  CHECK(checked(ocsf_log()->line(broken), detection_finding)["finding_info"]["title"] ==
        "tunnel: the session as a whole");
}

TEST_CASE("an alert does not contradict the record of its query") {
  struct Row {
    const char *action, *query_action;
    int action_id, disposition_id;
    const char* type;
  };
  for (const Row& row : {Row{"alert", "allowed", 1, 19, "info"},
                         {"alert", "local", 1, 19, "info"},
                         {"alert", "blocked", 2, 2, "denied"},
                         {"alert", "refused", 2, 2, "denied"},
                         {"alert", "dropped", 2, 6, "denied"},
                         {"alert", "", 0, 19, "info"},
                         {"block-zone", "allowed", 2, 2, "denied"},
                         {"quarantine", "", 2, 3, "denied"}}) {
    INFO(row.action << " " << row.query_action);
    LoggedAlert one = alert();
    one.action = row.action;
    one.query_action = row.query_action;
    const json finding = checked(ocsf_log()->line(one), detection_finding);
    CHECK(finding["action_id"] == row.action_id);
    CHECK(finding["disposition_id"] == row.disposition_id);
    CHECK(json::parse(ecs_log()->line(one))["event"]["type"] == json::array({row.type}));
  }
  LoggedAlert shared = alert();
  shared.zone = ".";  // the ledger's, of names that nobody has registered
  const json told = json::parse(ecs_log()->line(shared));
  CHECK(told["dns"]["question"]["registered_domain"] == "example.com");
  CHECK(told["postern"]["zone"] == ".");
  CHECK(told["postern"]["query_id"] == 7);
  LoggedAlert alone = alert();
  alone.query_id = 0;
  alone.query_name = alone.query_action = alone.query_registered_domain = "";
  const json lone = json::parse(ecs_log()->line(alone));
  CHECK(!lone.contains("dns"));
  CHECK(!lone["postern"].contains("query_id"));
}

TEST_CASE("an id is unique over journals, for a SIEM that reads several") {
  LoggedQuery one = query();
  LoggedAlert told = alert();
  told.uid.clear();
  for (const std::string before : {"", "c0ffee012345"}) {
    const std::string prefix = before.empty() ? "" : before + "-";
    one.journal = told.journal = before;
    CHECK(json::parse(ocsf_log()->line(one))["metadata"]["uid"] == prefix + "queries-7");
    CHECK(json::parse(ecs_log()->line(one))["event"]["id"] == prefix + "queries-7");
    const json finding = json::parse(ocsf_log()->line(told));
    CHECK(finding["metadata"]["uid"] == prefix + "alerts-3");
    CHECK(finding["finding_info"]["uid"] == prefix + "alerts-3");
    CHECK(json::parse(ecs_log()->line(told))["event"]["id"] == prefix + "alerts-3");
  }
}

TEST_CASE("ECS has the fields that its readers always need, and the parts of the name") {
  const json event = json::parse(ecs_log()->line(query()));
  for (const char* pointer : {"/@timestamp", "/ecs/version", "/event/kind", "/event/category", "/event/type"})
    CHECK_MESSAGE(event.contains(json::json_pointer(pointer)), pointer);
  CHECK(event["@timestamp"] == "2026-11-22T19:10:40.123456Z");
  CHECK(event["dns"]["question"]["subdomain"] == "www");
  CHECK(event["dns"]["resolved_ip"] == json::array({"93.184.215.14"}));
  CHECK(event["dns"]["answers"].size() == 2);
  CHECK(event["event"]["duration"] == 12'345'000);
  CHECK(event["event"]["type"] == json::array({"protocol", "allowed"}));
  LoggedQuery apex = query();
  apex.name = apex.registered_domain;
  CHECK(!json::parse(ecs_log()->line(apex))["dns"]["question"].contains("subdomain"));
  const json told = json::parse(ecs_log()->line(alert()));
  CHECK(told["event"]["kind"] == "alert");
  CHECK(told["event"]["severity"] == 73);
  CHECK(told["threat"]["technique"] ==
        json::parse(R"({"id":["T1071","T1572"],"subtechnique":{"id":["T1071.004"]}})"));
}

TEST_CASE("a Zeek log is read back by replay as it was, each sandbox a client") {
  const auto format = zeek_log();
  LoggedQuery odd = query();
  odd.name = "\\009a\\.b\\\\.example.com";
  odd.type = "TYPE65280";
  odd.sandbox = "two\tboxes";
  odd.rcode = "unknown";
  CHECK(format->line(alert()).empty());
  const recorded::Read back = recorded::read(format->head(0) + format->line(query()) + format->line(odd));
  CHECK(back.error.empty());
  CHECK(back.format == "Zeek");
  REQUIRE(back.queries.size() == 2);
  CHECK(back.queries[0] == "1795374640123456 box1 www.example.com A NOERROR");
  CHECK(back.queries[1].find("two\\x09boxes ") != std::string::npos);
  CHECK(back.queries[1].ends_with(" TYPE65280"));
  const std::string line = format->line(query());
  CHECK(std::count(line.begin(), line.end(), '\t') == 28);
  CHECK(line.find("\tcdn.example.net,93.184.215.14\t") != std::string::npos);
}

TEST_CASE("what nobody recorded is left out: the class of a query refused for it, and flags of messages") {
  LoggedQuery chaos = query();
  chaos.name = "version.bind";
  chaos.type = "TXT";
  chaos.action = "refused";
  chaos.reason = "query_class";
  CHECK(!checked(ocsf_log()->line(chaos), dns_activity)["query"].contains("class"));
  CHECK(checked(ocsf_log()->line(query()), dns_activity)["query"]["class"] == "IN");
  CHECK(!checked(ocsf_log()->line(alert()), detection_finding)["evidences"][0]["query"].contains("class"));
  CHECK(!json::parse(ecs_log()->line(chaos))["dns"]["question"].contains("class"));
  CHECK(json::parse(ecs_log()->line(query()))["dns"]["question"]["class"] == "IN");
  const auto zeek = zeek_log();
  CHECK(zeek->line(query()).find("\twww.example.com\t1\tC_INTERNET\t1\tA\t0\tNOERROR\t-\t-\t-\t-\t-\tcdn.") !=
        std::string::npos);
  CHECK(zeek->line(chaos).find("\tversion.bind\t-\t-\t16\tTXT\t") != std::string::npos);
  const recorded::Read back = recorded::read(zeek->head(0) + zeek->line(chaos));
  CHECK(back.error.empty());
  REQUIRE(back.queries.size() == 1);
  CHECK(back.queries[0].find(" version.bind TXT") != std::string::npos);
}

TEST_CASE("no format lets a control character of a sandbox's through") {
  LoggedQuery hostile = query();
  hostile.sandbox = "\033[2Jbox";
  hostile.rule = "a\nb\tc\x7f";
  LoggedAlert alerting = alert();
  alerting.zone = "\033]0;x";
  for (const char* name : {"text", "json", "ocsf", "ecs", "zeek"}) {
    const auto format = log_format(name, false);
    REQUIRE(format.has_value());
    for (const std::string& line : {(*format)->line(hostile), (*format)->line(alerting)}) {
      INFO(name << ": " << line);
      CHECK(line.find('\033') == std::string::npos);
      CHECK(std::count(line.begin(), line.end(), '\n') == (line.empty() ? 0 : 1));
    }
  }
  CHECK(log_format("xml", false).error().message.find("\"xml\"") != std::string::npos);
}

TEST_CASE("JSON has every column of the views under its name, NULL where it is not known") {
  std::string folder = (std::filesystem::temp_directory_path() / "postern-log-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  Journal::Options options;
  options.path = folder + "/journal.db";
  REQUIRE(Journal::open(options).has_value());
  const auto queries = run_sql(options.path, "SELECT * FROM queries", 1);
  const auto alerts = run_sql(options.path, "SELECT * FROM alerts", 1);
  std::filesystem::remove_all(folder);
  REQUIRE((queries.has_value() && alerts.has_value()));
  const json one = json::parse(json_log()->line(query())), told = json::parse(json_log()->line(alert()));
  REQUIRE(queries->columns.size() > 20);
  for (const std::string& column : queries->columns) CHECK_MESSAGE(one.contains(column), column);
  for (const std::string& column : alerts->columns) CHECK_MESSAGE(told.contains(column), column);
  CHECK(one["boot_id"].is_null());
  CHECK(one["newly_observed_domain"].is_null());
  CHECK(one["monotonic_us"].is_null());
  LoggedQuery known = query();
  known.boot_id = "b";
  known.monotonic_us = 0;
  for (const auto& [format, pointer] : {std::pair{"json", ""}, {"ocsf", "/unmapped"}, {"ecs", "/postern"}}) {
    const json line = json::parse((*log_format(format, false))->line(known));
    const json& there = line[json::json_pointer(pointer)];
    CHECK(there["boot_id"] == "b");
    CHECK(there["monotonic_us"] == 0);
  }
}

TEST_CASE("an answer that was cut lists what is there, and the mark is no answer") {
  LoggedQuery cut = query();
  cut.data += " ...";
  CHECK(json::parse(ocsf_log()->line(cut))["answers"].size() == 2);
  CHECK(json::parse(ecs_log()->line(cut))["dns"]["answers"].size() == 2);
  CHECK(zeek_log()->line(cut).find("...") == std::string::npos);
  CHECK(json::parse(json_log()->line(cut))["data"] == cut.data);
}

TEST_CASE("redaction takes names and answers, then who asked, from queries, alerts and their evidence") {
  Redactor names(Redaction::names), everything(Redaction::all);
  LoggedQuery one = query();
  one.name_reversed = "com.example.www.";
  names.redact(one);
  CHECK(one.name == "*.example.com");
  CHECK(one.data.empty());
  CHECK(one.name_reversed.empty());
  CHECK(one.user == "ada");
  LoggedQuery apex = query();
  apex.name = "example.com";
  names.redact(apex);
  CHECK(apex.name == "example.com");
  LoggedAlert told = alert();
  names.redact(told);
  CHECK(told.query_name == "*.example.com");
  CHECK(told.evidence == R"({"why":[{"feature":"length"}],"user":"ada"})");

  LoggedQuery first = query(), again = query(), other = query();
  other.user = "bob";
  first.process = first.code_line = "/home/ada/x.py";
  everything.redact(first);
  everything.redact(again);
  everything.redact(other);
  CHECK(first.user == again.user);
  CHECK(first.user != other.user);
  CHECK(first.code_sha256.empty());
  LoggedAlert whose = alert();
  everything.redact(whose);
  CHECK(whose.user == first.user);
  const std::string line = json_log()->line(whose) + json_log()->line(first);
  for (const char* secret : {"ada", "nightly", "box1", "aGVsbG8", "c0de"})
    CHECK_MESSAGE(line.find(secret) == std::string::npos, secret << " in " << line);
}

TEST_CASE("moments are read as people write them, and others are refused with a quote") {
  const std::int64_t now = 1'795'374'640'000'000;
  const std::int64_t day = 1'795'305'600'000'000;  // 2026-11-22T00:00:00Z
  const std::pair<const char*, std::int64_t> good[] = {{"2026-11-22", day},
                                                       {"2026-11-22T01:02:03Z", day + 3'723'000'000},
                                                       {"2026-11-22 01:02", day + 3'720'000'000},
                                                       {"2026-11-22T01:02:03.25", day + 3'723'250'000},
                                                       {"2026-11-22T01:00:00+01:00", day},
                                                       {"2026-11-21T23:00:00-0100", day},
                                                       {"1795374640", now},
                                                       {"1795374640.5", now + 500'000},
                                                       {"1000000000", 1'000'000'000'000'000},
                                                       {"90s", now - 90'000'000},
                                                       {"-2h", now - 7'200'000'000},
                                                       {"3d", now - 3 * 86'400'000'000},
                                                       {"2024-02-29", 1'709'164'800'000'000}};
  for (const auto& [text, moment] : good) {
    INFO(text);
    const auto parsed = parse_moment(text, now);
    REQUIRE(parsed.has_value());
    CHECK(*parsed == moment);
  }
  for (const char* text : {"",
                           "yesterday",
                           "2026-13-01",
                           "2026-02-30",
                           "2025-02-29",
                           "2026-11-22T24:00",
                           "15x",
                           "m",
                           "--2h",
                           "-5",
                           "1e40",
                           "99999999999999999h",
                           "2026-11-22T10:00:00Zz",
                           "1795374640123456",
                           "20261122",
                           "2026",
                           "0",
                           "999999999.9",
                           "inf",
                           "nan"}) {
    INFO(text);
    const auto parsed = parse_moment(text, now);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().message.find("\"" + std::string(text) + "\"") != std::string::npos);
  }
  CHECK(iso_text(day + 1) == "2026-11-22T00:00:00.000001Z");
}
