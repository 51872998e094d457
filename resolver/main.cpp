// postern: from the command line (control/command_line.h) to a verb (control/verb_*.cpp), in whose function
// all else is constructed.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "resolver/control/command_line.h"
#include "rules/quote.h"
#include "rules/terminal_text.h"

namespace {

// The first word that stands where a subcommand must, and is none; empty: there is no such.
std::string unknown_subcommand(const CLI::App& app, int argc, char** argv) {
  const CLI::App* level = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("-")) return "";
    const auto below = level->get_subcommands([&](const CLI::App* one) { return one->get_name() == word; });
    if (below.empty()) return level->get_require_subcommand_min() > 0 ? word : "";
    level = below.front();
  }
  return "";
}

// Says what was wrong, or the help or version that was asked for; the exit status.
int refuse(const CLI::App& app, const CLI::ParseError& error) {
  std::stringstream said;
  const int code = app.exit(error, std::cout, said);
  for (std::string line; std::getline(said, line);) std::cerr << postern::escaped(line) << "\n";
  return code == 0 ? 0 : postern::status_failed;
}

// Answers that did not reach whoever asked are not a success. What is in neither buffer has been written.
bool all_written() {
  const bool streamed = static_cast<bool>(std::cout.flush());
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && streamed;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace postern;
  spdlog::set_default_logger(spdlog::stderr_color_mt("postern"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);

  CLI::App app{
      "Postern: the DNS resolver for sandboxes. It knows who asks, decides, meters what leaves, cuts "
      "tunnels, and\n"
      "keeps a record."};
  app.require_subcommand(1);
  app.set_version_flag("--version", "postern " POSTERN_VERSION);
  const CommandLine command_line(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    if (const std::string strange = unknown_subcommand(app, argc, argv); !strange.empty())
      return complain("there is no subcommand " + quoted(strange) + "; --help lists them");
    return refuse(app, error);
  } catch (const CLI::ParseError& error) {
    return refuse(app, error);
  } catch (const std::exception& error) {
    return complain(error.what());  // out of memory, and what a library throws against its word
  }
  if (command_line.status == 0 && !all_written()) return complain("cannot write to standard output");
  return command_line.status;
}
