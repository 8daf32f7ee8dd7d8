// A .npz around the input: "key", a line's end, and the member of that name, twice if it is empty.
#include "archive.hpp"
#include "array_checks.hpp"
#include "support.hpp"

using grevy::fuzz::accepts;
using grevy::host::Array;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [line, bytes] = grevy::fuzz::split(grevy::fuzz::view(data, size), '\n');
  const std::string key(line.substr(0, 255));
  const grevy::fuzz::Members members{{key + ".npy", bytes}, {"notes.txt", line}};
  const std::string file = grevy::fuzz::write_input(grevy::fuzz::zip_of(members));
  Array array;
  if (!accepts([&] { array = Array::open(file, key); }, file)) return 0;
  grevy::fuzz::check_array(array, file);
  grevy::fuzz::expect(Array::open(file).shape() == array.shape(), "the only array is another one");
  return 0;
}
