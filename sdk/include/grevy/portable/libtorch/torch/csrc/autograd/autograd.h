// Stands in for the header of LibTorch in portable plugins.
#include <grevy/portable/autograd.hpp>

#include <torch/types.h>
