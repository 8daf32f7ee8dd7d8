// Pickles; a value that is read and written again must be the same.
#include "files/pickle.hpp"

#include "pickle_writer.hpp"
#include "support.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using grevy::host::PickleValue;
  using grevy::host::read_pickle;
  PickleValue value;
  const auto read = [&] { value = read_pickle(grevy::fuzz::view(data, size), "a.pt"); };
  if (!grevy::fuzz::accepts(read, "a.pt, byte ")) return 0;
  const std::string written = grevy::fuzz::pickle_of(value);
  const std::string again = grevy::fuzz::pickle_of(read_pickle(written, "written"));
  grevy::fuzz::expect(again == written, "a value changed");
  return 0;
}
