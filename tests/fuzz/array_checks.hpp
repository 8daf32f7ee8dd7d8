// What must hold of an array that a reader took.
#ifndef GREVY_FUZZ_ARRAY_CHECKS_HPP
#define GREVY_FUZZ_ARRAY_CHECKS_HPP

#include <grevy/host/array.hpp>

#include <string>

namespace grevy::fuzz {

// Converts it, writes it and reads it again: numbers must come back as they were, texts as UTF-8.
// Messages of refused conversions begin with `start`.
void check_array(const host::Array& array, const std::string& start);

}  // namespace grevy::fuzz

#endif
