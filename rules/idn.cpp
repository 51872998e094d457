// Names in Unicode, by libidn2.
#include "rules/idn.h"

#include <idn2.h>

#include <memory>

#include "rules/quote.h"

namespace postern {

Result<std::string> to_a_labels(std::string_view text) {
  // Four octets a code point, and no name has more than 253 of those; the library's time grows faster than
  // the text.
  constexpr std::size_t most_octets = 1024;
  const auto bad = [&](const char* why) {
    return failure("cannot write " + quoted(text) + " in A-labels: " + why);
  };
  if (text.size() > most_octets) return bad("it is longer than any name");
  if (text.find('\0') != std::string_view::npos) return bad("it holds a NUL");
  const std::string terminated(text);
  std::uint8_t* made = nullptr;
  const int status = idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(terminated.c_str()), &made,
                                    IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
  const std::unique_ptr<std::uint8_t, void (*)(void*)> owner(made, idn2_free);
  if (status != IDN2_OK) return bad(idn2_strerror(status));
  return std::string(reinterpret_cast<const char*>(made));
}

}  // namespace postern
