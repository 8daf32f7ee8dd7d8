// "did you mean"
#ifndef GREVY_HOST_NEAREST_NAME_HPP
#define GREVY_HOST_NEAREST_NAME_HPP

#include <string>
#include <string_view>
#include <vector>

namespace grevy::host {

// The candidate nearest to `word` (Levenshtein distance at most max(2, length / 3), ignoring case),
// or empty.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace grevy::host

#endif
