// The fakes of the scenario tests: a journal in memory, an upstream that does as it is told, randomness that
// repeats.
#pragma once

#include <deque>
#include <map>
#include <stdexcept>
#include <vector>

#include "resolver/path/pipeline.h"

namespace postern::scenario {

class FakeJournal : public Journal {
 public:
  enum class Mode { works, fails, stalls };
  Mode mode = Mode::works;
  std::map<RowId, Asked> rows;  // committed
  std::map<RowId, Outcome> outcomes;
  std::vector<AlertRow> alerts;
  std::vector<std::string> rules{""};
  std::size_t answered_without = 0, refused_without = 0;

  Result<SandboxId> attach(const Sandbox&, std::int64_t) override { return ++sandboxes_; }
  void detach(SandboxId, std::int64_t) override {}
  std::int64_t intern_rule(std::string_view text) override;
  RowId reserve(std::size_t count) noexcept override;
  bool submit(std::vector<const Asked*> rows, std::function<void(bool)> done) override;
  void append(Outcome outcome) override { outcomes[outcome.asked] = std::move(outcome); }
  void alert(AlertRow alert) override { alerts.push_back(std::move(alert)); }
  void answered_unrecorded() override { ++answered_without; }
  void refused_unrecorded() override { ++refused_without; }
  void expect_refused(std::size_t count) const {
    if (refused_without != count)
      throw std::runtime_error(std::to_string(refused_without) + " were refused without being submitted");
  }
  void expect_unrecorded(std::size_t count) const {
    if (answered_without != count)
      throw std::runtime_error(std::to_string(answered_without) + " were answered without a record");
  }
  Stats stats() const override { return {}; }
  void resume();  // what had stalled is committed now

 private:
  struct Batch {
    std::vector<const Asked*> rows;
    std::function<void(bool)> done;
  };
  void commit(Batch& batch);
  std::deque<Batch> stalled_;
  SandboxId sandboxes_ = 0;
  RowId next_ = 1;
};

// Remembers what it was told to send; the scenario answers.
class FakeTransport : public Transport {
 public:
  struct Sent {
    std::size_t server;
    bool tcp;
    std::vector<std::uint8_t> message;
    Done done;
  };
  std::size_t count = 2;   // of the usual group
  std::size_t groups = 2;  // others, of two servers each
  std::deque<Sent> sent;

  std::size_t servers(std::size_t group) const override {
    return group == 0 ? count : group <= groups ? 2 : 0;
  }
  void send(std::size_t server, bool tcp, std::vector<std::uint8_t> message, Done done) override {
    sent.push_back({server, tcp, std::move(message), std::move(done)});
  }
};

class FakeRandom : public Random {
 public:
  void fill(std::span<std::uint8_t> octets) override {
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(state_ = state_ * 167 + 13);
  }

 private:
  unsigned state_ = 7;
};

}  // namespace postern::scenario
