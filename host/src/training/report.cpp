#include "sampling/loader.hpp"
#include "training/stop.hpp"

#include <grevy/host/consistency.hpp>
#include <grevy/host/evaluation.hpp>
#include <grevy/host/run.hpp>

#include <algorithm>
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
  at::Tensor rows;                // (n), samples of the part
};

TransformOptions of_session(std::int64_t session) {
  TransformOptions options;
  options.session = session;
  return options;
}

// The picked rows of a part's embedding; the embedding as a whole need not fit memory.
at::Tensor embed(const Trainer& trainer, const Recording& part, std::int64_t session,
                 const at::Tensor& picked) {
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
  trainer.transform(part, keep, of_session(session));
  return at::cat(kept);
}

// Sample of each row of the embedding: a resampling model embeds every resample_factor-th sample
// of a trial.
at::Tensor embedded_samples(const Recording& part, std::int64_t resample_factor) {
  std::vector<std::int64_t> borders = part.trials();
  if (borders.empty()) borders = {0};
  borders.push_back(part.num_samples());
  std::vector<at::Tensor> samples;
  for (std::size_t i = 1; i < borders.size(); ++i)
    samples.push_back(at::arange(borders[i - 1], borders[i], resample_factor, at::kLong));
  return at::cat(samples);
}

Side make_side(const Trainer& trainer, const Recording& part, std::int64_t session,
               std::int64_t limit) {
  const ModelInfo& info = trainer.model_info(session);
  const at::Tensor embedded = embedded_samples(part, info.resample_factor);
  const at::Tensor picked = thin(embedded.numel(), limit);
  const at::Tensor samples = embedded.index_select(0, picked);
  const std::vector<std::int64_t> indices(samples.data_ptr<std::int64_t>(),
                                          samples.data_ptr<std::int64_t>() + samples.numel());
  at::Tensor buffer;
  const at::Tensor windows =
      WindowGather(part.neural(), info.offset, at::kCPU, part.trials()).gather(indices, buffer);
  return {embed(trainer, part, session, picked), windows.transpose(1, 2).flatten(1), samples};
}

json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json numbers(const std::vector<double>& values) {
  json list = json::array();
  for (double value : values) list.push_back(number(value));
  return list;
}

// Labels of both data.
struct LabelValues {
  at::Tensor train, held_out;
};

// Shifted by half the recording: what chance looks like.
LabelValues rolled(const LabelValues& values) {
  const at::Tensor whole = at::cat({values.train, values.held_out});
  const at::Tensor moved = at::roll(whole, {whole.size(0) / 2}, {0});
  const std::int64_t middle = values.train.size(0);
  return {moved.slice(0, 0, middle), moved.slice(0, middle)};
}

json score(bool discrete, const LabelValues& values, const Side& train, const Side& held_out,
           const at::Tensor& neighbours) {
  const at::Tensor known = values.train.index_select(0, train.rows),
                   truth = values.held_out.index_select(0, held_out.rows);
  if (discrete) {
    const DiscreteScore s = score_discrete(truth, decode_discrete(known, neighbours));
    return {{"balanced_accuracy", number(s.balanced_accuracy)}, {"accuracy", number(s.accuracy)}};
  }
  const ContinuousScore s = score_continuous(truth, decode_continuous(known, neighbours));
  return {{"mean_r2", number(s.mean_r2)},
          {"r2", numbers(s.r2)},
          {"median_absolute_error", numbers(s.median_absolute_error)}};
}

// The same labels from each slice of the embedding alone, for models that have slices.
json decode_subspaces(const Trainer& trainer, const Recording& train_part,
                      const Recording& held_out_part, const Side& train, const Side& held_out) {
  json list = json::array();
  const std::int64_t k = std::min(
      trainer.experiment().at("/evaluation/neighbours").get<std::int64_t>(), train.rows.numel());
  for (const json& range :
       trainer.experiment().at("/model").value("feature_ranges", json::array())) {
    const auto cut = [&](const Side& side) {
      return side.embedding.slice(1, range.at(0), range.at(1)).contiguous();
    };
    const at::Tensor near = nearest_rows(cut(train), cut(held_out), k, Metric::euclidean);
    json labels = json::object();
    for (const Label& label : train_part.labels())
      labels[label.name] =
          score(label.discrete, {label.values, held_out_part.label(label.name).values}, train,
                held_out, near);
    list.push_back({{"features", range}, {"labels", labels}});
  }
  return list;
}

json decode(const Trainer& trainer, const Recording& train_part, const Recording& held_out_part,
            std::int64_t session) {
  const json& options = trainer.experiment().at("/evaluation");
  const std::int64_t limit = options.at("max_samples");
  const Side train = make_side(trainer, train_part, session, limit);
  const Side held_out = make_side(trainer, held_out_part, session, limit);
  const json& wish = options.at("metric");
  const bool cosine = wish.is_null() ? trainer.model_info(session).normalized : wish == "cosine";
  const Metric metric = cosine ? Metric::cosine : Metric::euclidean;
  const std::int64_t k = std::min(options.at("neighbours").get<std::int64_t>(), train.rows.numel());
  const at::Tensor near = nearest_rows(train.embedding, held_out.embedding, k, metric);
  const at::Tensor near_raw = nearest_rows(train.windows, held_out.windows, k, metric);
  json labels = json::object();
  for (const Label& label : train_part.labels()) {
    const LabelValues values{label.values, held_out_part.label(label.name).values};
    labels[label.name] = {
        {"type", label.discrete ? "discrete" : "continuous"},
        {"embedding", score(label.discrete, values, train, held_out, near)},
        {"raw_windows", score(label.discrete, values, train, held_out, near_raw)},
        {"rolled_labels", score(label.discrete, rolled(values), train, held_out, near)}};
    if (!label.classes.empty()) labels[label.name]["classes"] = label.classes;
  }
  return {{"neighbours", k},
          {"metric", cosine ? "cosine" : "euclidean"},
          {"train_samples", train.rows.numel()},
          {"held_out_samples", held_out.rows.numel()},
          {"labels", labels},
          {"subspaces", decode_subspaces(trainer, train_part, held_out_part, train, held_out)}};
}

// A part too short for the experiment's sampling is no reason to lose the rest.
template <class Measure>
json infonce(std::int64_t num_batches, Measure&& measure) {
  json result = {{"num_batches", num_batches}};
  try {
    const HeldOut found = measure(num_batches);
    result["held_out"] = number(found.loss);
    result["chance"] = number(found.chance);
  } catch (const Error& e) {
    result["held_out"] = result["chance"] = nullptr;
    result["reason"] = e.what();
  }
  return result;
}

// A full batch is the same every time but for the pairs that are drawn.
std::int64_t num_batches(const Trainer& trainer) {
  if (trainer.solver_info().full_batch) return 1;
  return trainer.experiment().at("/evaluation/num_batches");
}

// R2 of one session's embedding from another's, averaged in bins of a continuous label's first
// column.
json consistency(const Trainer& trainer, const std::vector<Recording>& held_out) {
  const auto& labels = held_out.front().labels();
  const auto label =
      std::find_if(labels.begin(), labels.end(), [](const Label& l) { return !l.discrete; });
  if (label == labels.end()) return nullptr;
  const std::int64_t limit = trainer.experiment().at("/evaluation/max_samples");
  std::vector<at::Tensor> embeddings, values;
  for (std::size_t s = 0; s < held_out.size(); ++s) {
    const Side side = make_side(trainer, held_out[s], static_cast<std::int64_t>(s), limit);
    embeddings.push_back(side.embedding);
    values.push_back(held_out[s].label(label->name).values.select(1, 0).index_select(0, side.rows));
  }
  json result = {{"label", label->name}};
  try {
    const Consistency found = consistency_between_datasets(embeddings, values, {}, 30);
    double sum = 0;
    for (const double score : found.scores) sum += score;
    result["mean_r2"] = number(sum / static_cast<double>(found.scores.size()));
    result["r2"] = numbers(found.scores);
    result["pairs"] = found.pairs;
  } catch (const Error& e) {
    result["mean_r2"] = nullptr;
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

std::string statistics(const json& step) {
  std::string text;
  for (const auto& [name, value] : step.items())
    text += (text.empty() ? "" : "  ") + name + " " + fixed(value, "%.4f");
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

// "position 0.92, direction 0.61": R2, or balanced accuracy.
std::string scores(const json& labels) {
  std::string text;
  for (const auto& [name, score] : labels.items())
    text += (text.empty() ? "" : ", ") + name + " " +
            fixed(score.contains("mean_r2") ? score.at("mean_r2") : score.at("balanced_accuracy"));
  return text;
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
  for (const json& subspace : decoding.at("subspaces"))
    out << "  features " << subspace.at("features").dump()
        << " alone: " << scores(subspace.at("labels")) << "\n";
}

}  // namespace

namespace {

// Empty where everything can be evaluated.
std::string skip_reason(const Trainer& trainer, const TrainingData& data) {
  if (data.held_out.empty()) return "0 samples are held out";
  for (std::size_t s = 0; s < data.held_out.size(); ++s) {
    const std::int64_t count = data.held_out[s].num_samples(),
                       length = trainer.model_info(static_cast<std::int64_t>(s)).offset.length();
    if (count < length)
      return std::to_string(count) + " samples are held out; the model's receptive field needs " +
             std::to_string(length);
  }
  return {};
}

json evaluate_sessions(const Trainer& trainer, const TrainingData& data,
                       const ShouldStop& should_stop) {
  const bool joined = trainer.solver_info().sessions == SolverInfo::Sessions::joined;
  const std::vector<Recording>&train = data.train, &held_out = data.held_out;
  json sessions = json::array();
  std::vector<Recording> embedded = held_out;
  for (std::size_t s = 0; s < held_out.size(); ++s) {
    const auto number = static_cast<std::int64_t>(s);
    stop_if_asked(should_stop);
    if (joined) embedded[s] = trainer.line_up(held_out, number);
    json session = {{"decoding", decode(trainer, joined ? trainer.line_up(train, number) : train[s],
                                        embedded[s], number)}};
    if (!joined)
      session["infonce"] = infonce(num_batches(trainer), [&](std::int64_t batches) {
        return trainer.loss_on_session(held_out[s], number, batches);
      });
    sessions.push_back(session);
  }
  return {{"sessions", sessions}, {"consistency", consistency(trainer, embedded)}};
}

}  // namespace

json evaluate(const Trainer& trainer, const TrainingData& data, const ShouldStop& should_stop) {
  const std::size_t sessions = data.whole.size();
  if (sessions == 0 || data.train.size() != sessions ||
      (!data.held_out.empty() && data.held_out.size() != sessions))
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(sessions) + " recordings, " +
                                              std::to_string(data.train.size()) +
                                              " parts to train on and " +
                                              std::to_string(data.held_out.size()) +
                                              " held out; must be as many, at least 1");
  stop_if_asked(should_stop);
  const std::string reason = skip_reason(trainer, data);
  if (!reason.empty())
    return {{"infonce", nullptr}, {"decoding", nullptr}, {"evaluation_skipped", reason}};
  json result = {{"infonce", infonce(num_batches(trainer), [&](std::int64_t batches) {
                    return trainer.loss_on(data.held_out, batches);
                  })}};
  stop_if_asked(should_stop);
  if (data.whole.size() > 1) {
    result.update(evaluate_sessions(trainer, data, should_stop));
    return result;
  }
  result["decoding"] = nullptr;
  if (!data.whole.front().labels().empty())
    result["decoding"] = decode(trainer, data.train.front(), data.held_out.front(), 0);
  return result;
}

namespace {

// "time: solver 92 %, batches 3 %, ..."
void add_phases(std::ostream& out, const json& phases) {
  double total = 0;
  for (const json& seconds : phases) total += seconds.get<double>();
  if (!(total > 0)) return;
  out << "time: ";
  const char* separator = "";
  for (const char* phase : {"solver", "batches", "optimizer", "services"}) {
    out << separator << phase << " " << fixed(100 * phases.at(phase).get<double>() / total, "%.0f")
        << " %";
    separator = ", ";
  }
  out << "\n";
}

void require_summary(const json& document) {
  for (const char* key : {"step", "model", "criterion", "solver", "time", "peak_memory_mb"})
    if (!document.is_object() || !document.contains(key))
      throw Error(ErrorCode::invalid_value,
                  std::string("is no summary of a run: the key \"") + key + "\" is missing");
}

}  // namespace

namespace {

// What the run was allowed to change, and from which step on.
void add_allowed(std::ostream& out, const json& changes) {
  for (const json& change : changes)
    out << "changed from step " << change.at("step")
        << " on: " << change.at("name").get<std::string>() << ", " << change.at("from") << " -> "
        << change.at("to") << "\n";
}

}  // namespace

std::string Summary::brief() const {
  require_summary(document);
  const json& d = document;
  std::string text = (finished ? "finished " : "stopped after ") + d.at("step").dump() + " steps";
  if (!d.contains("infonce") || !d.at("infonce").is_object()) return text;
  const json& loss = d.at("infonce");
  const std::string criterion = d.at("criterion").get<std::string>();
  if (loss.at("chance").is_null() && loss.at("held_out").is_number())
    return text + ", held-out " + criterion + " " + fixed(loss.at("held_out"));
  text += ", held-out " + criterion + " " + fixed(loss.at("held_out")) + " (chance " +
          fixed(loss.at("chance")) + ")";
  return text;
}

std::string Summary::report() const {
  require_summary(document);
  const json& d = document;
  std::ostringstream out;
  out << "\n"
      << d.at("model").at("name").get<std::string>() << " (" << d.at("model").at("parameters")
      << " parameters), " << d.at("criterion").get<std::string>() << ", "
      << d.at("solver").get<std::string>() << ", seed " << d.at("seed") << "\n";
  for (const json& r : d.contains("recordings") ? d.at("recordings") : json{d.at("recording")})
    out << r.at("samples") << " samples x " << r.at("channels") << " channels, "
        << r.at("train_samples") << " to train on\n";
  out << brief() << "; " << fixed(d.at("time").at("train_s"), "%.1f") << " s ("
      << fixed(d.at("time").at("steps_per_s"), "%.1f") << " steps/s), peak memory "
      << fixed(d.at("peak_memory_mb"), "%.0f") << " MB";
  if (d.contains("memory") && d.at("memory").is_object())
    out << " (estimated " << fixed(d.at("memory").at("estimated_peak_mb"), "%.0f") << ")";
  out << "\n";
  if (d.value("skipped_steps", 0) > 0)
    out << d.at("skipped_steps") << " steps were left out: something in them was not finite\n";
  add_phases(out, d.at("time").at("phases_s"));
  if (d.contains("training"))
    out << "first step:  " << statistics(d.at("training").at("first"))
        << "\nlast step:   " << statistics(d.at("training").at("last")) << "\n";
  if (d.contains("best"))
    out << "lowest validation loss: " << fixed(d.at("best").at("validation"), "%.4f") << " after "
        << d.at("best").at("step") << " steps, best.safetensors\n";
  if (d.contains("allowed")) add_allowed(out, d.at("allowed"));
  if (d.contains("decoding") && d.at("decoding").is_object()) add_decoding(out, d.at("decoding"));
  if (d.contains("sessions"))
    for (std::size_t i = 0; i < d.at("sessions").size(); ++i) {
      out << "\nSession " << i << "\n";
      add_decoding(out, d.at("sessions").at(i).at("decoding"));
    }
  if (d.contains("consistency") && d.at("consistency").is_object())
    out << "\nConsistency between sessions (R2 at equal "
        << d.at("consistency").at("label").get<std::string>()
        << "): " << fixed(d.at("consistency").at("mean_r2")) << "\n";
  if (d.contains("evaluation_skipped"))
    out << "No evaluation: " << d.at("evaluation_skipped").get<std::string>() << "\n";
  return out.str();
}

}  // namespace grevy::host
