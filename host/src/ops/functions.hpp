// The slots of the host's extensions, by what they are about.
#ifndef GREVY_HOST_OPS_FUNCTIONS_HPP
#define GREVY_HOST_OPS_FUNCTIONS_HPP

#include <grevy/kernel.h>
#include <grevy/options.h>

#include <string_view>

namespace grevy::host {

// The table for an id, or null: grevy_host.extension.
const void* find_extension(std::string_view id) noexcept;

namespace ops {

void fill_tensors(grevy_ops& table);   // inspect, from_data, to_data, assign, generators
void fill_autograd(grevy_ops& table);  // set_recording ... attach_function
const grevy_kernels& kernels();
const grevy_options& options();

}  // namespace ops
}  // namespace grevy::host

#endif
