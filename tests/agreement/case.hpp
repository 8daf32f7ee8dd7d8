// A folder of reference numbers: manifest.json and the one-dimensional .npy files it refers to.
//
// manifest.json: "cases" maps a name to {kind, params, tensors}; a tensor is {file, at, shape}: the
// elements of that file from element `at` on, row-major. Files hold float32, float64 or int64.
#ifndef GREVY_AGREEMENT_CASE_HPP
#define GREVY_AGREEMENT_CASE_HPP

#include <grevy/calls.hpp>

#include <nlohmann/json.hpp>
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace grevy::agreement {

using Json = nlohmann::ordered_json;  // the order of tensors is that of the parameters

// The arrays of a folder, each read once.
class ArrayFiles {
 public:
  explicit ArrayFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const at::Tensor& open(const std::string& name);

 private:
  std::filesystem::path folder_;
  std::map<std::string, at::Tensor> arrays_;
};

class Case {
 public:
  Case(std::string name, Json content, std::shared_ptr<ArrayFiles> files);

  const std::string& name() const { return name_; }
  std::string kind() const { return content_.at("kind").get<std::string>(); }
  const Json& params() const { return content_.at("params"); }
  template <class T>
  T param(const char* key) const {
    return params().at(key).get<T>();
  }
  template <class T>
  T param(const char* key, const T& otherwise) const {
    return params().contains(key) ? param<T>(key) : otherwise;
  }

  bool has_tensor(const std::string& tensor) const;
  // A copy: float32, float64 or int64. Errors: not_found, invalid_value.
  at::Tensor tensor(const std::string& tensor) const;
  double number(const std::string& tensor) const;
  // All tensors whose names begin with `prefix`, in their order, named without it.
  NamedTensors tensors(const std::string& prefix) const;

 private:
  std::string name_;
  Json content_;
  std::shared_ptr<ArrayFiles> files_;
};

// The elements of an int64 tensor.
std::vector<std::int64_t> whole_numbers(const at::Tensor& tensor);

// Errors: not_found, invalid_value (names the file).
std::vector<Case> read_folder(const std::filesystem::path& folder);

}  // namespace grevy::agreement

#endif
