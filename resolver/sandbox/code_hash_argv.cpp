// What an interpreter's command line says about the code it will run.
#include "resolver/sandbox/code_hash_argv.h"

#include <algorithm>
#include <array>

namespace postern {
namespace {

// How one interpreter reads its options. Single letters may be put together ("-Ic"); a letter that takes a
// value takes the rest of its word, or the next one. What is not listed is taken for a flag: an option with a
// separate value that is missing here makes that value the script, which then is not found and told, rather
// than hashed wrongly in silence.
struct Interpreter {
  std::string_view name;         // without version digits
  std::string_view takes_value;  // letters that take a value
  std::string_view takes_code;   // letters whose value is code
  std::string_view takes_file;   // letters whose value is the script
  std::string_view ends_scan;    // letters after which nothing is a script (modules, stdin)
  std::string_view long_value;   // whole words with a separate value, space-separated
  std::string_view long_code;    // whole words with code, separate or after "="
  bool shell = false;            // -c is a mere flag; the code is the first operand. "+o" options exist
};

constexpr std::array interpreters = {
    Interpreter{"python", "WXQ", "c", "", "m", "--check-hash-based-pycs", "", false},
    Interpreter{"pypy", "WX", "c", "", "m", "--jit", "", false},
    Interpreter{"sh", "oO", "", "", "s", "--rcfile --init-file", "", true},
    Interpreter{"bash", "oO", "", "", "s", "--rcfile --init-file", "", true},
    Interpreter{"dash", "o", "", "", "s", "", "", true},
    Interpreter{"ash", "o", "", "", "s", "", "", true},
    Interpreter{"ksh", "o", "", "", "s", "", "", true},
    Interpreter{"zsh", "o", "", "", "s", "--emulate", "", true},
    Interpreter{"node", "rC", "ep", "", "i",
                "--require --import --loader --experimental-loader --conditions --env-file --title "
                "--icu-data-dir --openssl-config",
                "--eval --print -pe", false},
    Interpreter{"nodejs", "rC", "ep", "", "i", "--require --import --loader --conditions --env-file",
                "--eval --print -pe", false},
    Interpreter{"perl", "I", "eE", "", "", "", "", false},
    Interpreter{"ruby", "rICEFKTW", "e", "", "", "--encoding --external-encoding --internal-encoding", "",
                false},
    Interpreter{"php", "cdzt", "rBRE", "fF", "S", "", "--run", false},
    Interpreter{"lua", "l", "e", "", "", "", "", false},
    Interpreter{"luajit", "lbOj", "e", "", "", "", "", false},
    Interpreter{"Rscript", "e", "e", "", "", "", "", false},
    Interpreter{"tclsh", "", "", "", "", "-encoding", "", false},
};

const Interpreter* find(std::string_view name) {
  // "python3.11" -> "python"; "lua5.4" -> "lua".
  while (!name.empty() && (name.back() == '.' || (name.back() >= '0' && name.back() <= '9')))
    name.remove_suffix(1);
  const auto* found = std::find_if(interpreters.begin(), interpreters.end(),
                                   [&](const Interpreter& one) { return one.name == name; });
  return found != interpreters.end() ? &*found : nullptr;
}

bool has(std::string_view letters, char letter) {
  return letters.find(letter) != std::string_view::npos;
}

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

using Kind = ScriptArgument::Kind;

// The state of one reading: several -e are one program.
struct Reading {
  const Interpreter& interpreter;
  const std::vector<std::string>& arguments;
  std::size_t at = 0;
  bool code_wanted = false;  // a shell's -c
  bool over = false;         // nothing that follows is a script
  std::optional<std::string> code, file;

  std::optional<std::string> value(std::string_view rest) {
    if (!rest.empty()) return std::string(rest);
    if (at + 1 < arguments.size()) return arguments[++at];
    return std::nullopt;
  }
  void add_code(const std::optional<std::string>& text) {
    if (text) code = code ? *code + "\n" + *text : *text;
  }
  void read_long(std::string_view word);
  void read_letters(std::string_view letters);
};

void Reading::read_long(std::string_view word) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  if (has_word(interpreter.long_code, name)) {
    add_code(equals != std::string_view::npos ? std::optional(std::string(word.substr(equals + 1)))
                                              : value({}));
  } else if (has_word(interpreter.long_value, name) && equals == std::string_view::npos) {
    value({});
  }
}

void Reading::read_letters(std::string_view letters) {
  while (!letters.empty()) {
    const char letter = letters.front();
    letters.remove_prefix(1);
    if (interpreter.shell && letter == 'c') {
      code_wanted = true;
    } else if (has(interpreter.takes_code, letter)) {
      add_code(value(letters));
      // python: everything after -c TEXT is the program's own.
      if (interpreter.name == "python" || interpreter.name == "pypy") over = true;
      return;
    } else if (has(interpreter.takes_file, letter)) {
      file = value(letters);
      over = true;
      return;
    } else if (has(interpreter.ends_scan, letter)) {
      over = true;
      if (!interpreter.shell) return;
    } else if (has(interpreter.takes_value, letter)) {
      // A shell's value stands always apart ("-eo pipefail"); others may glue it on.
      value(interpreter.shell ? std::string_view() : letters);
      if (!interpreter.shell) return;
    }
  }
}

}  // namespace

bool is_interpreter(std::string_view name) {
  return find(name) != nullptr;
}

ScriptArgument script_argument(std::string_view name, const std::vector<std::string>& arguments) {
  const Interpreter* interpreter = find(name);
  if (interpreter == nullptr) return {};
  Reading reading{*interpreter, arguments, 0, false, false, {}, {}};
  for (; reading.at < arguments.size() && !reading.over; ++reading.at) {
    const std::string& word = arguments[reading.at];
    if (word == "--") {
      ++reading.at;
      break;
    }
    if (word == "-" || word.empty()) {
      if (interpreter->shell) {  // ends the options; alone it means stdin
        ++reading.at;
        break;
      }
      return {};
    }
    if (word.starts_with("--") || has_word(interpreter->long_value, word) ||
        has_word(interpreter->long_code, word)) {
      reading.read_long(word);
    } else if (word[0] == '-' || (interpreter->shell && word[0] == '+')) {
      reading.read_letters(std::string_view(word).substr(1));
    } else {
      break;
    }
  }
  if (reading.code) return {Kind::text, *reading.code};
  if (reading.file) return {Kind::file, *reading.file};
  if (reading.code_wanted) {
    return reading.at < arguments.size() ? ScriptArgument{Kind::text, arguments[reading.at]}
                                         : ScriptArgument{};
  }
  if (reading.over || reading.at >= arguments.size() || arguments[reading.at] == "-") return {};
  return {Kind::file, arguments[reading.at]};
}

AfterEnv after_env(const std::vector<std::string>& arguments) {
  AfterEnv out;
  std::size_t at = 0;
  for (; at < arguments.size(); ++at) {
    const std::string& word = arguments[at];
    if (word == "--") {
      ++at;
      break;
    }
    if (word == "-" || word == "-i" || word == "-0" || word == "-v" || word == "--ignore-environment" ||
        word == "--debug")
      continue;
    if (word == "-u" || word == "--unset" || word == "-C" || word == "--chdir") {
      ++at;
      continue;
    }
    if (word.starts_with("--unset=") || word.starts_with("--chdir=") || word.starts_with("--ignore-signal") ||
        word.starts_with("--default-signal") || word.starts_with("--block-signal")) {
      continue;
    }
    if (word == "-S" || word == "--split-string" || word.starts_with("-S") ||
        word.starts_with("--split-string=")) {
      // Split at blanks only: quotes and escapes of env -S would be a language of their own.
      std::string text;
      if (word == "-S" || word == "--split-string") {
        if (++at == arguments.size()) return out;
        text = arguments[at];
      } else {
        text = word.substr(word.starts_with("-S") ? 2 : word.find('=') + 1);
      }
      std::vector<std::string> words;
      for (std::size_t from = 0; (from = text.find_first_not_of(" \t", from)) != std::string::npos;) {
        const std::size_t end = std::min(text.find_first_of(" \t", from), text.size());
        words.push_back(text.substr(from, end - from));
        from = end;
      }
      words.insert(words.end(), arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1, arguments.end());
      AfterEnv inner = after_env(words);
      if (!inner.path) inner.path = out.path;
      return inner;
    }
    if (word.starts_with("-")) return out;
    break;
  }
  for (; at < arguments.size() && arguments[at].find('=') != std::string::npos; ++at) {
    if (arguments[at].starts_with("PATH=")) out.path = arguments[at].substr(5);
  }
  out.argv.assign(arguments.begin() + static_cast<std::ptrdiff_t>(std::min(at, arguments.size())),
                  arguments.end());
  return out;
}

std::vector<std::string> shebang(std::string_view head) {
  if (!head.starts_with("#!")) return {};
  head.remove_prefix(2);
  head = head.substr(0, head.find('\n'));
  constexpr std::string_view blanks = " \t\r";
  const auto trim = [&] {
    head.remove_prefix(std::min(head.find_first_not_of(blanks), head.size()));
    while (!head.empty() && blanks.find(head.back()) != std::string_view::npos) head.remove_suffix(1);
  };
  trim();
  std::vector<std::string> words;
  if (head.empty()) return words;
  const std::size_t end = std::min(head.find_first_of(blanks), head.size());
  words.emplace_back(head.substr(0, end));
  head.remove_prefix(end);
  trim();
  if (!head.empty()) words.emplace_back(head);
  return words;
}

}  // namespace postern
