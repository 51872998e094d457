// The fakes: what they do when told.
#include "tests/scenario/fakes.h"

namespace postern::scenario {

std::int64_t FakeJournal::intern_rule(std::string_view text) {
  if (text.empty()) return 0;
  for (std::size_t i = 0; i < rules.size(); ++i)
    if (rules[i] == text) return static_cast<std::int64_t>(i);
  rules.emplace_back(text);
  return static_cast<std::int64_t>(rules.size()) - 1;
}

RowId FakeJournal::reserve(std::size_t count) noexcept {
  const RowId first = next_;
  next_ += static_cast<RowId>(count);
  return first;
}

void FakeJournal::commit(Batch& batch) {
  for (const Asked* row : batch.rows) rows[row->id] = *row;
  batch.done(true);
}

bool FakeJournal::submit(std::vector<const Asked*> submitted, std::function<void(bool)> done) {
  Batch batch{std::move(submitted), std::move(done)};
  switch (mode) {
    case Mode::works:
      commit(batch);
      break;
    case Mode::fails:
      batch.done(false);
      break;
    case Mode::stalls:
      stalled_.push_back(std::move(batch));
      break;
  }
  return true;
}

void FakeJournal::resume() {
  mode = Mode::works;
  while (!stalled_.empty()) {
    Batch batch = std::move(stalled_.front());
    stalled_.pop_front();
    commit(batch);
  }
}

}  // namespace postern::scenario
