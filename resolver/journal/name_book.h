// The name book: which names the file knows by which number, as far as memory reaches.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "rules/name.h"

namespace postern {

// Thread: the journal's. Memory: at most twice `max_young` names, about 20 MiB of ordinary ones. Names that
// are in use stay: the older half goes when the younger one is full, and whoever is found there moves over.
// What is not here is looked up in the file, off the commit path (lister.h).
class NameBook {
 public:
  static constexpr std::size_t max_young = 65536;

  struct Known {
    std::int64_t id = 0;      // of `name`; 0: not known here
    std::int64_t domain = 0;  // of `domain`
  };
  Known find(std::string_view text);
  void add(std::string text, Known known);
  void forget(const std::string& text) {  // its row is removed
    young_.erase(text);
    old_.erase(text);
  }
  void clear() {
    young_.clear();
    old_.clear();
  }

 private:
  struct Hash {  // keyed, since sandboxes choose the names
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return hash_octets(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    }
  };
  using Map = std::unordered_map<std::string, Known, Hash, std::equal_to<>>;
  void make_room();
  Map young_, old_;
};

}  // namespace postern
