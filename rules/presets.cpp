// Presets: which of them are policies. The texts are made by CMake (rules/presets.cmake).
#include "rules/presets.h"

#include <algorithm>
#include <array>

namespace postern {
namespace {

constexpr auto policy_presets = std::to_array<std::string_view>({"browse", "deny-all", "strict"});

}  // namespace

bool is_policy_preset(std::string_view name) noexcept {
  return std::find(policy_presets.begin(), policy_presets.end(), name) != policy_presets.end();
}

std::string includable_presets() {
  std::string out;
  for (const Preset& preset : presets())
    if (!is_policy_preset(preset.name)) out += (out.empty() ? "" : ", ") + std::string(preset.name);
  return out;
}

}  // namespace postern
