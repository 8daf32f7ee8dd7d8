#include "loader.hpp"

#include <grevy/host/evaluation.hpp>
#include <grevy/host/run.hpp>

#include <cmath>
#include <cstdio>
#include <sstream>

namespace grevy::host {
namespace {

using nlohmann::json;

// At most `limit` samples of [0, count), evenly spread.
at::Tensor thin(std::int64_t count, std::int64_t limit) {
  if (count <= limit) return at::arange(count);
  return at::linspace(0, static_cast<double>(count - 1), limit, at::kDouble).round().to(at::kLong);
}

// One side of the decoding: the part that is the decoder's reference, or the held-out one.
struct Side {
  at::Tensor embedding, windows;  // (n, D), (n, L * C)
  at::Tensor rows;                // (n), samples of the whole recording
};

// The picked rows of a part's embedding; the embedding as a whole need not fit memory.
at::Tensor embed(const Trainer& trainer, const at::Tensor& neural, const at::Tensor& picked) {
  const auto* wanted = picked.data_ptr<std::int64_t>();
  std::vector<at::Tensor> kept;
  std::int64_t first = 0, next = 0;
  const auto keep = [&](const at::Tensor& rows) {
    std::vector<std::int64_t> local;
    for (; next < picked.numel() && wanted[next] < first + rows.size(0); ++next)
      local.push_back(wanted[next] - first);
    if (!local.empty()) kept.push_back(rows.index_select(0, at::tensor(local, at::kLong)));
    first += rows.size(0);
  };
  trainer.transform(neural, keep, {});
  return at::cat(kept);
}

Side make_side(const Trainer& trainer, const Recording& recording, std::int64_t begin,
               std::int64_t end, std::int64_t limit) {
  const at::Tensor neural = recording.neural().slice(0, begin, end);
  const at::Tensor picked = thin(trainer.num_rows(neural, {}), limit);
  // A resampling model embeds every resample_factor-th sample.
  const at::Tensor samples = (picked * trainer.model_info().resample_factor).contiguous();
  const std::vector<std::int64_t> indices(samples.data_ptr<std::int64_t>(),
                                          samples.data_ptr<std::int64_t>() + samples.numel());
  at::Tensor buffer;
  const at::Tensor windows =
      WindowGather(neural, trainer.model_info().offset, at::kCPU).gather(indices, buffer);
  return {embed(trainer, neural, picked), windows.transpose(1, 2).flatten(1), samples + begin};
}

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json numbers(const std::vector<double>& values) {
  json list = json::array();
  for (double value : values) list.push_back(number(value));
  return list;
}

json score(const Label& label, const at::Tensor& values, const Side& train, const Side& held_out,
           const at::Tensor& neighbours) {
  const at::Tensor known = values.index_select(0, train.rows),
                   truth = values.index_select(0, held_out.rows);
  if (label.discrete) {
    const DiscreteScore s = score_discrete(truth, decode_discrete(known, neighbours));
    return {{"balanced_accuracy", number(s.balanced_accuracy)}, {"accuracy", number(s.accuracy)}};
  }
  const ContinuousScore s = score_continuous(truth, decode_continuous(known, neighbours));
  return {{"mean_r2", number(s.mean_r2)},
          {"r2", numbers(s.r2)},
          {"median_absolute_error", numbers(s.median_absolute_error)}};
}

json decode(const Trainer& trainer, const Recording& recording, std::int64_t num_train) {
  const json& options = trainer.experiment().at("/evaluation");
  const std::int64_t limit = options.at("max_samples");
  const Side train = make_side(trainer, recording, 0, num_train, limit);
  const Side held_out = make_side(trainer, recording, num_train, recording.num_samples(), limit);
  const json& wish = options.at("metric");
  const bool cosine = wish.is_null() ? trainer.model_info().normalized : wish == "cosine";
  const Metric metric = cosine ? Metric::cosine : Metric::euclidean;
  const std::int64_t k = std::min(options.at("neighbours").get<std::int64_t>(), train.rows.numel());
  const at::Tensor near = nearest_rows(train.embedding, held_out.embedding, k, metric);
  const at::Tensor near_raw = nearest_rows(train.windows, held_out.windows, k, metric);
  json labels = json::object();
  for (const Label& label : recording.labels()) {
    const at::Tensor rolled = at::roll(label.values, {recording.num_samples() / 2}, {0});
    labels[label.name] = {{"type", label.discrete ? "discrete" : "continuous"},
                          {"embedding", score(label, label.values, train, held_out, near)},
                          {"raw_windows", score(label, label.values, train, held_out, near_raw)},
                          {"rolled_labels", score(label, rolled, train, held_out, near)}};
  }
  return {{"neighbours", k},
          {"metric", cosine ? "cosine" : "euclidean"},
          {"train_samples", train.rows.numel()},
          {"held_out_samples", held_out.rows.numel()},
          {"labels", labels}};
}

json held_out_infonce(const Trainer& trainer, const Recording& held_out) {
  const Experiment& experiment = trainer.experiment();
  const std::int64_t batches = experiment.at("/evaluation/num_batches");
  json result = {{"chance", std::log(static_cast<double>(experiment.batch_size()))},
                 {"num_batches", batches}};
  try {
    result["held_out"] = number(trainer.loss_on(held_out, batches));
  } catch (const Error&
               e) {  // a part too short for the experiment's sampling is no reason to lose the rest
    result["held_out"] = nullptr;
    result["reason"] = e.what();
  }
  return result;
}

// ---- text ----------------------------------------------------------------------------------

std::string fixed(const json& value, const char* format = "%.3f") {
  if (!value.is_number()) return "-";
  char text[64];
  std::snprintf(text, sizeof(text), format, value.get<double>());
  return text;
}

std::string joined(const json& list) {
  std::string text;
  for (const json& value : list) text += (text.empty() ? "" : " ") + fixed(value);
  return text;
}

void add_row(std::ostringstream& out, const std::string& a, const std::string& b,
             const std::string& c, const std::string& d) {
  char line[256];
  std::snprintf(line, sizeof(line), "  %-34s %14s %14s %14s\n", a.c_str(), b.c_str(), c.c_str(),
                d.c_str());
  out << line;
}

void add_measure(std::ostringstream& out, const std::string& title, const json& label,
                 const char* key) {
  const auto cell = [&](const char* source) {
    const json& value = label.at(source).at(key);
    return value.is_array() ? joined(value) : fixed(value);
  };
  add_row(out, title, cell("embedding"), cell("raw_windows"), cell("rolled_labels"));
}

void add_decoding(std::ostringstream& out, const json& decoding) {
  out << "\nDecoding the held-out part (" << decoding.at("neighbours") << " nearest neighbours, "
      << decoding.at("metric").get<std::string>() << ", " << decoding.at("train_samples") << " -> "
      << decoding.at("held_out_samples") << " samples)\n";
  add_row(out, "", "embedding", "raw windows", "rolled labels");
  for (const auto& [name, label] : decoding.at("labels").items()) {
    if (label.at("type") == "discrete") {
      add_measure(out, name + ": balanced accuracy", label, "balanced_accuracy");
      add_measure(out, name + ": accuracy", label, "accuracy");
    } else {
      add_measure(out, name + ": R2", label, "mean_r2");
      add_measure(out, name + ": median abs. error", label, "median_absolute_error");
    }
  }
}

}  // namespace

json evaluate(const Trainer& trainer, const Recording& recording, std::int64_t num_train) {
  const std::int64_t held_out = recording.num_samples() - num_train,
                     length = trainer.model_info().offset.length();
  if (held_out < length)
    return {{"infonce", nullptr},
            {"decoding", nullptr},
            {"evaluation_skipped", std::to_string(held_out) +
                                       " samples are held out; the model's receptive field needs " +
                                       std::to_string(length)}};
  json result = {
      {"infonce", held_out_infonce(trainer, recording.slice(num_train, recording.num_samples()))},
      {"decoding", nullptr}};
  if (recording.labels().empty()) return result;
  result["decoding"] = decode(trainer, recording, num_train);
  return result;
}

std::string Summary::brief() const {
  const json& d = document;
  std::string text = (finished ? "finished " : "stopped after ") + d.at("step").dump() + " steps";
  if (d.contains("infonce") && d.at("infonce").is_object())
    text += ", held-out InfoNCE " + fixed(d.at("infonce").at("held_out")) + " (chance " +
            fixed(d.at("infonce").at("chance")) + ")";
  return text;
}

std::string Summary::report() const {
  const json& d = document;
  std::ostringstream out;
  out << "\n"
      << d.at("model").at("name").get<std::string>() << " (" << d.at("model").at("parameters")
      << " parameters), " << d.at("criterion").get<std::string>() << ", "
      << d.at("solver").get<std::string>() << ", seed " << d.at("seed") << "\n"
      << d.at("recording").at("samples") << " samples x " << d.at("recording").at("channels")
      << " channels, " << d.at("recording").at("train_samples") << " to train on\n";
  out << brief() << "; " << fixed(d.at("time").at("train_s"), "%.1f") << " s ("
      << fixed(d.at("time").at("steps_per_s"), "%.1f") << " steps/s), peak memory "
      << fixed(d.at("peak_memory_mb"), "%.0f") << " MB\n";
  if (d.contains("decoding") && d.at("decoding").is_object()) add_decoding(out, d.at("decoding"));
  if (d.contains("evaluation_skipped"))
    out << "No evaluation: " << d.at("evaluation_skipped").get<std::string>() << "\n";
  return out.str();
}

}  // namespace grevy::host
