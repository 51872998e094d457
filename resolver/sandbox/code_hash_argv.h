// What an interpreter's command line says about the code it will run. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct ScriptArgument {
  enum class Kind {
    none,  // no interpreter that is known here, or it reads stdin, or a module: the program stands for the
           // code
    file,  // `value` is the script's path as given
    text,  // `value` is the code itself (-c, -e)
  } kind = Kind::none;
  std::string value;
};

// `name`: the program's base name, "python3.11" is a "python3" is a "python".
bool is_interpreter(std::string_view name);
// `arguments`: argv without the program.
ScriptArgument script_argument(std::string_view name, const std::vector<std::string>& arguments);

// What `env` would run: its own options and assignments are taken off.
struct AfterEnv {
  std::vector<std::string> argv;    // empty: env alone, or an option that is not known here
  std::optional<std::string> path;  // PATH=..., if it is assigned
};
AfterEnv after_env(const std::vector<std::string>& arguments);

// The words of a "#!" line: interpreter and, as Linux has it, at most one argument; empty if `head` is no
// script.
std::vector<std::string> shebang(std::string_view head);

}  // namespace postern
