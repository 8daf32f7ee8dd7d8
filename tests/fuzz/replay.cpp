// Runs kept inputs through the fuzz targets, with any compiler:
//   grevy-fuzz-replay CORPUS          every CORPUS/TARGET/FILE through its target
//   grevy-fuzz-replay TARGET FILE...  these files through one target
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

// LLVMFuzzerTestOneInput of each target has the name fuzz_TARGET here.
#define GREVY_FUZZ_TARGET(name) \
  extern "C" int fuzz_##name(const std::uint8_t* data, std::size_t size);
#include "targets.inc"
#undef GREVY_FUZZ_TARGET

namespace {

namespace fs = std::filesystem;

struct Target {
  const char* name;
  int (*run)(const std::uint8_t* data, std::size_t size);
};

#define GREVY_FUZZ_TARGET(name) {#name, fuzz_##name},
constexpr Target targets[] = {
#include "targets.inc"
};
#undef GREVY_FUZZ_TARGET

bool passes(const Target& target, const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  try {
    target.run(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    return true;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s %s: %s\n", target.name, file.c_str(), e.what());
    return false;
  }
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// How many of them fail; no file at all is a failure too.
std::ptrdiff_t replay(const Target& target, const std::vector<fs::path>& files) {
  const auto failed = std::count_if(files.begin(), files.end(),
                                    [&](const fs::path& file) { return !passes(target, file); });
  std::printf("%-18s %4zu inputs, %td failed\n", target.name, files.size(), failed);
  std::fflush(stdout);
  return files.empty() ? 1 : failed;
}

std::ptrdiff_t replay_corpus(const fs::path& corpus) {
  std::ptrdiff_t failed = 0;
  for (const Target& target : targets) failed += replay(target, files_in(corpus / target.name));
  return failed;
}

int usage() {
  std::fprintf(stderr, "usage: grevy-fuzz-replay CORPUS | TARGET FILE...\ntargets:");
  for (const Target& target : targets) std::fprintf(stderr, " %s", target.name);
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return usage();
  if (arguments.size() == 1 && fs::is_directory(arguments[0]))
    return replay_corpus(arguments[0]) == 0 ? 0 : 1;
  const auto target = std::find_if(std::begin(targets), std::end(targets),
                                   [&](const Target& known) { return known.name == arguments[0]; });
  if (target == std::end(targets) || arguments.size() == 1) return usage();
  return replay(*target, {arguments.begin() + 1, arguments.end()}) == 0 ? 0 : 1;
}
