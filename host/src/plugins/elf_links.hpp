// What a shared library needs from others, read without loading it.
#ifndef GREVY_HOST_ELF_LINKS_HPP
#define GREVY_HOST_ELF_LINKS_HPP

#include <filesystem>
#include <string>

namespace grevy::host {

// What of LibTorch a library needs: the name of a library of it (libtorch*, libc10*, libcaffe2*, in
// a folder or not), or a symbol that it leaves to others, of the namespaces at, c10, c10d, torch
// and caffe2 or LibTorch's functions in C; empty: nothing. Symbols are found as the loader finds
// them, with and without section headers. Errors: incompatible (another kind of file, damaged),
// not_found, io.
std::string needed_of_libtorch(const std::filesystem::path& file);

}  // namespace grevy::host

#endif
