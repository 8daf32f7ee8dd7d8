#include "training/run_embeddings.hpp"

#include <grevy/host/array.hpp>

namespace grevy::host {
namespace {

void write_embedding(const Trainer& trainer, const Recording& recording, std::int64_t session,
                     const std::filesystem::path& file, const FolderLock& lock,
                     const ShouldStop& should_stop) {
  TransformOptions options;
  options.session = session;
  lock.require_in_place();
  NpyWriter writer(file, trainer.num_rows(recording, options),
                   trainer.model_info(session).num_output);
  const auto append = [&](const at::Tensor& rows) {
    stop_if_asked(should_stop);
    writer.append(rows.data_ptr<float>(), rows.size(0));
  };
  trainer.transform(recording, append, options);
  lock.require_in_place();
  writer.finish();
}

}  // namespace

void write_embeddings(const Trainer& trainer, const std::vector<Recording>& sessions,
                      const RunFolder& folder, const FolderLock& lock,
                      const ShouldStop& should_stop) {
  const bool joined = trainer.solver_info().sessions == SolverInfo::Sessions::joined;
  for (std::size_t s = 0; s < sessions.size(); ++s) {
    const auto number = static_cast<std::int64_t>(s);
    stop_if_asked(should_stop);
    write_embedding(trainer, joined ? trainer.line_up(sessions, number) : sessions[s], number,
                    folder.embedding(s, sessions.size()), lock, should_stop);
  }
}

}  // namespace grevy::host
