// The rule book: looking up, numbering, and handing over what is new.
#include "resolver/journal/rule_book.h"

#include <algorithm>
#include <unordered_set>

namespace postern {

Result<std::unique_ptr<RuleBook>> RuleBook::open(Connection reader) {
  std::unique_ptr<RuleBook> book(new RuleBook);
  book->reader_ = std::move(reader);
  const auto last = book->reader_.integer("SELECT coalesce(max(id), 0) FROM rule");
  if (!last) return tl::unexpected(last.error());
  book->next_ = *last + 1;
  auto newest = book->reader_.prepare("SELECT id, text FROM rule WHERE id > 0 ORDER BY id DESC LIMIT ?1");
  if (!newest) return tl::unexpected(newest.error());
  newest->bind(1, static_cast<std::int64_t>(max_known / 2));
  int code = SQLITE_OK;
  while ((code = newest->step()) == SQLITE_ROW) book->known_.emplace(newest->text(1), newest->integer(0));
  if (code != SQLITE_DONE) return tl::unexpected(book->reader_.failed("cannot read the rules of"));
  book->complete_ = *last <= static_cast<std::int64_t>(max_known / 2);
  newest->reset();
  if (auto done = book->use(std::move(book->reader_)); !done) return tl::unexpected(done.error());
  return book;
}

Result<void> RuleBook::use(Connection reader) {
  auto by_text = reader.prepare("SELECT id FROM rule WHERE text = ?1 ORDER BY id LIMIT 1");
  if (!by_text) return tl::unexpected(by_text.error());
  auto all = reader.prepare("SELECT id FROM rule ORDER BY id");
  if (!all) return tl::unexpected(all.error());
  std::unordered_set<std::int64_t> there;
  int code = SQLITE_ROW;
  while ((code = all->step()) == SQLITE_ROW) there.insert(all->integer(0));
  if (code != SQLITE_DONE) return tl::unexpected(reader.failed("cannot read the rules of"));
  const std::lock_guard lock(mutex_);
  unwritten_.clear();
  for (const auto& [text, id] : known_)
    if (there.count(id) == 0) unwritten_.push_back({id, text});
  std::sort(unwritten_.begin(), unwritten_.end(),
            [](const NewRule& a, const NewRule& b) { return a.id < b.id; });
  unwritten_count_.store(unwritten_.size(), std::memory_order_release);
  by_text_ = std::move(*by_text);
  reader_ = std::move(reader);
  return {};
}

void RuleBook::release() {
  const std::lock_guard lock(mutex_);
  by_text_ = Statement();
  reader_ = Connection();
}

std::int64_t RuleBook::intern(std::string_view text) {
  text = text.substr(0, max_text_octets);
  if (text.empty()) return 0;
  const std::lock_guard lock(mutex_);
  if (const auto found = known_.find(text); found != known_.end()) return found->second;
  // While nothing can be written, what is unwritten stays on top of the limit, or every miss would clear in
  // vain.
  if (known_.size() >= max_known + unwritten_.size()) {
    known_.clear();
    for (const NewRule& rule : unwritten_)
      known_.emplace(rule.text, rule.id);  // the file does not know these yet
    complete_ = false;
  }
  std::int64_t id = 0;
  if (!complete_ && by_text_.raw() != nullptr) {
    by_text_.bind(1, text);
    if (by_text_.step() == SQLITE_ROW)
      id = by_text_.integer(0);  // cannot be read: a second number for one text is fine
    by_text_.reset();
  }
  if (id == 0) {
    if (unwritten_.size() >= max_unwritten) return no_room;
    id = next_++;
    unwritten_.push_back({id, std::string(text)});
    unwritten_count_.store(unwritten_.size(), std::memory_order_release);
  }
  known_.emplace(text, id);
  return id;
}

std::vector<NewRule> RuleBook::unwritten() {
  const std::lock_guard lock(mutex_);
  return unwritten_;
}

void RuleBook::written(std::size_t count) {
  const std::lock_guard lock(mutex_);
  unwritten_.erase(unwritten_.begin(), unwritten_.begin() + static_cast<std::ptrdiff_t>(count));
  unwritten_count_.store(unwritten_.size(), std::memory_order_release);
}

}  // namespace postern
