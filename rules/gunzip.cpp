// Gunzip, by zlib's inflate.
#include "rules/gunzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

namespace postern {

struct Gunzip::State {
  z_stream stream{};
  bool ready = false;  // zlib's state is there
  std::uint64_t most_octets = 0, octets = 0;
  std::uint64_t members = 0;
  bool inside = false;   // a member has begun and not ended
  bool padding = false;  // zeros follow the last member, as tape archives have them
  std::string error;

  ~State() {
    if (ready) inflateEnd(&stream);
  }
};

namespace {
tl::unexpected<Error> gunzip_failure(const std::string& why) {
  return failure("cannot decompress: " + why);
}
}  // namespace

bool is_gzip(std::string_view data) noexcept {
  return data.starts_with("\x1f\x8b\x08");
}

Gunzip::Gunzip(std::uint64_t most_octets) : state_(std::make_unique<State>()) {
  state_->most_octets = most_octets;
  constexpr int gzip_only = 15 + 16;  // the largest window; 16: the gzip header and nothing else
  state_->ready = inflateInit2(&state_->stream, gzip_only) == Z_OK;
  if (!state_->ready) state_->error = "there is no memory for it";
}
Gunzip::~Gunzip() = default;
Gunzip::Gunzip(Gunzip&&) noexcept = default;
Gunzip& Gunzip::operator=(Gunzip&&) noexcept = default;

Result<void> Gunzip::feed(std::string_view piece, std::string& out) {
  State& state = *state_;
  const auto bad = [&](std::string why) {
    state.error = std::move(why);
    return gunzip_failure(state.error);
  };
  if (!state.error.empty()) return gunzip_failure(state.error);
  z_stream& stream = state.stream;
  constexpr std::size_t step = 64 << 10, largest_step = 16 << 20;  // what `out` grows by
  bool full = false;  // the last step's space was all used, so zlib may hold more
  while (!piece.empty() || full) {
    if (!state.inside) {
      if (state.members > 0 && (state.padding || piece.front() == '\0')) {
        state.padding = true;
        if (piece.find_first_not_of('\0') == std::string_view::npos) return {};
        return bad("something other than gzip follows the data");
      }
      if (state.members > 0 && piece.front() != '\x1f')
        return bad("something other than gzip follows the data");
      inflateReset(&stream);
      state.inside = true;
    }
    const std::size_t had = out.size();
    const std::size_t room = std::clamp(had, step, largest_step);
    // One octet over the limit tells that it is passed.
    const std::uint64_t left = state.most_octets - state.octets;
    const std::size_t space = left < room ? static_cast<std::size_t>(left) + 1 : room;
    out.resize(had + space);
    const std::size_t given = std::min<std::size_t>(piece.size(), std::numeric_limits<uInt>::max());
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + had);
    stream.avail_out = static_cast<uInt>(space);
    const int status = inflate(&stream, Z_NO_FLUSH);
    const std::size_t made = space - stream.avail_out;
    out.resize(had + made);
    piece.remove_prefix(given - stream.avail_in);
    state.octets += made;
    if (state.octets > state.most_octets) {
      out.pop_back();
      return bad("more than " + std::to_string(state.most_octets) + " octets come out");
    }
    if (status == Z_STREAM_END) {
      state.inside = full = false;
      ++state.members;
    } else if (status == Z_OK || (status == Z_BUF_ERROR && piece.empty())) {  // wants more, or more room
      full = made == space;
    } else {
      return bad(stream.msg != nullptr ? std::string("damaged data, ") + stream.msg : "damaged data");
    }
  }
  return {};
}

Result<void> Gunzip::finish() const {
  if (!state_->error.empty()) return gunzip_failure(state_->error);
  if (state_->inside) return gunzip_failure("the data is cut off");
  if (state_->members == 0) return gunzip_failure("there is no data");
  return {};
}

Result<std::string> gunzip(std::string_view data, std::size_t most_octets) {
  if (!is_gzip(data)) return gunzip_failure("it is not gzip");
  Gunzip stream(most_octets);
  std::string out;
  if (const Result<void> fed = stream.feed(data, out); !fed) return tl::unexpected(fed.error());
  if (const Result<void> ended = stream.finish(); !ended) return tl::unexpected(ended.error());
  return out;
}

}  // namespace postern
