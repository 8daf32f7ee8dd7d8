#include "exchange/exchange_names.hpp"
#include "exchange/exchange_trace.hpp"
#include "files/atomic_file.hpp"
#include "training/checkpoint.hpp"

#include <grevy/host/exchange.hpp>
#include <grevy/host/trainer.hpp>

#include <optional>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What one file is to hold.
struct Output {
  std::string name;
  std::optional<StoredTensors> tensors;
  std::string bytes;  // without tensors
};

void add(const NamedTensors& tensors, const std::string& prefix, StoredTensors& content) {
  NamedTensors named;
  for (const NamedTensor& t : tensors)
    if (!is_own_tensor(t.name)) named.push_back({prefix + t.name, t.tensor, t.trained});
  store(named, content);
}

// The reference lists a layer that is applied several times as often, and wants it so.
void add_repetitions(const json& spec, const NamedTensors& tensors, const std::string& prefix,
                     StoredTensors& content) {
  std::vector<std::string> names;
  for (const NamedTensor& t : tensors) names.push_back(t.name);
  for (const auto& [other, name] : tied_names(spec, names))
    content.tensors[prefix + other] = content.tensors.at(prefix + name);
}

// How readers of PyTorch's tensors know the file; and the model's options.
StoredTensors empty_content(const json& spec) {
  StoredTensors content;
  content.metadata = {{"format", "pt"}, {"model", spec.dump()}};
  return content;
}

class Export {
 public:
  Export(Host& host, const fs::path& run) : trainer_(Trainer::from_checkpoint(host, run, "cpu")) {}

  std::vector<Output> make(std::optional<std::int64_t> session) const {
    const bool numbered =
        !session && trainer_.solver_info().sessions == SolverInfo::Sessions::several;
    const json& spec = trainer_.experiment().at("/model");
    Output model{"model.safetensors", empty_content(spec), ""};
    std::vector<Output> encoders;
    for (const std::int64_t s : chosen(session, numbered)) {
      const std::string number = std::to_string(s);
      const std::string prefix = numbered ? number + "." : "";
      const NamedTensors tensors = trainer_.model(s).tensors();
      add(tensors, prefix, *model.tensors);
      add_repetitions(spec, tensors, prefix, *model.tensors);
      const std::string name = numbered ? "encoder_" + number : "encoder";
      encoders.push_back({name + ".pt", std::nullopt, trace(s)});
    }
    std::vector<Output> outputs = {std::move(model)};
    add_criterion(outputs);
    for (Output& encoder : encoders) outputs.push_back(std::move(encoder));
    return outputs;
  }

 private:
  std::vector<std::int64_t> chosen(std::optional<std::int64_t> session, bool numbered) const {
    if (!numbered) return {session.value_or(0)};
    std::vector<std::int64_t> all;
    for (std::int64_t s = 0; s < trainer_.num_sessions(); ++s) all.push_back(s);
    return all;
  }

  std::string trace(std::int64_t session) const {
    return trace_encoder(trainer_.model(session), [&](const at::Tensor& samples) {
      TransformOptions options;
      options.session = session;
      options.pad = false;
      return trainer_.transform(samples, options);
    });
  }

  void add_criterion(std::vector<Output>& outputs) const {
    const NamedTensors tensors = trainer_.criterion().tensors();
    if (tensors.empty()) return;
    Output criterion{"criterion.safetensors", empty_content(trainer_.experiment().at("/criterion")),
                     ""};
    add(tensors, "", *criterion.tensors);
    outputs.push_back(std::move(criterion));
  }

  Trainer trainer_;
};

}  // namespace

std::vector<fs::path> export_run(Host& host, const fs::path& run, const ExportOptions& options) {
  const std::vector<Output> outputs = Export(host, run).make(options.session);
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error)
    throw Error(ErrorCode::io, options.folder.string() + ": cannot be made: " + error.message());
  std::vector<fs::path> files;
  for (const Output& output : outputs) {
    files.push_back(options.folder / output.name);
    if (output.tensors)
      write_safetensors(files.back(), *output.tensors);
    else
      write_file_atomically(files.back(), {output.bytes});
  }
  return files;
}

}  // namespace grevy::host
