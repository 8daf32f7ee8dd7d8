#include "check.hpp"

#include <grevy/error.hpp>

namespace grevy::cli {
namespace {

struct Kind {
  const char* name;
  bool is_component;
  Checks (*checks)();
};
constexpr Kind kKinds[] = {{"file", false, file_checks},
                           {"model", true, model_checks},
                           {"criterion", true, criterion_checks},
                           {"solver", true, solver_checks}};

}  // namespace

Checks checks_of(const std::string& kind) {
  for (const Kind& known : kKinds) {
    if (known.name != kind) continue;
    Checks checks = known.is_component ? option_checks() : Checks{};
    for (const Check& check : known.checks()) checks.push_back(check);
    for (const Check& check : known.is_component ? thread_checks() : Checks{})
      checks.push_back(check);
    return checks;
  }
  throw Error(ErrorCode::invalid_value, "there are no checks of \"" + kind + "\"");
}

}  // namespace grevy::cli
