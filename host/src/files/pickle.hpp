// Reads a pickle that torch.save wrote, without running anything in it.
//
// Format: pickle protocols 2 to 5, as CPython's pickletools module describes them. Classes and
// functions are those of a fixed list (pickle_globals.cpp): tensors, containers, a few value types
// of PyTorch, NumPy and CEBRA. The file names them, but what they stand for is code of our own.
#ifndef GREVY_HOST_PICKLE_HPP
#define GREVY_HOST_PICKLE_HPP

#include "files/pickle_value.hpp"

#include <string>
#include <string_view>

namespace grevy::host {

// Longer pickles are refused. The log of four million steps fits.
inline constexpr std::uint64_t pickle_bytes_limit = std::uint64_t{256} << 20;

// `bytes` is exactly one pickle; `where` begins every message. Time and memory are bounded by a
// multiple of its length: at most 16 values for each byte (4096 where there are few) and 20 million
// in all, nested at most 100 deep, repeated values (through the memo) counted each time. Errors:
// invalid_value (damaged, cyclic, too large); incompatible (a class, function or operation that is
// not on the list: names it).
PickleValue read_pickle(std::string_view bytes, const std::string& where);

}  // namespace grevy::host

#endif
