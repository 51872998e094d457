// What the meter and the score must reach on recorded traffic, as tables with every bar reached or not.
//
//   bench_detection [--data DIR] [--svg FILE] [--only tunnels|encoders|benign|secrets|curve|baselines]
//
// The recordings are not in this repository: $POSTERN_DATA, or ../shared/data beside the project. Without
// them it says so and fails. Exit status: 0 all bars reached, 1 some not, 2 no data.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "bench/detection/data.h"

namespace {

std::string found_data(std::string given) {
  if (given.empty() && std::getenv("POSTERN_DATA") != nullptr) given = std::getenv("POSTERN_DATA");
  if (!given.empty()) return given;
  for (const char* beside : {"../shared/data", POSTERN_SOURCE_DIR "/../shared/data"})
    if (access(beside, R_OK) == 0) return beside;
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  using namespace postern::bench;
  constexpr int no_data = 2;
  std::string folder, svg, only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (i + 1 < argc && flag == "--data") {
      folder = argv[++i];
    } else if (i + 1 < argc && flag == "--svg") {
      svg = argv[++i];
    } else if (i + 1 < argc && flag == "--only") {
      only = argv[++i];
    } else {
      std::fprintf(stderr, "usage: bench_detection [--data DIR] [--svg FILE] [--only PART]\n");
      return no_data;
    }
  }
  folder = found_data(folder);
  if (folder.empty()) {
    std::fprintf(
        stderr,
        "bench_detection: THERE ARE NO RECORDINGS, so nothing was measured. Name their folder with --data or "
        "$POSTERN_DATA, or put it at ../shared/data beside the project.\n");
    return no_data;
  }
  const auto data = load_dataset(folder);
  if (!data) {
    std::fprintf(stderr, "bench_detection: NOTHING WAS MEASURED: %s\n", data.error().message.c_str());
    return no_data;
  }
  std::printf(
      "# Detection\n\nRecordings of %s. Columns: the default policy, and the meter alone (any name, any "
      "type, no "
      "rule, no score).\n\n",
      folder.c_str());
  Bars bars;
  const auto wanted = [&](std::string_view part) { return only.empty() || only == part; };
  postern::Result<void> plotted;
  if (wanted("tunnels")) report_tunnels(*data, bars);
  if (wanted("encoders")) report_encoders(bars);
  if (wanted("benign")) report_benign(*data, bars);
  if (wanted("secrets")) report_secrets(*data, bars);
  if (wanted("curve")) plotted = report_curve(*data, svg, bars);
  if (wanted("baselines")) report_baselines(*data, bars);
  std::printf("\n%d of %d bars reached\n", bars.all() - bars.missed(), bars.all());
  for (const std::string& text : bars.missed_texts()) std::printf("not reached: %s\n", text.c_str());
  if (!plotted) std::fprintf(stderr, "bench_detection: %s\n", plotted.error().message.c_str());
  return bars.missed() == 0 && plotted ? 0 : 1;
}
