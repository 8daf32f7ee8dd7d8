// Stands in for the header of LibTorch in portable plugins.
#include <torch/types.h>

#include <grevy/portable/autograd.hpp>
