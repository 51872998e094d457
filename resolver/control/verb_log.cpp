// `postern log`: a journal as a stream of records, once through or followed.
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <utility>

#include "resolver/control/commands.h"
#include "resolver/control/log_format.h"
#include "resolver/journal/log_follow.h"
#include "resolver/sandbox/broker.h"
#include "rules/idn.h"
#include "rules/name.h"
#include "rules/quote.h"

namespace postern {
namespace {

constexpr int quiet_ms = 1000;  // without news, what is unsettled is looked at so often
constexpr int pause_ms = 50;    // between two looks while a journal is written without a pause

std::int64_t unix_now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// SIGINT and SIGTERM wait until they are asked for, so that no record is cut in half; whoever waits for
// anything else asks for them too.
class Stop {
 public:
  Stop() {
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, nullptr);
    signals_ = Fd(signalfd(-1, &both, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  // Until the descriptor is readable or the time is over; true: go on.
  bool wait(int fd, int limit_ms) const {
    pollfd two[] = {{signals_.get(), POLLIN, 0}, {fd, POLLIN, 0}};
    poll(two, 2, limit_ms);
    return (two[0].revents & POLLIN) == 0;
  }
  // Until something can be written; false: nothing can, and somebody has had enough.
  bool wait_to_write(int fd) const {
    for (;;) {
      pollfd two[] = {{fd, POLLOUT, 0}, {signals_.get(), POLLIN, 0}};
      poll(two, 2, -1);
      if (two[0].revents != 0) return true;  // also an error: writing tells it
      if ((two[1].revents & POLLIN) != 0) return false;
    }
  }
  // Which of the two it was, once one of them has ended a wait.
  int signal() const {
    signalfd_siginfo told{};
    return read(signals_.get(), &told, sizeof told) == sizeof told ? static_cast<int>(told.ssi_signo)
                                                                   : SIGTERM;
  }

 private:
  Fd signals_;
};

// Tells when the journal's files are written to: the folder is watched, since -wal comes and goes.
class Watch {
 public:
  explicit Watch(const std::string& db) : fd_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    const std::filesystem::path path(db);
    file_ = path.filename().string();
    const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
    if (fd_) inotify_add_watch(fd_.get(), folder.c_str(), IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVE);
  }
  int fd() const { return fd_.get(); }  // -1: none; then only the time helps
  // True if one of what has happened was about the journal.
  bool heard() const {
    alignas(inotify_event) char buffer[8192];
    bool ours = false;
    for (ssize_t size; (size = read(fd_.get(), buffer, sizeof buffer)) > 0;)
      for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        ours = ours || event->len == 0 || std::string_view(event->name).starts_with(file_);
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    return ours;
  }

 private:
  Fd fd_;
  std::string file_;
};

Error write_failed() {
  return Error{std::string("cannot write the log: ") + std::strerror(errno)};
}

// Records on their way to stdout. A reader that does not read holds nobody up who was told to end.
class Sink {
 public:
  explicit Sink(const Stop& stop) : stop_(stop) {
    struct stat status {};
    is_file_ = fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode);
  }
  // False: the reader of our output is gone, or does not read while somebody has had enough. Errors: what the
  // system says.
  Result<bool> put(const std::string& text) {
    waiting_ += text;
    return waiting_.size() < gathered ? Result<bool>(true) : flush();
  }
  Result<bool> flush() {
    const std::string all = std::exchange(waiting_, {});
    std::string_view rest = all;
    while (!rest.empty()) {
      if (!stop_.wait_to_write(STDOUT_FILENO)) return false;
      const ssize_t wrote = ::write(STDOUT_FILENO, rest.data(), piece(rest));
      reader_is_gone_ = wrote < 0 && errno == EPIPE;
      if (reader_is_gone_) return false;
      if (wrote < 0 && errno != EINTR && errno != EAGAIN) return tl::unexpected(write_failed());
      if (wrote > 0) rest.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return true;
  }
  bool reader_is_gone() const { return reader_is_gone_; }

 private:
  static constexpr std::size_t gathered = 64 << 10;
  // What a pipe that can be written to takes without waiting (pipe(7)): whole records, where they fit.
  std::size_t piece(std::string_view text) const {
    if (is_file_ || text.size() <= PIPE_BUF) return text.size();
    const std::size_t line = text.rfind('\n', PIPE_BUF - 1);
    return line == std::string_view::npos ? PIPE_BUF : line + 1;
  }
  const Stop& stop_;
  bool is_file_ = false, reader_is_gone_ = false;
  std::string waiting_;
};

struct Output {
  const LogFormat& format;
  Redactor redactor;
  bool alerts;
  Sink sink;

  // Queries and alerts of a page, merged by time.
  Result<bool> print(LogReader::Page& page) {
    auto alert = page.alerts.begin();
    const auto print_alerts = [&](std::int64_t until_us) -> Result<bool> {
      for (; alert != page.alerts.end() && alert->time_us <= until_us; ++alert) {
        if (!alerts) continue;
        redactor.redact(*alert);
        if (auto written = sink.put(format.line(*alert)); !written || !*written) return written;
      }
      return true;
    };
    for (LoggedQuery& query : page.queries) {
      if (auto written = print_alerts(query.time_us - 1); !written || !*written) return written;
      redactor.redact(query);
      if (auto written = sink.put(format.line(query)); !written || !*written) return written;
    }
    return print_alerts(INT64_MAX);
  }
};

// As the journal has it; empty: the root, so every name. Errors: what can be above no name that was asked.
Result<std::string> wanted_domain(const std::string& text) {
  const auto bad = [&](const char* why) { return failure("--domain " + quoted(text) + ": " + why); };
  if (text == "*" || text == "**" || text.starts_with("*.") || text.starts_with("**."))
    return bad("it is a pattern; give the name alone, and all below it is meant");
  const bool is_ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  const Result<std::string> spelled = is_ascii ? Result<std::string>(text) : to_a_labels(text);
  if (!spelled) return tl::unexpected(Error{"--domain: " + spelled.error().message});
  if (spelled->find_first_of(" \t\r\n\v\f") != std::string::npos)
    return bad("it has white space (a blank that a label holds is written \\032)");
  const auto name = Name::parse(*spelled);
  if (!name) return tl::unexpected(Error{"--domain: " + name.error().message});
  return name->is_root() ? "" : name->text();
}

Result<LogFilter> filter_of(const LogFlags& flags, std::int64_t now_us) {
  LogFilter filter;
  const std::pair<const char*, const std::optional<std::string>&> given[] = {{"--sandbox", flags.sandbox},
                                                                             {"--session", flags.session},
                                                                             {"--user", flags.user},
                                                                             {"--domain", flags.domain}};
  for (const auto& [option, value] : given)  // as of a variable that is not set: all were let through
    if (value && value->empty())
      return failure(std::string(option) + " \"\": nothing is named so; leave the option out to have all");
  filter.sandbox = flags.sandbox.value_or("");
  filter.session = flags.session.value_or("");
  filter.user = flags.user.value_or("");
  filter.blocked = flags.blocked;
  if (flags.domain) {
    auto domain = wanted_domain(*flags.domain);
    if (!domain) return tl::unexpected(domain.error());
    filter.domain = std::move(*domain);
  }
  if (flags.follow && flags.until)
    return failure("--follow and --until " + quoted(*flags.until) + " do not go together");
  if (flags.follow && !flags.since) {
    filter.since_us = now_us;  // for a journal that takes the place of this one
    filter.past = LogFilter::Past::left_out;
  }
  if (flags.since) {
    const auto since = parse_moment(*flags.since, now_us);
    if (!since) return tl::unexpected(Error{"--since: " + since.error().message});
    filter.since_us = *since;
  }
  if (flags.until) {
    const auto until = parse_moment(*flags.until, now_us);
    if (!until) return tl::unexpected(Error{"--until: " + until.error().message});
    filter.until_us = *until;
  }
  if (flags.since && filter.since_us >= filter.until_us)
    return failure("--since " + quoted(*flags.since) + " is not before --until " + quoted(*flags.until));
  return filter;
}

// All there is. False: not all of it, nobody wants more.
Result<bool> stream(const std::string& db, const LogFilter& filter, const Stop& stop, Output& output) {
  auto reader = LogReader::open(db, filter, false);
  if (!reader) return tl::unexpected(reader.error());
  for (bool end = false; !end;) {
    auto page = (*reader)->next(unix_now_us());
    if (!page) return tl::unexpected(page.error());
    const auto written = output.print(*page);
    if (!written) return tl::unexpected(written.error());
    if (!*written) return false;
    end = page->end;
    if (!end && !stop.wait(-1, 0)) return false;
  }
  return true;
}

// ... and what comes, until somebody has had enough: true, as there is no whole.
Result<bool> follow(const std::string& db, const LogFilter& filter, const Stop& stop, Output& output) {
  const Watch watch(db);
  auto follower = LogFollower::open(db, filter);
  if (!follower) return tl::unexpected(follower.error());
  for (;;) {
    auto news = follower->next(unix_now_us());
    const auto written = output.print(news.page);
    if (!written) return tl::unexpected(written.error());
    if (!*written) return true;
    if (!news.note.empty()) std::cerr << "postern: " << news.note << std::endl;
    const bool go_on = stop.wait(-1, 0);
    if (!news.page.end && go_on) continue;
    const auto flushed = output.sink.flush();
    if (!flushed) return tl::unexpected(flushed.error());
    if (!*flushed || !go_on) return true;
    if (!stop.wait(-1, pause_ms)) return true;
    if (!watch.heard() && !stop.wait(watch.fd(), quiet_ms)) return true;
  }
}

}  // namespace

int log_verb(const LogFlags& flags) {
  const std::int64_t now_us = unix_now_us();
  const std::string db = flags.db.empty() ? default_state_folder() + "/journal.db" : flags.db;
  const bool colour = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  const auto format = log_format(flags.format, colour);
  if (!format) return complain(format.error().message);
  const auto level = redaction_of(flags.redact);
  if (!level) return complain(level.error().message);
  const auto filter = filter_of(flags, now_us);
  if (!filter) return complain(filter.error().message);
  signal(SIGPIPE, SIG_IGN);
  const Stop stop;
  Output output{**format, Redactor(*level), !flags.no_alerts, Sink(stop)};
  const auto head = output.sink.put((*format)->head(now_us));
  if (!head) return complain(head.error().message);
  if (!*head) return 0;
  const auto done = flags.follow ? follow(db, *filter, stop, output) : stream(db, *filter, stop, output);
  const auto rest = output.sink.flush();  // also after an error: what was read is not lost
  if (!done) return complain(done.error().message);
  if (!rest) return complain(rest.error().message);
  const bool is_whole = *done && *rest;
  return is_whole || flags.follow || output.sink.reader_is_gone() ? 0 : 128 + stop.signal();
}

}  // namespace postern
