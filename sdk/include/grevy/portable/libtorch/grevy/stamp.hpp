// Stands in for grevy/stamp.hpp in portable plugins, which fit every LibTorch.
#ifndef GREVY_STAMP_HPP
#define GREVY_STAMP_HPP

#define GREVY_STAMP ""
// Says to grevy/detail/trampoline.hpp that tensors need the host's table.
#define GREVY_ENTER(host) ::grevy::portable::enter(host)

#endif
