// The program: settles what libraries read from the environment while they are loaded, then loads
// the rest of it. What the user has set stays.
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <string>

namespace {

// OpenBLAS does not know CPUs newer than itself and takes its slowest kernels for them.
const char* openblas_kernels() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return "SKYLAKEX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "HASWELL";
#endif
  return nullptr;
}

void set_environment() {
  // Threads that wait for work sleep, and leave the cores to those that have some.
  ::setenv("OMP_WAIT_POLICY", "passive", 0);
  if (const char* kernels = openblas_kernels()) ::setenv("OPENBLAS_CORETYPE", kernels, 0);
}

}  // namespace

int main(int argc, char** argv) {
  set_environment();
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string rest = (program.parent_path() / GREVY_CLI_LIBRARY).lexically_normal();
  void* library = ::dlopen(rest.c_str(), RTLD_NOW | RTLD_GLOBAL);
  using Main = int (*)(int, char**);
  const auto run =
      library == nullptr ? nullptr : reinterpret_cast<Main>(::dlsym(library, "grevy_main"));
  if (run == nullptr) {
    std::fprintf(stderr, "grevy: %s\n", ::dlerror());
    return 1;
  }
  return run(argc, argv);
}
