// Bytes that should be text: names of files may be any.
#ifndef GREVY_HOST_UTF8_TEXT_HPP
#define GREVY_HOST_UTF8_TEXT_HPP

#include <string>
#include <string_view>

namespace grevy::host {

// With "\xff" for a byte that begins no character, and for control characters.
std::string escaped(std::string_view text);

// For what is stored as JSON text. Returns it. Errors: invalid_value, beginning with `where`, with
// the text escaped.
const std::string& require_utf8(const std::string& text, const std::string& where);

}  // namespace grevy::host

#endif
