// grevy-portable-numbers PLUGINS: what every component of a folder computes, a line for each
// result: its name, its length as a vector, and its first elements. grevy-portable-numbers PLUGINS
// WANTED [TOLERANCE]: compares them with those in a file, or with those of another folder, and
// tells the largest difference. Exit code 1: one is larger than the tolerance, relative to what is
// wanted or to 1, whichever is more. Default: 0.
//
// Inputs and parameters are cosines and sines, so that no number depends on the random numbers of a
// LibTorch.
#include "host/golden_support.hpp"

#include <grevy/host/experiment.hpp>
#include <grevy/host/trainer.hpp>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace grevy;
using host::Kind;
namespace fs = std::filesystem;

constexpr std::int64_t channels = 4;
// Elements of a result: a few go into a file, all of them are compared between two folders.
std::int64_t shown = 8;

struct Result {
  std::string name;
  std::vector<double> values;
};
using Results = std::vector<Result>;

void add(Results& results, const std::string& name, const at::Tensor& tensor) {
  const at::Tensor all = tensor.detach().to(at::kDouble).flatten();
  Result result{name, {all.norm().item<double>()}};
  for (std::int64_t i = 0; i < std::min(shown, all.numel()); ++i)
    result.values.push_back(all[i].item<double>());
  results.push_back(std::move(result));
}

void add_criterion(Results& results, host::Host& host, const std::string& name) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const auto criterion = host.create_criterion(name, "{}", {});
    const std::string prefix = name + "/" + at::toString(type) + "/";
    const at::Tensor rows = tests::inp({22, 3}).to(type).requires_grad_(true);
    const at::Tensor unit = rows / rows.norm(2, 1, true);
    const Prediction prediction = {unit.narrow(0, 0, 6), unit.narrow(0, 6, 6),
                                   unit.narrow(0, 12, 10)};
    const std::vector<std::string> parts = criterion->info().parts;
    const Evaluation evaluation = criterion->evaluate({prediction}, parts.size());
    evaluation.loss.backward();
    add(results, prefix + "loss", evaluation.loss);
    for (std::size_t i = 0; i < parts.size(); ++i)
      add(results, prefix + parts[i], evaluation.parts[i]);
    add(results, prefix + "gradient", rows.grad());
  }
}

void add_model(Results& results, host::Host& host, const std::string& name) {
  host::CreateOptions create;
  create.num_input = channels;
  const auto model = host.create_model(name, "{}", create);
  tests::fill(model->tensors());
  const ModelInfo info = model->info();
  const at::Tensor embedding = model->forward(tests::inp({5, channels, info.offset.length()}));
  (embedding * tests::inp(embedding.sizes())).sum().backward();
  add(results, name + "/embedding", embedding);
  for (const NamedTensor& t : model->tensors())
    if (t.trained) add(results, name + "/" + t.name + ".gradient", t.tensor.grad());
  if (info.convolutional)
    add(results, name + "/series",
        model->forward(tests::inp({1, channels, info.offset.length() + 20})));
}

// Slow waves, a frequency per channel: what is near in time looks alike.
at::Tensor waves(std::int64_t samples) {
  const at::Tensor time = at::arange(samples, at::kDouble).unsqueeze(1);
  const at::Tensor frequency = 0.03 * at::arange(1, channels + 1, at::kDouble);
  return at::cos(time * frequency).to(at::kFloat);
}

void add_training(Results& results, host::Host& host, const std::string& prefix,
                  const std::string& model, const std::string& criterion,
                  const std::string& solver) {
  const nlohmann::json document = {{"seed", 3},
                                   {"model", {{"name", model}}},
                                   {"criterion", {{"name", criterion}}},
                                   {"solver", {{"name", solver}}},
                                   {"optimizer", {{"learning_rate", 0.001}}},
                                   {"training", {{"num_steps", 30}, {"batch_size", 32}}}};
  host::Trainer trainer(host, host::Experiment(host, document), host::Recording(waves(300)));
  tests::fill(trainer.tensors());
  Result losses{prefix + "losses", {}};
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport& report) {
    for (const Statistic& s : report.statistics)
      if (s.name == "total") losses.values.push_back(s.value);
  };
  trainer.fit(callbacks);
  results.push_back(std::move(losses));
  add(results, prefix + "embedding", trainer.transform(waves(20)));
}

// A solver that needs second derivatives cannot train what has none: a result as others are.
void add_combination(Results& results, host::Host& host, const std::string& model,
                     const std::string& criterion, const std::string& solver) {
  const std::string prefix = model + "/" + criterion + "/" + solver + "/";
  try {
    add_training(results, host, prefix, model, criterion, solver);
  } catch (const PluginError& e) {
    if (e.code() != ErrorCode::unimplemented) throw;
    results.push_back({prefix + "refused", {}});
  }
}

Results results_of(const fs::path& plugins) {
  host::HostOptions options;
  options.plugin_path = {plugins};
  options.search_default_folders = false;
  host::Host host(options);
  Results results;
  const auto models = host.names(Kind::model), criterions = host.names(Kind::criterion),
             solvers = host.names(Kind::solver);
  for (const std::string& name : criterions) add_criterion(results, host, name);
  for (const std::string& name : models) add_model(results, host, name);
  for (const std::string& model : models)
    for (const std::string& criterion : criterions)
      for (const std::string& solver : solvers)
        add_combination(results, host, model, criterion, solver);
  return results;
}

Results read(const fs::path& file) {
  std::ifstream lines(file);
  if (!lines) throw Error(ErrorCode::io, file.string() + ": cannot be read");
  Results results;
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    Result result;
    words >> result.name;
    for (double value = 0; words >> value;) result.values.push_back(value);
    results.push_back(std::move(result));
  }
  return results;
}

void print(const Results& results) {
  for (const Result& result : results) {
    std::printf("%s", result.name.c_str());
    for (const double value : result.values) std::printf(" %.9g", value);
    std::printf("\n");
  }
}

// The largest difference of a result; infinite where one is no number.
double difference(const Result& found, const Result& wanted) {
  double largest = 0;
  for (std::size_t i = 0; i < wanted.values.size(); ++i) {
    const double scale = std::max(1.0, std::abs(wanted.values[i]));
    const double here = std::abs(found.values[i] - wanted.values[i]) / scale;
    if (!std::isfinite(here)) return HUGE_VAL;
    largest = std::max(largest, here);
  }
  return largest;
}

// Whether all are within the tolerance.
bool compare(const Results& found, const Results& wanted, double tolerance) {
  if (found.empty() || found.size() != wanted.size())
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(found.size()) +
                                              " results, wanted " + std::to_string(wanted.size()));
  double largest = 0;
  std::string where = "nowhere";
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (found[i].name != wanted[i].name || found[i].values.size() != wanted[i].values.size())
      throw Error(ErrorCode::invalid_value, "found " + found[i].name + " with " +
                                                std::to_string(found[i].values.size()) +
                                                " numbers, wanted " + wanted[i].name + " with " +
                                                std::to_string(wanted[i].values.size()));
    const double here = difference(found[i], wanted[i]);
    if (here > tolerance) std::printf("FAILED  %s: differs by %.3g\n", found[i].name.c_str(), here);
    if (here <= largest) continue;
    largest = here;
    where = found[i].name;
  }
  std::printf("%zu results, largest difference %.3g (%s), allowed %.3g\n", wanted.size(), largest,
              where.c_str(), tolerance);
  return largest <= tolerance;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::cerr << "usage: " << argv[0] << " PLUGINS [WANTED [TOLERANCE]]\n";
    return 2;
  }
  try {
    at::set_num_threads(1);
    const fs::path wanted = argc > 2 ? argv[2] : "";
    const bool is_folder = fs::is_directory(wanted);
    if (is_folder) shown = std::numeric_limits<std::int64_t>::max();
    const Results found = results_of(argv[1]);
    if (argc == 2) {
      print(found);
      return 0;
    }
    const double tolerance = argc == 4 ? std::stod(argv[3]) : 0;
    return compare(found, is_folder ? results_of(wanted) : read(wanted), tolerance) ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 2;
  }
}
