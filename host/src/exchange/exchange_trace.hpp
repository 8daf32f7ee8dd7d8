// An encoder as TorchScript.
#ifndef GREVY_HOST_EXCHANGE_TRACE_HPP
#define GREVY_HOST_EXCHANGE_TRACE_HPP

#include <grevy/calls.hpp>

#include <functional>
#include <string>

namespace grevy::host {

// What a run makes of samples (T, C), T >= L: (rows, D).
using Embed = std::function<at::Tensor(const at::Tensor& samples)>;

// The bytes of a TorchScript file of a model on the CPU, which is put into evaluation mode.
// Parameters and buffers have the model's names; each part before a dot is a module. The script is
// compared with the model and with `embed`. Errors: unimplemented where they differ for inputs of
// other sizes than the one it is made with, and where LibTorch cannot trace the model.
std::string trace_encoder(const ModelRef& model, const Embed& embed);

}  // namespace grevy::host

#endif
