// Components for the runners: made by name through the loader, filled with the reference's state.
#ifndef GREVY_AGREEMENT_BENCH_HPP
#define GREVY_AGREEMENT_BENCH_HPP

#include "case.hpp"

#include <grevy/host/host.hpp>

#include <stdexcept>
#include <string>

namespace grevy::agreement {

// What a case needs does not exist here.
class Unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Bench {
 public:
  explicit Bench(host::Host& host) : host_(host) {}

  host::Host& host() const { return host_; }
  // Throws Unsupported unless the component exists.
  void need(host::Kind kind, const std::string& name) const;
  Owned<ModelRef> model(const std::string& name, const Json& options, std::int64_t num_input) const;
  Owned<CriterionRef> criterion(const std::string& name, const Json& options) const;
  Owned<SolverRef> solver(const std::string& name, const Json& options = Json::object(),
                          std::uint64_t seed = 1) const;

 private:
  host::Host& host_;
};

// Copies values by name. `shared` maps further names of a tied tensor to the one that it is kept
// under. Errors: invalid_value for another shape and for a name on one side only; buffers may be
// missing in `state`.
void load_state(const NamedTensors& target, const NamedTensors& state,
                const Json& shared = Json::object());

// Widths as the state has them: first tensor (U, ...), last (D, ...). The case's params win.
Json width_options(const Case& c, const NamedTensors& state);

std::int64_t num_parameters(const NamedTensors& tensors);

}  // namespace grevy::agreement

#endif
