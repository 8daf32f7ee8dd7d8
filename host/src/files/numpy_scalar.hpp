// One number of NumPy, from its bytes.
#ifndef GREVY_HOST_NUMPY_SCALAR_HPP
#define GREVY_HOST_NUMPY_SCALAR_HPP

#include "files/pickle_value.hpp"

#include <string>

namespace grevy::host {

// `code` is byte order and type ("<f8", "|b1"). Gives a bool, an integer or a float.
// Errors: invalid_value for other types, another length, or an integer above 2^63 - 1.
PickleValue numpy_scalar(const std::string& code, const std::string& bytes);

}  // namespace grevy::host

#endif
