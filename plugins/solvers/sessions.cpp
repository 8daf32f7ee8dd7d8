// Solvers that differ only in what they are given: one recording or several, windows or the whole
// series, one encoder or another one for the references. The base class does the rest.
#include <grevy/plugin.hpp>

namespace grevy::solvers {
namespace {

using Sessions = SolverInfo::Sessions;

template <Sessions sessions, bool full_batch = false>
class Contrastive : public Solver {
 public:
  using Options = NoOptions;
  Contrastive(const Options&, const Context&) {}

  SolverInfo info() const override {
    SolverInfo wanted;
    wanted.sessions = sessions;
    wanted.full_batch = full_batch;
    return wanted;
  }
  bool takes_samples() const override { return !full_batch; }
};

// Positives and negatives go through a session's first encoder, references through its second.
template <Sessions sessions>
class Auxiliary : public Solver {
 public:
  struct Options {
    bool use_reference_model = false;
    static constexpr auto fields() {
      return grevy::fields(field("use_reference_model", &Options::use_reference_model,
                                 "Embed new samples with the references' encoder."));
    }
  };
  Auxiliary(const Options& options, const Context&) : options_(options) {}

  SolverInfo info() const override {
    SolverInfo wanted;
    wanted.sessions = sessions;
    wanted.reference_models = true;
    return wanted;
  }
  bool takes_samples() const override { return true; }

  const ModelRef& transform_model(std::int64_t session) override {
    return options_.use_reference_model ? reference_model(session) : model(session);
  }

 private:
  Options options_;
};

using SingleSession = Contrastive<Sessions::one>;
using SingleSessionFull = Contrastive<Sessions::one, true>;
using MultiSession = Contrastive<Sessions::several>;
using MultiSessionFull = Contrastive<Sessions::several, true>;
using Unified = Contrastive<Sessions::joined>;
using SingleSessionAuxiliary = Auxiliary<Sessions::one>;
using MultiSessionAuxiliary = Auxiliary<Sessions::several>;

}  // namespace
}  // namespace grevy::solvers

GREVY_REGISTER(grevy::solvers::SingleSession, "single-session",
               "One recording; the same encoder embeds reference, positive and negative.")
GREVY_REGISTER(grevy::solvers::SingleSessionAuxiliary, "single-session-aux",
               "One recording; the references have an encoder of their own.")
GREVY_REGISTER(grevy::solvers::SingleSessionFull, "single-session-full",
               "One recording, all of its samples in every step.")
GREVY_REGISTER(grevy::solvers::MultiSession, "multi-session",
               "Several recordings, each with an encoder, aligned by their labels.")
GREVY_REGISTER(grevy::solvers::MultiSessionAuxiliary, "multi-session-aux",
               "Several recordings; the references of each have an encoder of their own.")
GREVY_REGISTER(grevy::solvers::MultiSessionFull, "multi-session-full",
               "Several recordings, all of their samples in every step.")
GREVY_REGISTER(grevy::solvers::Unified, "unified-session",
               "Several recordings as one with all channels, aligned by their labels.")
GREVY_PLUGIN("grevy.solvers", "0.2.0")
