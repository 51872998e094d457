// Replay: runs a fuzz target once over every file of the folders given, with any compiler.
//
// A crash names its file, because each name is printed before it runs (flushed, as an abort would lose it).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> files_below(const char* folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file() && entry->path().filename().native()[0] != '.')
      files.push_back(entry->path());
  }
  if (error) std::fprintf(stderr, "replay: cannot read %s: %s\n", folder, error.message().c_str());
  std::sort(files.begin(), files.end());  // the same order everywhere
  return files;
}

bool replay(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "replay: cannot open %s\n", file.c_str());
    return false;
  }
  const std::vector<char> read{std::istreambuf_iterator<char>(in), {}};
  // A copy of exactly this size on the heap, so that AddressSanitizer sees a read one octet past it.
  const auto exact = std::make_unique<std::uint8_t[]>(read.size());
  std::copy(read.begin(), read.end(), exact.get());
  std::printf("%s\n", file.filename().c_str());
  std::fflush(stdout);
  LLVMFuzzerTestOneInput(exact.get(), read.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
    return 2;
  }
  int status = 0;
  for (int i = 1; i < argc; ++i) {
    std::size_t count = 0;
    for (const auto& file : files_below(argv[i])) {
      if (replay(file)) {
        ++count;
      } else {
        status = 1;
      }
    }
    std::printf("replayed %zu files of %s\n", count, argv[i]);
    if (count == 0) {
      std::fprintf(stderr, "replay: %s holds no file, so nothing was tested\n", argv[i]);
      status = 1;
    }
  }
  return status;
}
