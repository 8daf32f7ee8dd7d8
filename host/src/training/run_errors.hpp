// Errors of what is written under a folder's descriptor, as people can read them.
#ifndef GREVY_HOST_RUN_ERRORS_HPP
#define GREVY_HOST_RUN_ERRORS_HPP

#include "training/folder_lock.hpp"

#include <grevy/detail/guard.hpp>

#include <filesystem>
#include <string>
#include <utility>

namespace grevy::host {

// Files are written under the folder's descriptor, so that nothing goes into a folder that took its
// place; people know them by its name.
template <class Body>
auto with_names(const FolderLock& lock, Body&& body) {
  try {
    return body();
  } catch (const PluginError&) {
    throw;
  } catch (const Error& e) {
    const std::string text = lock.named(e.what());
    if (text == e.what()) throw;  // an application's own, perhaps
    throw Error(e.code(), text);
  } catch (const std::filesystem::filesystem_error& e) {
    throw std::filesystem::filesystem_error(e.what(), lock.named(e.path1().string()), e.code());
  }
}

// Which checkpoint of the folder can be read, or why none can.
std::string what_is_left(const FolderLock& lock);

// A failure to write says what there is all the same, wherever the folder is by now.
template <class Body>
auto while_writing(const FolderLock& lock, Body&& body) {
  try {
    return with_names(lock, std::forward<Body>(body));
  } catch (const PluginError&) {
    throw;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::io) throw;
    throw Error(e.code(), std::string(e.what()) + "; " + what_is_left(lock));
  }
}

}  // namespace grevy::host

#endif
