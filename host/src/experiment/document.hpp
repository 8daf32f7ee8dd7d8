// An experiment's document, before it is checked.
#ifndef GREVY_HOST_DOCUMENT_HPP
#define GREVY_HOST_DOCUMENT_HPP

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace grevy::host {

// Errors: not_found; invalid_value (no JSON, nested deeper than 64 levels). Messages begin with the
// file's name.
nlohmann::json read_document(const std::filesystem::path& file);

// Makes one change, "a.b.c=value": value as JSON, else as text. Objects are made where they are
// missing; an element after the last one of an array is added to it ("-" stands for its number).
// Errors: invalid_value for another form, more than 64 keys or levels, a place in what is no object
// or array, an element farther away, and what is no UTF-8. The document is then as it was, or has
// objects and nulls on the way to the place.
void apply_change(nlohmann::json& document, const std::string& change);

}  // namespace grevy::host

#endif
