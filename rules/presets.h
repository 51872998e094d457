// Presets: policy files that come with Postern (rules/presets/*.yaml), put into the program when it is built.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace postern {

struct Preset {
  std::string_view name;  // of the file, without ".yaml"
  std::string_view text;  // YAML
};
std::span<const Preset> presets() noexcept;  // sorted by name

// The presets that are settings, not rules: policies of that name always exist, and others extend them. All
// others are included for their rules.
bool is_policy_preset(std::string_view name) noexcept;
// "containers, debian, ...": those that can be included.
std::string includable_presets();

}  // namespace postern
