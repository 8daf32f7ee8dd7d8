// Arrays in .npy and .npz files, whole files as they are.
#include "array_checks.hpp"
#include "support.hpp"

using grevy::fuzz::accepts;
using grevy::host::Array;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file = grevy::fuzz::write_input(grevy::fuzz::view(data, size));
  Array array;
  if (accepts([&] { array = Array::open(file); }, file)) grevy::fuzz::check_array(array, file);
  accepts([&] { array = Array::open(file, "a"); }, file);
  return 0;
}
