#include "experiment/schema.hpp"

#include "experiment/schema_rule.hpp"
#include "plugins/nearest_name.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#ifndef VALIJSON_USE_EXCEPTIONS
#define VALIJSON_USE_EXCEPTIONS 1
#endif
#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace grevy::host {
namespace {

using namespace schema;  // NOLINT(google-build-using-namespace): the words of schema_rule.hpp

constexpr std::array kBranchTags = {"name", "type"};

// ---- valijson -----------------------------------------------------------------------------------

std::size_t depth_of(const json& value) {
  std::size_t depth = 0;
  if (value.is_primitive()) return depth;
  for (const json& item : value) depth = std::max(depth, depth_of(item));
  return depth + 1;
}

// The value as valijson may see it: no integer that its int64_t would wrap, no string with broken
// UTF-8, and no deeper than a schema can look.
json safe_copy(const json& value, std::size_t depth) {
  if (beyond_int64(value)) return json(value.get<double>());
  if (value.is_string()) return json::parse(dump(value));
  if (value.is_primitive()) return value;
  json copy(value.type());
  if (depth == 0) return copy;
  for (auto item = value.begin(); item != value.end(); ++item) {
    if (value.is_array()) copy.push_back(safe_copy(*item, depth - 1));
    if (value.is_object()) copy[item.key()] = safe_copy(*item, depth - 1);
  }
  return copy;
}

void parse_schema(const json& schema, valijson::Schema& parsed) {
  try {
    valijson::SchemaParser().populateSchema(valijson::adapters::NlohmannJsonAdapter(schema),
                                            parsed);
  } catch (const std::exception& error) {
    throw Error(ErrorCode::internal, std::string("the schema itself is wrong: ") + error.what());
  }
}

bool is_valid(const json& schema, const json& value, valijson::ValidationResults* results) {
  valijson::Schema parsed;
  parse_schema(schema, parsed);
  const valijson::adapters::NlohmannJsonAdapter target(value);
  return valijson::Validator().validate(parsed, target, results);
}

// The places that fail, as paths of keys. valijson writes them as "<root>", "[key]", "[0]".
std::vector<Path> failing_paths(const json& schema, const json& value) {
  valijson::ValidationResults results;
  std::vector<Path> paths;
  if (is_valid(schema, value, &results)) return paths;
  for (const auto& error : results) {
    Path path;
    for (std::size_t i = 1; i < error.context.size(); ++i) {
      path.push_back(error.context[i].substr(1, error.context[i].size() - 2));
    }
    paths.push_back(std::move(path));
  }
  return paths;
}

// ---- the search for the place to report ---------------------------------------------------------

const json& child(const json& value, const std::string& key) {
  return value.is_array() ? value.at(std::stoull(key)) : value.at(key);
}

const json& descend(const json& root, const Path& path) {
  const json* place = &root;
  for (const std::string& key : path) place = &child(*place, key);
  return *place;
}

const json* child_schema(const json& schema, const json& value, const std::string& key) {
  if (value.is_array()) return member(schema, "items");
  const json* properties = member(schema, "properties");
  const json* property = properties ? member(*properties, key) : nullptr;
  return property ? property : member(schema, "additionalProperties");
}

bool has_union(const json& schema) {
  return std::any_of(kUnions.begin(), kUnions.end(),
                     [&](const char* keyword) { return member(schema, keyword) != nullptr; });
}

Path joined(Path path, const Path& rest) {
  path.insert(path.end(), rest.begin(), rest.end());
  return path;
}

struct Place {
  Path path;
  const json* schema;
  const json* value;
};

// Follows the path of a failure from a schema without a union to its end or to the first union:
// below that, only the choice of a branch tells what the schema is.
Place follow(const json& schema, const json& value, const Path& path) {
  Place place{{}, &schema, &value};
  for (const std::string& key : path) {
    if (has_union(*place.schema)) break;
    const json* next = child_schema(*place.schema, *place.value, key);
    if (!next) break;
    place.path.push_back(key);
    place.schema = next;
    place.value = &child(*place.value, key);
  }
  return place;
}

struct Failure {
  Path path;
  json schema;
  bool ambiguous = false;  // more than one branch of a oneOf takes the value
};

using Branches = std::vector<const json*>;

const json* tag_of(const json& branch, const std::string& tag) {
  const json* properties = member(branch, "properties");
  const json* property = properties ? member(*properties, tag) : nullptr;
  return property ? member(*property, "const") : nullptr;
}

bool needs(const json& branch, const std::string& key) {
  const json* required = member(branch, "required");
  return required && std::find(required->begin(), required->end(), key) != required->end();
}

template <typename Condition>
Branches only(const Branches& branches, Condition condition) {
  Branches kept;
  std::copy_if(branches.begin(), branches.end(), std::back_inserter(kept),
               [&](const json* branch) { return condition(*branch); });
  return kept;
}

json tag_rule(const Branches& tagged, const std::string& tag) {
  json values = json::array();
  for (const json* branch : tagged) values.push_back(*tag_of(*branch, tag));
  return json{{"enum", std::move(values)}};
}

// What can be said of an object before its branch is known: the tag is needed, and which keys some
// branch has.
json untagged_rule(const Branches& tagged, const std::string& tag) {
  json rule = {{"required", json::array({tag})}, {"properties", json::object()}};
  bool closed = true;
  for (const json* branch : tagged) {
    const json* additional = member(*branch, "additionalProperties");
    closed = closed && additional && is_false(*additional);
    for (const auto& item : branch->at("properties").items()) {
      rule["properties"][item.key()] = json::object();
    }
  }
  if (closed) rule["additionalProperties"] = false;
  return rule;
}

// Keeps the branches whose tag the value has; a failure where the tag is missing or unknown.
std::optional<Failure> choose_by_tag(const std::string& tag, const json& value, const Path& path,
                                     Branches& branches) {
  const Branches tagged = only(branches, [&](const json& branch) { return tag_of(branch, tag); });
  if (tagged.empty()) return std::nullopt;
  const bool all_tagged = tagged.size() == branches.size();
  const json* found = member(value, tag);
  if (!found) {
    const Branches needing = only(tagged, [&](const json& branch) { return needs(branch, tag); });
    if (!all_tagged || needing.size() != tagged.size()) return std::nullopt;
    return Failure{path, untagged_rule(tagged, tag)};
  }
  const Branches same =
      only(tagged, [&](const json& branch) { return *tag_of(branch, tag) == *found; });
  if (same.empty() && all_tagged) return Failure{joined(path, {tag}), tag_rule(tagged, tag)};
  branches = same.empty() ? only(branches, [&](const json& branch) { return !tag_of(branch, tag); })
                          : same;
  return std::nullopt;
}

const json& nearest_branch(const Branches& branches, const json& value) {
  std::vector<std::size_t> failures;
  for (const json* branch : branches) failures.push_back(failing_paths(*branch, value).size());
  return *branches[static_cast<std::size_t>(
      std::distance(failures.begin(), std::min_element(failures.begin(), failures.end())))];
}

// Finds the failure to report: the deepest one, and of those the first in the document.
class Search {
 public:
  explicit Search(const json& root) : root_(root) {}

  std::optional<Failure> run(const json& schema) {
    look(schema, root_, {});
    return best_;
  }

 private:
  void look(const json& schema, const json& value, const Path& path) {
    if (has_union(schema)) return look_at_unions(schema, value, path);
    std::set<Path> seen;
    for (const Path& failing : failing_paths(schema, value)) {
      const Place place = follow(schema, value, failing);
      if (!seen.insert(place.path).second) continue;
      const Path full = joined(path, place.path);
      if (has_union(*place.schema)) {
        look(*place.schema, *place.value, full);
      } else {
        consider({full, *place.schema});
      }
    }
  }

  void look_at_unions(const json& schema, const json& value, const Path& path) {
    json own = schema;
    for (const char* keyword : kUnions) own.erase(keyword);
    look(own, value, path);
    for (const char* keyword : kUnions) {
      if (member(schema, keyword)) look_at_union(keyword, schema, value, path);
    }
  }

  void look_at_union(const std::string& keyword, const json& schema, const json& value,
                     const Path& path) {
    const json& branches = schema.at(keyword);
    const auto valid = std::count_if(branches.begin(), branches.end(), [&](const json& branch) {
      return is_valid(branch, value, nullptr);
    });
    if (valid == 1 || (valid > 1 && keyword == "anyOf")) return;
    if (valid > 1) return consider({path, schema, true});
    Branches candidates;
    for (const json& branch : branches) {
      if (allowed_types(branch) & type_of(value)) candidates.push_back(&branch);
    }
    if (value.is_primitive() || candidates.empty()) return consider({path, schema});
    look_at_branches(std::move(candidates), value, path);
  }

  void look_at_branches(Branches candidates, const json& value, const Path& path) {
    for (const char* tag : kBranchTags) {
      if (!value.is_object()) break;
      if (auto failure = choose_by_tag(tag, value, path, candidates)) {
        return consider(std::move(*failure));
      }
    }
    const json& branch =
        candidates.size() == 1 ? *candidates.front() : nearest_branch(candidates, value);
    look(branch, value, path);
  }

  void consider(Failure failure) {
    if (!best_ || goes_before(failure.path, best_->path)) best_ = std::move(failure);
  }

  bool goes_before(const Path& a, const Path& b) const {
    if (a.size() != b.size()) return a.size() > b.size();
    const auto [differs, other] = std::mismatch(a.begin(), a.end(), b.begin());
    if (differs == a.end()) return false;
    const Path above(a.begin(), differs);
    const json& parent = descend(root_, above);
    if (parent.is_array()) return std::stoull(*differs) < std::stoull(*other);
    return *differs < *other;
  }

  const json& root_;
  std::optional<Failure> best_;
};

// ---- the explanation ----------------------------------------------------------------------------

struct Finding {
  Path path;
  std::string text;
  ErrorCode code;
};

// " [description]", or nothing. A plugin's schema may have anything there.
std::string bracketed_description(const json& schema) {
  const json* description = member(schema, "description");
  if (!description || !description->is_string()) return "";
  std::string line = description->get<std::string>();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return " [" + line + "]";
}

std::string must_be(const json& schema) {
  return "must be " + describe_rule(schema) + bracketed_description(schema);
}

std::vector<std::string> allowed_keys(const json& schema) {
  std::vector<std::string> keys;
  const json* properties = member(schema, "properties");
  if (!properties) return keys;
  for (const auto& item : properties->items()) {
    if (!is_false(item.value())) keys.push_back(item.key());
  }
  return keys;
}

bool refuses_key(const json& schema, const json& value, const std::string& key) {
  const json* rule = child_schema(schema, value, key);
  return rule && is_false(*rule);
}

std::optional<Finding> unknown_key(const Failure& failure, const json& value) {
  for (const auto& item : value.items()) {
    if (!refuses_key(failure.schema, value, item.key())) continue;
    const std::vector<std::string> allowed = allowed_keys(failure.schema);
    const std::string nearest = nearest_name(item.key(), allowed);
    std::string text = "unknown key; ";
    if (!nearest.empty()) text += "did you mean \"" + nearest + "\"? ";
    text += allowed.empty() ? "no keys are allowed here" : "allowed: " + join(allowed, ", ");
    return Finding{joined(failure.path, {item.key()}), text, ErrorCode::invalid_value};
  }
  return std::nullopt;
}

std::optional<Finding> missing_key(const Failure& failure, const json& value) {
  const json* required = member(failure.schema, "required");
  if (!required) return std::nullopt;
  for (const json& key : *required) {
    if (member(value, key.get<std::string>())) continue;
    const std::vector<std::string> allowed = allowed_keys(failure.schema);
    std::string text = "the key " + dump(key) + " is missing";
    if (!allowed.empty()) text += "; allowed keys: " + join(allowed, ", ");
    text += bracketed_description(failure.schema);
    return Finding{failure.path, text, ErrorCode::invalid_value};
  }
  return std::nullopt;
}

std::string found(const json& value, const std::string& remark) {
  return "found " + shown(value) + (remark.empty() ? "" : " (" + remark + ")") + "; ";
}

Finding wrong_type(const Failure& failure, const json& value) {
  const bool too_large = beyond_int64(value) && (allowed_types(failure.schema) & kInteger);
  const std::string remark = too_large ? "out of range for a 64-bit integer" : phrase_of(value);
  return {failure.path, found(value, remark) + must_be(failure.schema),
          too_large ? ErrorCode::invalid_value : ErrorCode::invalid_type};
}

Finding wrong_value(const Failure& failure, const json& value) {
  const std::string remark = value.is_array() ? counted(value.size()) : "";
  return {failure.path, found(value, remark) + must_be(failure.schema), ErrorCode::invalid_value};
}

Finding explain(const Failure& failure, const json& value) {
  if (failure.ambiguous) {
    return {failure.path,
            found(value, "") + "must match one rule only of: " + describe_rule(failure.schema),
            ErrorCode::invalid_value};
  }
  if (!(allowed_types(failure.schema) & type_of(value))) return wrong_type(failure, value);
  if (!value.is_object()) return wrong_value(failure, value);
  if (auto finding = unknown_key(failure, value)) return *finding;
  if (auto finding = missing_key(failure, value)) return *finding;
  return wrong_value(failure, value);
}

std::string located(const std::string& file, const std::string& place, const std::string& text) {
  std::string line;
  for (const std::string& part : {file, place}) line += part.empty() ? "" : part + ": ";
  return one_line(line + text);
}

}  // namespace

void validate(const json& value, const json& schema, const std::string& file,
              const std::string& base) {
  const json seen = safe_copy(value, depth_of(schema));
  try {
    if (is_valid(schema, seen, nullptr)) return;
  } catch (const Error& error) {
    throw Error(error.code(), located(file, base, error.what()));
  }
  const Failure failure = Search(seen).run(schema).value_or(Failure{{}, schema});
  const Finding finding = explain(failure, descend(value, failure.path));
  throw Error(finding.code, located(file, base + pointer(finding.path), finding.text));
}

void apply_defaults(json& value, const json& schema) {
  const json* items = member(schema, "items");
  if (items && value.is_array())
    for (json& item : value) apply_defaults(item, *items);
  const json* properties = member(schema, "properties");
  if (!properties || !value.is_object()) return;
  for (const auto& item : properties->items()) {
    const json* fallback = member(item.value(), "default");
    if (fallback && !value.contains(item.key())) value[item.key()] = *fallback;
    if (value.contains(item.key())) apply_defaults(value[item.key()], item.value());
  }
}

}  // namespace grevy::host
