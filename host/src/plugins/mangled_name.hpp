// Namespaces in the names that C++ compilers give to functions and data.
#ifndef GREVY_HOST_MANGLED_NAME_HPP
#define GREVY_HOST_MANGLED_NAME_HPP

#include <string_view>

namespace grevy::host {

// Whether a mangled name (Itanium C++ ABI, chapter 5.1) names anything of a namespace of the
// outermost level, itself or among its arguments: "at" is in _ZN2at4sizeEv and _Z3useRN2at6TensorE,
// but not in _ZN5my_N2at4sizeEv or _ZN2my2at4sizeEv. Names of anything else, and damaged ones, have
// none. Takes a time that grows with the name's length alone.
bool names_namespace(std::string_view mangled, std::string_view space);

}  // namespace grevy::host

#endif
