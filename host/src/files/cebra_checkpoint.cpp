#include "files/cebra_checkpoint.hpp"

#include "files/npy_header.hpp"
#include "files/pickle_json.hpp"
#include "files/torch_file.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <cmath>

namespace grevy::host {

namespace {

// A value and where it is.
struct Place {
  const PickleValue* value;
  std::string where;  // begins messages: FILE, or FILE, "optimizer/state"

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::invalid_value, where + ": " + what);
  }
  [[noreturn]] void refuse(const char* wanted) const {
    fail(std::string("found ") + type_text(*value) + "; must be " + wanted);
  }
  template <typename T>
  const T* get() const {
    return std::get_if<T>(&value->value);
  }
  template <typename T>
  const T& as(const char* wanted) const {
    if (const T* found = get<T>()) return *found;
    refuse(wanted);
  }
  const PickleDict& dict() const { return as<PickleDict>("a dict"); }
  bool is_none() const { return get<std::monostate>() != nullptr; }
};

Place below(const Place& owner, const std::string& key, const PickleValue& value) {
  return {&value, key_place(owner.where, key)};
}

std::string list_keys(const PickleDict& dict) {
  constexpr std::size_t most = 20;
  if (dict.items.empty()) return "none";
  std::string text;
  for (std::size_t i = 0; i < std::min(dict.items.size(), most); ++i) {
    const auto* key = std::get_if<std::string>(&dict.items[i].key.value);
    text += (i == 0 ? "" : ", ") +
            (key == nullptr ? type_text(dict.items[i].key) : "\"" + printable(*key) + "\"");
  }
  return dict.items.size() > most ? text + ", ..." : text;
}

std::optional<Place> find(const Place& owner, const char* key) {
  const PickleValue* value = owner.dict().find(key);
  if (value == nullptr) return std::nullopt;
  return below(owner, key, *value);
}

Place need(const Place& owner, const char* key) {
  if (auto place = find(owner, key)) return *place;
  owner.fail("the key \"" + std::string(key) +
             "\" is missing; there are: " + list_keys(owner.dict()));
}

std::int64_t positive_integer(const Place& place) {
  const auto value = place.as<std::int64_t>("an integer");
  if (value < 1) place.fail("found " + std::to_string(value) + "; must be at least 1");
  return value;
}

std::vector<std::int64_t> feature_counts(const Place& place) {
  const auto* list = place.get<PickleList>();
  if (list == nullptr) {
    if (place.get<std::int64_t>() == nullptr) place.refuse("an integer or a list of integers");
    return {positive_integer(place)};
  }
  std::vector<std::int64_t> counts;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    counts.push_back(positive_integer(below(place, std::to_string(i), list->items[i])));
  }
  return counts;
}

// What a solver writes always; strict loading in Python wants all but the version.
constexpr const char* kSolverKeys[] = {"model",     "optimizer", "loss", "decode",
                                       "criterion", "version",   "log"};

bool is_estimator(const Place& root) {
  return root.dict().find("state_dict") != nullptr || root.dict().find("args") != nullptr;
}

bool is_model(const Place& root) {
  const auto& items = root.dict().items;
  return !items.empty() && std::all_of(items.begin(), items.end(), [](const PickleItem& item) {
    return std::holds_alternative<TensorPointer>(item.value.value);
  });
}

bool is_solver(const Place& root) {
  return std::any_of(std::begin(kSolverKeys), std::end(kSolverKeys),
                     [&](const char* key) { return find(root, key).has_value(); });
}

class CheckpointReader {
 public:
  explicit CheckpointReader(TorchFile file) : file_(std::move(file)) {}

  CebraCheckpoint read() {
    const Place root{&file_.root(), file_.name()};
    if (is_estimator(root)) {
      read_estimator(root);
    } else if (is_model(root)) {
      result_.model = tensors(root);
    } else if (is_solver(root)) {
      result_.form = CebraCheckpoint::Form::solver;
      read_solver(root);
    } else {
      root.fail("is no checkpoint of CEBRA: its keys are " + list_keys(root.dict()) +
                "; must be those of a solver (\"model\", \"optimizer\", ...), of an estimator "
                "(\"args\", \"state_dict\", ...), or names of tensors");
    }
    return std::move(result_);
  }

 private:
  void read_estimator(const Place& root) {
    result_.form = CebraCheckpoint::Form::estimator;
    result_.args = json_dict(need(root, "args"));
    result_.state = json_dict(need(root, "state"));
    result_.metadata = json_dict(need(root, "metadata"));
    read_solver(need(root, "state_dict"));
  }

  void read_solver(const Place& solver) {
    result_.model = tensors(need(solver, "model"));
    read_optimizer(need(solver, "optimizer"));
    result_.loss = numbers(need(solver, "loss"));
    result_.decode = json(need(solver, "decode"));
    result_.criterion = tensors(need(solver, "criterion"));
    result_.version = need(solver, "version").as<std::string>("a text");
    result_.log = json_dict(need(solver, "log"));
    if (const auto place = find(solver, "n_features")) {
      result_.n_features = feature_counts(*place);
    }
    const auto sessions = find(solver, "num_sessions");
    if (sessions && !sessions->is_none()) result_.num_sessions = positive_integer(*sessions);
  }

  void read_optimizer(const Place& optimizer) {
    const Place state = need(optimizer, "state");
    for (const PickleItem& item : state.dict().items) {
      const auto* number = std::get_if<std::int64_t>(&item.key.value);
      if (number == nullptr || *number < 0) {
        state.fail("found " + std::string(type_text(item.key)) +
                   " as a key; must be a parameter's number, from 0");
      }
      result_.optimizer[*number] = moments(below(state, std::to_string(*number), item.value));
    }
    const Place groups = need(optimizer, "param_groups");
    groups.as<PickleList>("a list");
    result_.param_groups = json(groups);
  }

  AdamMoments moments(const Place& place) {
    AdamMoments moments;
    moments.exp_avg = tensor(need(place, "exp_avg"));
    moments.exp_avg_sq = tensor(need(place, "exp_avg_sq"));
    if (const auto largest = find(place, "max_exp_avg_sq")) {
      moments.max_exp_avg_sq = tensor(*largest);
    }
    moments.step = step(need(place, "step"));
    return moments;
  }

  // An integer before PyTorch 1.12, then a tensor of one element.
  std::int64_t step(const Place& place) {
    const nlohmann::json value = json(place);
    constexpr double most = 9007199254740992.0;  // 2^53
    const double number = value.is_number() ? value.get<double>() : -1;
    if (number >= 0 && number <= most && std::floor(number) == number) {
      return static_cast<std::int64_t>(number);
    }
    place.fail("found " + value.dump() + "; must be an integer from 0 to 2^53");
  }

  StoredTensor tensor(const Place& place) {
    return file_.read(*place.as<TensorPointer>("a tensor"), place.where);
  }

  StoredTensors tensors(const Place& place) {
    StoredTensors result;
    for (const PickleItem& item : place.dict().items) {
      const auto* name = std::get_if<std::string>(&item.key.value);
      if (name == nullptr) {
        place.fail("found " + std::string(type_text(item.key)) + " as a key; must be a text");
      }
      result.tensors[*name] = tensor(below(place, *name, item.value));
    }
    return result;
  }

  std::vector<double> numbers(const Place& place) {
    const StoredTensor stored = tensor(place);
    if (stored.shape.size() != 1) {
      place.fail("found a tensor of " + std::to_string(stored.shape.size()) +
                 " dimensions; must be 1");
    }
    return to_doubles(stored, place.where);
  }

  nlohmann::json json(const Place& place) { return to_json(*place.value, file_, place.where); }
  nlohmann::json json_dict(const Place& place) {
    place.dict();
    return json(place);
  }

  TorchFile file_;
  CebraCheckpoint result_;
};

}  // namespace

CebraCheckpoint read_cebra_checkpoint(const std::filesystem::path& file) {
  return CheckpointReader(TorchFile::open(file)).read();
}

}  // namespace grevy::host
