// trajectory with solver single-session: Adam steps on stored batches.
// metric infonce_loss: mean loss over stored batches.
#include "adam.hpp"
#include "loader.hpp"
#include "runners.hpp"

#include <cmath>
#include <map>

namespace grevy::agreement {
namespace {

// Model, criterion and solver, with the reference's parameters.
struct Session {
  Session(const Case& c, const Bench& bench, const std::string& criterion_name,
          std::int64_t num_input, const NamedTensors& state) {
    Json options = {{"temperature", c.param("temperature", 1.0)}};
    if (c.params().contains("min_temperature"))
      options["min_temperature"] = c.params().at("min_temperature");
    model = bench.model(c.param<std::string>("model"), width_options(c, state), num_input);
    criterion = bench.criterion(criterion_name, options);
    solver = bench.solver(c.param<std::string>("solver", "single-session"));
    solver->attach({*model}, {*criterion});
    load_state(model->tensors(), state, c.param("shared", Json(Json::object())));
  }

  NamedTensors parameters() const {
    NamedTensors all = model->tensors();
    for (const NamedTensor& t : criterion->tensors()) all.push_back(t);
    for (const NamedTensor& t : solver->tensors()) all.push_back(t);
    return all;
  }

  Owned<ModelRef> model;  // destroyed last
  Owned<CriterionRef> criterion;
  Owned<SolverRef> solver;
};

host::AdamOptions adam_options(const Case& c) {
  host::AdamOptions options;
  options.learning_rate = c.param<double>("lr");
  const auto betas = c.param<std::vector<double>>("betas");
  options.beta1 = betas.at(0);
  options.beta2 = betas.at(1);
  options.eps = c.param<double>("eps");
  options.weight_decay = c.param("weight_decay", 0.0);
  options.amsgrad = c.param("amsgrad", false);
  return options;
}

Batch stored_batch(const Case& c, std::int64_t step) {
  const std::string prefix = "batch/" + std::to_string(step) + "/";
  Batch batch;
  batch.reference = c.tensor(prefix + "ref");
  batch.positives = {c.tensor(prefix + "pos")};
  batch.negative = c.tensor(prefix + "neg");
  return batch;
}

void compare_state(const std::string& prefix, const NamedTensors& found,
                   const NamedTensors& expected, const Json& shared, Comparison& result) {
  std::map<std::string, at::Tensor> by_name;
  for (const NamedTensor& t : found) by_name[t.name] = t.tensor;
  for (const NamedTensor& t : expected)
    if (!shared.contains(t.name))
      result.values(prefix + t.name, by_name[t.name], t.tensor, tolerance::trained);
}

// The reference numbers parameters in their order: adam/0/exp_avg, ...
void compare_adam(const Case& c, const host::Adam& adam, Comparison& result) {
  std::map<std::string, std::int64_t> counts;
  NamedTensors found;
  for (const NamedTensor& t : adam.state()) {
    const std::string slot = t.name.substr(0, t.name.find('/'));
    found.push_back({std::to_string(counts[slot]++) + "/" + slot, t.tensor, false});
  }
  compare_state("adam/", found, c.tensors("adam/"), Json::object(), result);
}

class StoredLoader {
 public:
  explicit StoredLoader(std::vector<Batch> batches) : batches_(std::move(batches)) {
    table_.struct_size = sizeof(table_);
    table_.context = this;
    table_.num_batches = static_cast<std::int64_t>(batches_.size());
    table_.next = [](void* context, const grevy_batch* const** batches, std::uint64_t* count,
                     const grevy_error_sink* errors) {
      return detail::guarded(errors, {"agreement", "loader", "next"}, [&] {
        auto& self = *static_cast<StoredLoader*>(context);
        const Batch& batch = self.batches_.at(self.next_++);
        self.lent_ = std::make_unique<detail::CBatches>(std::vector<Batch>{batch});
        *batches = self.lent_->data();
        *count = self.lent_->size();
      });
    };
  }
  StoredLoader(const StoredLoader&) = delete;
  StoredLoader& operator=(const StoredLoader&) = delete;
  const grevy_loader& table() const { return table_; }

 private:
  std::vector<Batch> batches_;
  std::size_t next_ = 0;
  std::unique_ptr<detail::CBatches> lent_;
  grevy_loader table_{};
};

std::vector<std::int64_t> to_vector(const at::Tensor& indices) {
  return {indices.data_ptr<std::int64_t>(), indices.data_ptr<std::int64_t>() + indices.numel()};
}

}  // namespace

void run_single_session(const Case& c, const Bench& bench, Comparison& result) {
  const std::int64_t channels = c.tensor("batch/0/ref").size(1);
  const Session session(c, bench, c.param<std::string>("criterion"), channels, c.tensors("start/"));
  load_state(session.criterion->tensors(), c.tensors("criterion_start/"));
  host::Adam adam(session.parameters(), adam_options(c));

  session.model->set_training(true);
  const auto steps = c.param<std::int64_t>("steps");
  std::map<std::string, std::vector<double>> statistics;
  for (std::int64_t step = 0; step < steps; ++step)
    for (const Statistic& s : session.solver->step({stored_batch(c, step)}, *adam.table()))
      statistics[s.name].push_back(s.value);

  for (const NamedTensor& expected : c.tensors("stats/"))
    result.values("stats/" + expected.name, at::tensor(statistics[expected.name], at::kDouble),
                  expected.tensor, tolerance::training_loss);
  compare_state("end/", session.model->tensors(), c.tensors("end/"),
                c.param("shared", Json(Json::object())), result);
  compare_state("criterion_end/", session.criterion->tensors(), c.tensors("criterion_end/"),
                Json::object(), result);
  compare_adam(c, adam, result);
}

void run_infonce_loss(const Case& c, const Bench& bench, Comparison& result) {
  const at::Tensor neural = c.tensor("neural");
  const Session session(c, bench, c.param<std::string>("criterion", "InfoNCE"), neural.size(1),
                        c.tensors("state/"));
  const host::WindowGather windows(neural, session.model->info().offset, at::kCPU);
  const auto gather = [&](const at::Tensor& indices) {
    at::Tensor fresh;
    return windows.gather(to_vector(indices), fresh);
  };
  std::vector<Batch> batches;
  for (std::int64_t i = 0; i < c.param<std::int64_t>("num_batches"); ++i) {
    const Batch indices = stored_batch(c, i);
    batches.emplace_back();
    batches.back().reference = gather(indices.reference);
    batches.back().positives = {gather(indices.positives.front())};
    batches.back().negative = gather(indices.negative);
  }
  const StoredLoader loader(std::move(batches));
  const double loss = session.solver->validate(loader.table());
  const double expected = c.number("value");
  const double chance = std::log(c.param<double>("batch_size"));
  result.number("value", loss, expected, tolerance::forward);
  // The difference of two numbers keeps their rounding.
  const Tolerance corrected{0, tolerance::forward.relative * expected, 0};
  result.number("corrected", loss - chance, c.number("corrected"), corrected);
}

}  // namespace grevy::agreement
