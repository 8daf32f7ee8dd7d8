// What a shared library needs from others, read without loading it.
#ifndef GREVY_HOST_ELF_LINKS_HPP
#define GREVY_HOST_ELF_LINKS_HPP

#include <filesystem>
#include <string>

namespace grevy::host {

// What of LibTorch a library needs: the name of a library of it (libtorch*, libc10*), or a symbol
// of the namespaces at, c10 and torch that it leaves to others; empty: nothing. Symbols are seen
// only where the file has section headers. Errors: incompatible (another kind of file, damaged),
// not_found, io.
std::string needed_of_libtorch(const std::filesystem::path& file);

}  // namespace grevy::host

#endif
