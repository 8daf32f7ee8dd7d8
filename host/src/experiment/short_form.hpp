// Two shorter ways to write an experiment. They are rewritten to the long form before it is
// checked, so that everything behind them knows one form only.
//
//   "cebra"       the parameters of the reference's estimator class, by their names there
//   "objectives"  a list of slices of the embedding, each with its loss and its pairs or its label
//
// Errors: the text begins with the JSON pointer of the place in the document as it was written.
// invalid_type for a wrong JSON type, invalid_value otherwise.
#ifndef GREVY_HOST_SHORT_FORM_HPP
#define GREVY_HOST_SHORT_FORM_HPP

#include <nlohmann/json.hpp>

#include <initializer_list>

namespace grevy::host {

// First "cebra", then "objectives"; their keys are gone afterwards. A document without them comes
// back unchanged, whatever it is. Nothing else of the document is checked.
nlohmann::json expand_short_forms(nlohmann::json document);

// What the two keys may hold: JSON Schema (draft-07) with descriptions and defaults.
nlohmann::json cebra_schema();
nlohmann::json objectives_schema();

nlohmann::json expand_cebra(nlohmann::json document);
nlohmann::json expand_objectives(nlohmann::json document);

// Whether a list can be the value of "objectives"; pointers begin with "/objectives".
void check_objectives(const nlohmann::json& objectives);

// A place of the long form, and the keys of a short form that say the same.
struct Overlap {
  const char* pointer;
  const char* keys;
};

// Refuses a document that says something in both ways.
void refuse_overlaps(const nlohmann::json& document, const char* short_form,
                     std::initializer_list<Overlap> overlaps);

// The object under a key, made where the key is missing. Null where the key holds something else,
// which the check of the long form refuses.
nlohmann::json* object_under(nlohmann::json& document, const char* key);

}  // namespace grevy::host

#endif
