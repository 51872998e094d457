// A world around the real pipeline for tests of the meter: a fake upstream that answers at once and remembers
// every name that reached it, a fake clock, a journal of the caller's choice.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "tests/scenario/fakes.h"

namespace postern::test {

// The score is told to stay out of it: for what is about the budgets alone.
inline const std::string meter_alone = "on_tunnel: alert\n";

inline std::string hex_label(std::mt19937_64& dice, std::size_t digits) {
  std::string text;
  for (std::size_t i = 0; i < digits; ++i) text += "0123456789abcdef"[dice() % 16];
  return text;
}

class LeakWorld {
 public:
  struct Seen {  // what the upstream was asked
    Query query;
    std::uint64_t charge = 0;  // of the row that was committed before
    bool refresh = false;
  };

  // With a journal of the file's own (`real`), rows are looked up in the file; `seen` has no charges then.
  explicit LeakWorld(const std::string& yaml = "", MeterParts parts = shared_parts(), Journal* real = nullptr)
      : real_(real),
        policies_(yaml.empty() ? PolicySet::builtin() : *PolicySet::parse(yaml, "p.yaml")),
        pipeline_(Pipeline::Ports{forwarder_,
                                  real != nullptr ? *real : journal,
                                  [this](std::function<void()> work) {
                                    const std::lock_guard lock(mutex_);
                                    posted_.push_back(std::move(work));
                                    came_.notify_one();
                                  },
                                  [this](std::span<Exchange* const> exchanges) {
                                    for (Exchange* x : exchanges)
                                      if (!x->reply.empty()) replies_.push_back(x->reply);
                                  },
                                  [this](const Alert& alert) {
                                    ++hooks;
                                    told.push_back(alert.row.message);
                                  },
                                  {},
                                  42,
                                  std::move(parts)}) {
    advance(1000);
  }

  // The tables are large and immutable: made once for the program.
  static MeterParts shared_parts() {
    static const MeterParts parts = MeterParts::builtin();
    return parts;
  }

  SandboxState& attach(const std::string& session, const std::string& user = "u",
                       const std::string& policy = "", std::shared_ptr<const SecretSet> secrets = nullptr) {
    Sandbox who;
    who.name = "box" + std::to_string(++boxes_);
    who.session = session;
    who.user = user;
    auto found = policies_->find(policy);
    REQUIRE(found != nullptr);
    SandboxId row = boxes_;
    SessionPast past;
    if (real_ != nullptr) {
      if (!pipeline_.remembers(who)) past = *real_->past(user, session_text(who));
      row = *real_->attach(who, 1'700'000'000'000'000);
    }
    return pipeline_.attach(std::move(who), row, found, false, past, std::move(secrets));
  }
  void detach(SandboxState& sandbox) { pipeline_.detach(sandbox); }
  void reload(const std::string& yaml) {
    policies_ = *PolicySet::parse(yaml, "p.yaml");
    pipeline_.set_policies(*policies_);
  }

  void advance(std::int64_t milliseconds) {
    now_ += std::chrono::milliseconds(milliseconds);
    pipeline_.set_time(now_, 1'700'000'000'000'000 + now_.count());
    pipeline_.tick();
    pipeline_.flush();
    turn();
    answer_all();
  }

  // Puts the question and lets everything happen that it causes. The rcode of the reply, or -1.
  int ask(SandboxState& sandbox, const std::string& name, Type type = type::A) {
    send(sandbox, name, type);
    answer_all();
    if (replies_.empty()) return -1;
    last_reply = replies_.back();
    replies_.clear();
    return last_reply.at(3) & 15;
  }
  // Only puts it: nothing is answered yet.
  void send(SandboxState& sandbox, const std::string& name, Type type = type::A) {
    const auto parsed = Name::parse(name);
    REQUIRE_MESSAGE(parsed.has_value(), name);
    std::vector<std::uint8_t> message{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1};
    message.insert(message.end(), parsed->wire().begin(), parsed->wire().end());
    for (const unsigned octet :
         {type / 256u, type % 256u, 0u, 1u, 0u, 0u, 41u, 4u, 208u, 0u, 0u, 0u, 0u, 0u, 0u})
      message.push_back(static_cast<std::uint8_t>(octet));
    pipeline_.receive(sandbox, Peer{}, message);
    pipeline_.flush();
    turn();
  }
  std::string last_text() const { return {last_reply.begin(), last_reply.end()}; }

  // Answers what is under way with one address each; with `fails`, with nothing.
  void answer_all() {
    for (bool more = true; more;) {
      more = !transport_.sent.empty();
      while (!transport_.sent.empty()) answer_one();
      pipeline_.flush();
      turn();
      more = more || !transport_.sent.empty();
    }
  }

  std::uint64_t charge_of(const std::function<bool(const Query&)>& counts) const {
    std::uint64_t sum = 0;
    for (const Seen& one : seen)
      if (counts(one.query)) sum += one.charge;
    return sum;
  }
  std::size_t alerts(const std::string& kind) const {
    std::size_t count = 0;
    for (const AlertRow& row : journal.alerts) count += row.kind == kind;
    return count;
  }

  scenario::FakeJournal journal;
  std::vector<Seen> seen;
  std::vector<std::uint8_t> last_reply;
  std::size_t hooks = 0;
  std::vector<std::string> told;  // the hook's objects
  std::uint32_t ttl = 300;
  bool fails = false;
  std::size_t answer_octets = 4;  // of a TXT answer's data

  Pipeline& pipeline() { return pipeline_; }

 private:
  // Runs what was posted; with a real journal, first waits for the rows that are on their way to the disk.
  void turn() {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex_);
        if (posted_.empty() && real_ != nullptr && pipeline_.in_flight() > 0 && transport_.sent.empty())
          REQUIRE(came_.wait_for(lock, std::chrono::seconds(20), [&] { return !posted_.empty(); }));
        if (posted_.empty()) return;
        work = std::move(posted_.front());
        posted_.pop_front();
      }
      work();
    }
  }
  void answer_one() {
    auto sent = std::move(transport_.sent.front());
    transport_.sent.pop_front();
    wire::Question question;
    REQUIRE(wire::parse_query(sent.message, question) == wire::Parsed::ok);
    if (real_ != nullptr) {
      seen.push_back({question.query, 0});
    } else {
      // Promise 2: on record before it goes. The newest row of that question that was allowed and not cached.
      const Asked* committed = nullptr;
      for (auto at = journal.rows.rbegin(); at != journal.rows.rend() && committed == nullptr; ++at)
        if (at->second.name == question.query.name && at->second.type == question.query.type &&
            at->second.action == Action::allow && !at->second.cached && !counted_.contains(at->first)) {
          committed = &at->second;
          counted_[at->first] = true;
        }
      if (fails && committed == nullptr)
        return sent.done(Transport::Status::error, {});  // the next server is tried
      REQUIRE_MESSAGE(committed != nullptr, question.query.name.text());
      seen.push_back({question.query, committed->charge_millibits, committed->refresh});
    }
    if (fails) return sent.done(Transport::Status::error, {});
    Answer answer;
    if (question.query.type == type::A)
      answer.answer.push_back({question.query.name, type::A, ttl, {8, 8, 1, 1}});
    if (question.query.type == type::AAAA)
      answer.answer.push_back(
          {question.query.name, type::AAAA, ttl, {0x26, 6, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}});
    if (question.query.type == type::TXT) {
      Record record{question.query.name, type::TXT, ttl, {}};
      for (std::size_t left = answer_octets; left > 0;) {
        const std::size_t part = std::min<std::size_t>(left, 255);
        record.rdata.push_back(static_cast<std::uint8_t>(part));
        record.rdata.insert(record.rdata.end(), part, 'x');
        left -= part;
      }
      answer.answer.push_back(std::move(record));
    }
    auto rendered = wire::render(question.query, answer);
    REQUIRE(rendered.has_value());
    auto& message = rendered->message;
    message[0] = sent.message[0];
    message[1] = sent.message[1];
    message[2] = 0x81;
    message[3] = 0x80;
    std::copy_n(question.spelling, question.query.name.size(), message.begin() + wire::header_octets);
    sent.done(Transport::Status::reply, message);
  }

  Instant now_{1'000'000};
  scenario::FakeTransport transport_;
  scenario::FakeRandom random_;
  Forwarder forwarder_{transport_, random_};
  Journal* real_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::function<void()>> posted_;  // under mutex_: a real journal has a thread of its own
  std::deque<std::vector<std::uint8_t>> replies_;
  std::map<RowId, bool> counted_;
  std::shared_ptr<const PolicySet> policies_;
  SandboxId boxes_ = 0;
  Pipeline pipeline_;
};

}  // namespace postern::test
