// Values as a pickle, for reading them again.
#ifndef GREVY_FUZZ_PICKLE_WRITER_HPP
#define GREVY_FUZZ_PICKLE_WRITER_HPP

#include "files/pickle_value.hpp"

#include <string>

namespace grevy::fuzz {

// Protocol 3. Equal values give equal bytes, and only those.
std::string pickle_of(const host::PickleValue& value);

}  // namespace grevy::fuzz

#endif
