// The scenario runner: one text file, one story. A line that does not hold ends it, with file and line.
//
// - policy ... end (YAML of the policy set: before the first sandbox, or a reload) | list FILE ... end
// - sandbox NAME [session=S] [user=U] [policy=P] | detach SANDBOX | servers N (without it 2)
// - ask SANDBOX NAME TYPE [edns] [tcp] [size=N] [class=N] [opcode=N] [spelled=NAME] | send SANDBOX HEX
// - upstream NAME TYPE [server=N] [tcp] (the oldest question under way; 8 and more: group corp, 16: lab)
// - answer RCODE [tc] [case] [id] [-- OWNER TTL TYPE DATA; ...] (a SOA is authority) | timeout | error
// - reply RCODE [tc] [ede=N] [text=WORD] [soa=OWNER] [spelled=NAME] [-- RECORD; ...] (the oldest)
// - row ACTION REASON RCODE [cached] [rule=WORDS] (the oldest committed) | no upstream | no reply | no row
// - journal works|fails|stalls | audit relaxed | unrecorded N (answered) | refused N (while it stalls)
// - advance MILLISECONDS | alert KIND [ZONE] ACTION | no alert
// - exfiltrate SANDBOX ZONE MOST (random names, answered, until there is a tunnel alert)
// - N x LINE | LINE (N times; @ differs each time)
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "rules/list.h"
#include "rules/list_text.h"
#include "tests/scenario/fakes.h"

namespace postern::scenario {
namespace {

struct Wrong {
  std::string what;
};

[[noreturn]] void wrong(const std::string& what) {
  throw Wrong{what};
}

template <class Value>
Value need(Result<Value> result) {
  if (!result) wrong(result.error().message);
  return std::move(*result);
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> all;
  for (std::string word; in >> word;) all.push_back(word);
  return all;
}

Type type_of(const std::string& text) {
  const auto found = type_from_text(text);
  if (!found) wrong("no type \"" + text + "\"");
  return *found;
}

int rcode_of(const std::string& text) {
  for (int rcode = 0; rcode < 16; ++rcode)
    if (rcode_text(rcode) == text) return rcode;
  return text == "BADVERS" ? 0 : std::stoi(text);
}

void put(std::vector<std::uint8_t>& to, unsigned value, int octets) {
  for (int shift = (octets - 1) * 8; shift >= 0; shift -= 8)
    to.push_back(static_cast<std::uint8_t>(value >> shift));
}

void put_name(std::vector<std::uint8_t>& to, const std::string& text) {
  const Name name = need(Name::parse(text));
  to.insert(to.end(), name.wire().begin(), name.wire().end());
}

// "OWNER TTL TYPE DATA..."
Record record_of(const std::string& text) {
  const auto part = words(text);
  if (part.size() < 4) wrong("a record is OWNER TTL TYPE DATA, not \"" + text + "\"");
  Record record;
  record.owner = need(Name::parse(part[0]));
  record.ttl = static_cast<std::uint32_t>(std::stoul(part[1]));
  record.type = type_of(part[2]);
  std::uint8_t address[16];
  switch (record.type) {
    case type::A:
      if (inet_pton(AF_INET, part[3].c_str(), address) != 1) wrong("no address: " + part[3]);
      record.rdata.assign(address, address + 4);
      break;
    case type::AAAA:
      if (inet_pton(AF_INET6, part[3].c_str(), address) != 1) wrong("no address: " + part[3]);
      record.rdata.assign(address, address + 16);
      break;
    case type::TXT: {
      std::string data = part[3];
      if (data.starts_with("x*")) data = std::string(std::stoul(data.substr(2)), 'x');
      for (std::size_t at = 0; at < data.size(); at += 255) {
        const std::string chunk = data.substr(at, 255);
        record.rdata.push_back(static_cast<std::uint8_t>(chunk.size()));
        record.rdata.insert(record.rdata.end(), chunk.begin(), chunk.end());
      }
      break;
    }
    case type::SOA:
      put_name(record.rdata, "ns.invalid");
      put_name(record.rdata, "ns.invalid");
      for (const unsigned value : {1u, 3600u, 600u, 86400u}) put(record.rdata, value, 4);
      put(record.rdata, static_cast<unsigned>(std::stoul(part[3])), 4);  // MINIMUM
      break;
    case type::MX:
    case type::SRV:
    case type::HTTPS: {  // numbers of 16 bits, then a name
      for (std::size_t i = 3; i + 1 < part.size(); ++i)
        put(record.rdata, static_cast<unsigned>(std::stoul(part[i])), 2);
      put_name(record.rdata, part.back());
      break;
    }
    default:
      put_name(record.rdata, part[3]);
  }
  return record;
}

std::string show(const Record& record) {
  std::string text =
      record.owner.text() + " " + std::to_string(record.ttl) + " " + type_text(record.type) + " ";
  char address[INET6_ADDRSTRLEN];
  if (record.type == type::A) return text + inet_ntop(AF_INET, record.rdata.data(), address, sizeof address);
  if (record.type == type::AAAA)
    return text + inet_ntop(AF_INET6, record.rdata.data(), address, sizeof address);
  if (record.type == type::TXT) return text + "x*" + std::to_string(record.rdata.size());
  std::size_t at = 0;
  for (const std::size_t numbers = record.type == type::SRV                                ? 3
                                   : record.type == type::MX || record.type == type::HTTPS ? 1
                                                                                           : 0;
       at < numbers * 2; at += 2)
    text += std::to_string(record.rdata.at(at) << 8 | record.rdata.at(at + 1)) + " ";
  const auto name = Name::from_wire(std::span(record.rdata).subspan(at));
  return text + (name ? name->text() : "?");
}

// What may stand behind the fixed words of a line: k=v pairs, plain words, and records separated by ';'.
struct Rest {
  std::map<std::string, std::string> values;
  std::vector<std::string> records;
  bool has(const std::string& key) const { return values.contains(key); }
  std::string get(const std::string& key, const std::string& otherwise = {}) const {
    const auto at = values.find(key);
    return at == values.end() ? otherwise : at->second;
  }
};

struct Reply {
  std::vector<std::uint8_t> octets;
};

class Stream : public StreamPeer {
 public:
  explicit Stream(std::deque<Reply>& replies) : replies_(replies) {}
  void reply(wire::Octets message) override { replies_.push_back({{message.begin(), message.end()}}); }

 private:
  std::deque<Reply>& replies_;
};

class Story {
 public:
  void line(const std::string& text, std::istream& in, std::size_t& number) {
    const auto word = words(text);
    if (word.empty() || word[0][0] == '#') return;
    if (word[0] == "policy") return policy(in, number);
    if (word[0] == "list") return void(lists_[word.at(1)] = block_text(in, number));
    if (word[0] == "servers") return void(transport_.count = std::stoul(word[1]));
    if (word[0] == "sandbox") return sandbox(word);
    if (word[0] == "ask") return ask(word);
    if (word[0] == "send") return send(word);
    if (word[0] == "upstream") return upstream(word);
    if (word[0] == "answer") return answer(text.substr(text.find("answer") + 6));
    if (word[0] == "timeout") return silence(Transport::Status::timeout);
    if (word[0] == "error") return silence(Transport::Status::error);
    if (word[0] == "reply") return reply(text.substr(text.find("reply") + 5));
    if (word[0] == "row") return row(text);
    if (word[0] == "alert") return alert(word);
    if (word[0] == "no") return nothing(word.at(1));
    if (word[0] == "advance") return advance(std::stol(word.at(1)));
    if (word[0] == "exfiltrate") return exfiltrate(word);
    if (word[0] == "detach") return detach(word.at(1));
    if (word[0] == "audit") return pipeline_.set_audit(Audit::relaxed);
    if (word[0] == "refused") return journal_.expect_refused(std::stoul(word.at(1)));
    if (word[0] == "unrecorded") return journal_.expect_unrecorded(std::stoul(word.at(1)));
    if (word[0] == "journal") {
      if (word.at(1) == "works") return journal_.resume(), turn();
      journal_.mode = word[1] == "fails" ? FakeJournal::Mode::fails : FakeJournal::Mode::stalls;
      return;
    }
    wrong("no such verb: " + word[0]);
  }

  // A story that leaves replies, questions or alerts unlooked at has not been told to its end.
  void end() {
    nothing("reply");
    nothing("upstream");
    nothing("alert");
  }

 private:
  void turn() {
    while (!posted_.empty()) {
      auto work = std::move(posted_.front());
      posted_.pop_front();
      work();
    }
  }

  static std::string block_text(std::istream& in, std::size_t& number) {
    std::string all;
    for (std::string text; ++number, std::getline(in, text) && text != "end";) all += text + "\n";
    return all;
  }

  void policy(std::istream& in, std::size_t& number) {
    const auto lists = [&](const ListRequest& request) -> Result<std::shared_ptr<const List>> {
      ListOptions options;
      options.file = request.file;
      options.format = request.format;
      return List::build(lists_[request.file], options);
    };
    policies_ = need(PolicySet::parse(block_text(in, number), "policy.yaml", lists));
    pipeline_.set_policies(*policies_);
  }

  void sandbox(const std::vector<std::string>& word) {
    Sandbox who;
    who.name = word.at(1);
    for (std::size_t i = 2; i < word.size(); ++i) {
      const std::string value = word[i].substr(word[i].find('=') + 1);
      if (word[i].starts_with("session=")) who.session = value;
      if (word[i].starts_with("user=")) who.user = value;
      if (word[i].starts_with("policy=")) who.policy = value;
    }
    auto policy = policies_->find(who.policy);
    if (!policy) wrong("no policy " + who.policy);
    const std::string name = who.name;
    sandboxes_[name] = &pipeline_.attach(std::move(who), next_row_++, policy, false);
  }

  SandboxState& find(const std::string& name) {
    const auto at = sandboxes_.find(name);
    if (at == sandboxes_.end()) wrong("no sandbox " + name);
    return *at->second;
  }

  static Rest rest(const std::vector<std::string>& word, std::size_t from) {
    Rest all;
    for (std::size_t i = from; i < word.size(); ++i) {
      const std::size_t equals = word[i].find('=');
      all.values[word[i].substr(0, equals)] = equals == std::string::npos ? "" : word[i].substr(equals + 1);
    }
    return all;
  }

  void ask(const std::vector<std::string>& word) {
    const Rest how = rest(word, 4);
    std::vector<std::uint8_t> message;
    put(message, ++next_id_, 2);
    put(message, 0x0100u | static_cast<unsigned>(std::stoul(how.get("opcode", "0"))) << 11, 2);
    put(message, 1, 2);
    put(message, 0, 4);
    put(message, how.has("edns") ? 1 : 0, 2);
    std::size_t at = message.size();  // the first label's length octet
    put_name(message, word.at(2));
    const std::string spelled = how.get("spelled", word[2]);
    for (const char c : spelled) {
      ++at;
      if (c != '.') message[at] = static_cast<std::uint8_t>(c);
    }
    put(message, type_of(word.at(3)), 2);
    put(message, static_cast<unsigned>(std::stoul(how.get("class", "1"))), 2);
    if (how.has("edns")) {
      put(message, 0, 1);
      put(message, type::OPT, 2);
      put(message, static_cast<unsigned>(std::stoul(how.get("size", "1232"))), 2);
      put(message, static_cast<unsigned>(std::stoul(how.get("version", "0"))) << 16, 4);
      put(message, 0, 2);
    }
    give(find(word.at(1)), message, how.has("tcp"));
  }

  void send(const std::vector<std::string>& word) {
    std::vector<std::uint8_t> message;
    for (std::size_t i = 2; i < word.size(); ++i)
      for (std::size_t at = 0; at + 1 < word[i].size(); at += 2)
        message.push_back(static_cast<std::uint8_t>(std::stoul(word[i].substr(at, 2), nullptr, 16)));
    give(find(word.at(1)), message, false);
  }

  void give(SandboxState& sandbox, const std::vector<std::uint8_t>& message, bool tcp) {
    Peer peer;
    if (tcp) peer.stream = std::make_shared<Stream>(replies_);
    pipeline_.receive(sandbox, std::move(peer), message);
    pipeline_.flush();
    turn();
  }

  void upstream(const std::vector<std::string>& word) {
    if (transport_.sent.empty()) wrong("nothing was asked upstream");
    const auto& sent = transport_.sent.front();
    wire::Question question;
    if (wire::parse_query(sent.message, question) != wire::Parsed::ok)
      wrong("what went upstream is no query");
    const std::string got = question.query.name.text() + " " + type_text(question.query.type);
    if (got != word.at(1) + " " + word.at(2)) wrong("upstream was asked " + got);
    const Rest how = rest(word, 3);
    if (how.has("server") && sent.server != std::stoul(how.get("server")))
      wrong("server " + std::to_string(sent.server) + " was asked");
    if (how.has("tcp") != sent.tcp) wrong(sent.tcp ? "it was asked over TCP" : "it was asked over UDP");
    // Promise 2: it is on record before it goes; and what it can tell has been priced.
    const bool recorded = std::any_of(journal_.rows.begin(), journal_.rows.end(), [&](const auto& row) {
      return row.second.name == question.query.name && row.second.type == question.query.type &&
             row.second.charge_millibits >= 8000;
    });
    if (!recorded && pipeline_.audit() == Audit::strict) wrong("what went upstream has no row with a charge");
    // Promise 3: rebuilt from nothing, this is the whole message.
    const auto anew = wire::build_upstream_query(question.query, question.id, {});
    if (anew.size() != sent.message.size()) wrong("the upstream query has octets that were not asked for");
  }

  static Rest split(const std::string& text) {
    Rest all;
    std::istringstream in(text);
    std::string piece, rcode;
    in >> rcode;
    all.values["rcode"] = rcode;
    std::getline(in, piece);
    // Options come first, records after "--".
    const std::size_t dashes = piece.find("--");
    for (const auto& word : words(piece.substr(0, dashes))) {
      const std::size_t equals = word.find('=');
      all.values[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
    }
    if (dashes != std::string::npos) {
      std::istringstream records(piece.substr(dashes + 2));
      for (std::string record; std::getline(records, record, ';');) all.records.push_back(record);
    }
    return all;
  }

  void answer(const std::string& text) {
    if (transport_.sent.empty()) wrong("nothing was asked upstream");
    auto sent = std::move(transport_.sent.front());
    transport_.sent.pop_front();
    const Rest how = split(text);
    wire::Question question;
    if (wire::parse_query(sent.message, question) != wire::Parsed::ok)
      wrong("what went upstream is no query");
    Answer answer;
    answer.rcode = rcode_of(how.get("rcode"));
    for (const std::string& record : how.records) {
      Record made = record_of(record);
      (made.type == type::SOA && question.query.type != type::SOA ? answer.authority : answer.answer)
          .push_back(std::move(made));
    }
    wire::Rendered rendered = need(wire::render(question.query, answer));
    auto& message = rendered.message;
    message[0] = sent.message[0];
    message[1] = sent.message[1];
    message[2] = static_cast<std::uint8_t>(0x81 | (how.has("tc") ? 2 : 0));
    message[3] = static_cast<std::uint8_t>(0x80 | answer.rcode);
    std::copy_n(question.spelling, question.query.name.size(), message.begin() + wire::header_octets);
    if (how.has("id")) message[1] ^= 1;
    if (how.has("case"))
      for (std::size_t i = 0; i < question.query.name.size(); ++i) {
        auto& octet = message[wire::header_octets + i];
        if ((octet | 32) >= 'a' && (octet | 32) <= 'z') octet ^= 32;
      }
    sent.done(Transport::Status::reply, message);
    pipeline_.flush();
    turn();
  }

  void silence(Transport::Status status) {
    if (transport_.sent.empty()) wrong("nothing was asked upstream");
    auto sent = std::move(transport_.sent.front());
    transport_.sent.pop_front();
    sent.done(status, {});
    pipeline_.flush();
    turn();
  }

  void reply(const std::string& text) {
    if (replies_.empty()) wrong("there is no reply");
    const auto octets = std::move(replies_.front().octets);
    replies_.pop_front();
    const Rest want = split(text);
    const auto parsed = wire::parse_answer(octets, octets, false);
    const bool tc = octets.at(2) & 2;
    const int rcode = octets.at(3) & 15;
    std::string got = rcode_text(rcode);
    if (want.get("rcode") != got) wrong("the reply is " + got);
    if (tc != want.has("tc")) wrong(tc ? "the reply is truncated" : "the reply is not truncated");
    std::vector<std::string> records;
    for (const Record& record : parsed.answer.answer) records.push_back(show(record));
    std::vector<std::string> wanted;
    for (const std::string& record : want.records) wanted.push_back(show(record_of(record)));
    if (records != wanted) {
      std::string all;
      for (const auto& record : records) all += "\n    " + record;
      wrong("the reply's records are" + (all.empty() ? " none" : all));
    }
    const std::string soa = parsed.answer.authority.empty() ? "" : parsed.answer.authority[0].owner.text();
    if (want.get("soa") != soa) wrong("the reply's SOA is \"" + soa + "\"");
    const auto [ede, words_said] = extended_error(octets);
    if (std::stoi(want.get("ede", "-1")) != ede) wrong("the extended error is " + std::to_string(ede));
    if (want.has("text") && words_said.find(want.get("text")) == std::string::npos)
      wrong("the extended error says \"" + words_said + "\"");
    if (want.has("spelled")) {
      const std::string spelled = want.get("spelled");
      std::string said;
      for (std::size_t at = wire::header_octets; at < octets.size() && octets[at] != 0; at += octets[at] + 1u)
        said +=
            (said.empty() ? "" : ".") + std::string(octets.begin() + static_cast<long>(at) + 1,
                                                    octets.begin() + static_cast<long>(at + 1 + octets[at]));
      if (said != spelled) wrong("the question is spelled " + said);
    }
  }

  // EDE of the OPT, which Postern always writes last: code and text, or -1.
  static std::pair<int, std::string> extended_error(const std::vector<std::uint8_t>& octets) {
    for (std::size_t at = octets.size() < 11 ? octets.size() : octets.size() - 11;; --at) {
      if (at < wire::header_octets || octets.size() < 23) return {-1, ""};
      const std::size_t rdlength = static_cast<std::size_t>(octets[at + 9]) << 8 | octets[at + 10];
      if (octets[at] == 0 && octets[at + 1] == 0 && octets[at + 2] == type::OPT &&
          at + 11 + rdlength == octets.size()) {
        if (rdlength < 6) return {-1, ""};
        return {octets[at + 15] << 8 | octets[at + 16],
                std::string(octets.begin() + static_cast<long>(at) + 17, octets.end())};
      }
    }
  }

  void row(const std::string& text) {
    const auto at = journal_.rows.upper_bound(last_row_);
    if (at == journal_.rows.end()) wrong("there is no row");
    last_row_ = at->first;
    Asked asked = at->second;
    std::int64_t rule = asked.rule;
    if (const auto outcome = journal_.outcomes.find(asked.id); outcome != journal_.outcomes.end()) {
      asked.rcode = outcome->second.rcode;
      if (outcome->second.action != Action::allow || outcome->second.rule != 0) {
        asked.action = outcome->second.action;
        asked.reason = outcome->second.reason;
        rule = outcome->second.rule;
      }
    }
    const auto word = words(text);
    const std::string got =
        std::string(action_text(asked.action)) + " " + std::string(reason_text(asked.reason)) + " " +
        (asked.rcode < 0 ? "unknown" : rcode_text(asked.rcode)) + (asked.cached ? " cached" : "");
    const std::size_t rule_at = text.find(" rule=");
    std::string want;
    for (std::size_t i = 1; i < word.size() && !word[i].starts_with("rule="); ++i)
      want += (i > 1 ? " " : "") + word[i];
    if (want != got) wrong("the row is " + got);
    const std::string said = journal_.rules.at(static_cast<std::size_t>(rule));
    if (rule_at != std::string::npos && said.find(text.substr(rule_at + 6)) == std::string::npos)
      wrong("the row's rule is \"" + said + "\"");
  }

  void alert(const std::vector<std::string>& word) {
    if (next_alert_ >= journal_.alerts.size()) wrong("there is no alert");
    const AlertRow& got = journal_.alerts[next_alert_++];
    const std::string said = got.kind + " " + got.zone + (got.zone.empty() ? "" : " ") + got.action;
    std::string want;
    for (std::size_t i = 1; i < word.size(); ++i) want += (i > 1 ? " " : "") + word[i];
    if (want != said) wrong("the alert is " + said);
    if (hooks_.size() != journal_.alerts.size()) wrong("the hook was not told");
  }

  void nothing(const std::string& what) {
    if (what == "reply" && !replies_.empty()) wrong("there is a reply");
    if (what == "upstream" && !transport_.sent.empty()) wrong("something was asked upstream");
    if (what == "row" && journal_.rows.upper_bound(last_row_) != journal_.rows.end()) wrong("there is a row");
    if (what == "alert" && next_alert_ < journal_.alerts.size())
      wrong("there is an alert: " + journal_.alerts[next_alert_].kind + " " +
            journal_.alerts[next_alert_].zone);
  }

  void advance(long milliseconds) {
    now_ += std::chrono::milliseconds(milliseconds);
    pipeline_.set_time(now_, 1'700'000'000'000'000 + now_.count());
    pipeline_.tick();
    pipeline_.flush();
    turn();
  }

  // Random hex below a zone, each name answered, until the detector calls it a tunnel; wrong if it never
  // does.
  void exfiltrate(const std::vector<std::string>& word) {
    const std::size_t most = std::stoul(word.at(3));
    for (std::size_t i = 0; i < most; ++i) {
      std::array<std::uint8_t, 16> random;
      random_.fill(random);
      std::string label;
      for (const std::uint8_t octet : random)
        label += {"0123456789abcdef"[octet >> 4], "0123456789abcdef"[octet & 15]};
      ask({"ask", word.at(1), label + "." + word.at(2), "TXT"});
      if (!transport_.sent.empty()) answer(" NOERROR");
      replies_.clear();
      last_row_ = journal_.rows.rbegin()->first;
      if (!journal_.alerts.empty() && journal_.alerts.back().kind == "tunnel") return;
      advance(50);
    }
    wrong("after " + word.at(3) + " names there is no tunnel alert");
  }

  void detach(const std::string& name) {
    pipeline_.detach(find(name));
    sandboxes_.erase(name);
  }

  Instant now_{1'000'000};
  FakeJournal journal_;
  FakeTransport transport_;
  FakeRandom random_;
  Forwarder forwarder_{transport_, random_};
  std::deque<std::function<void()>> posted_;
  std::deque<Reply> replies_;
  std::vector<std::string> hooks_;
  std::shared_ptr<const PolicySet> policies_ = PolicySet::builtin();
  std::map<std::string, std::string> lists_;  // texts by file name
  Pipeline pipeline_{
      Pipeline::Ports{forwarder_,
                      journal_,
                      [this](std::function<void()> work) { posted_.push_back(std::move(work)); },
                      [this](std::span<Exchange* const> exchanges) {
                        for (Exchange* x : exchanges) {
                          if (x->reply.empty()) continue;
                          if (x->peer.stream)
                            x->peer.stream->reply(x->reply);
                          else
                            replies_.push_back({x->reply});
                        }
                      },
                      [this](const Alert& alert) { hooks_.push_back(alert.row.message); },
                      {"corp", "lab"},
                      42}};
  std::map<std::string, SandboxState*> sandboxes_;
  SandboxId next_row_ = 1;
  RowId last_row_ = 0;
  std::size_t next_alert_ = 0;
  unsigned next_id_ = 100;
};

int run(const std::string& path) {
  std::ifstream in(path);
  if (!in) {
    std::cerr << path << ": cannot be read\n";
    return 2;
  }
  Story story;
  std::size_t number = 0, steps = 0;
  try {
    story.line("advance 0", in, number);
    for (std::string text; std::getline(in, text);) {
      ++number;
      std::size_t times = 1;  // "N x LINE": with @ standing for the round's number
      std::string body = text;
      if (const std::size_t x = text.find(" x ");
          x != std::string::npos && std::isdigit(static_cast<unsigned char>(text[0]))) {
        times = std::stoul(text.substr(0, x));
        body = text.substr(x + 3);
      }
      for (std::size_t i = 0; i < times; ++i, ++steps) {
        std::string one = body;
        for (std::size_t at; (at = one.find('@')) != std::string::npos;)
          one.replace(at, 1, std::to_string(i * 7919 % 100003));
        std::istringstream parts(one);
        for (std::string part; std::getline(parts, part, '|');) story.line(part, in, number);
      }
    }
    story.end();
  } catch (const Wrong& what) {
    std::cerr << path << ":" << number << ": " << what.what << "\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << path << ":" << number << ": " << error.what() << "\n";
    return 2;
  }
  std::cout << path << ": " << steps << " lines hold\n";
  return 0;
}
}  // namespace
}  // namespace postern::scenario

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: scenario FILE.scn\n";
    return 2;
  }
  return postern::scenario::run(argv[1]);
}
