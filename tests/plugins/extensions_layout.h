/* The layout of grevy/ops.h, grevy/kernel.h and grevy/options.h on LP64, and their numbers: a
 * change here breaks every plugin that is in use. Compiled in C and in C++. Those of the operations
 * are in tests/host/ops_layout_test.cpp, with their names. */
#ifndef GREVY_TESTS_EXTENSIONS_LAYOUT_H
#define GREVY_TESTS_EXTENSIONS_LAYOUT_H

#include <grevy/kernel.h>
#include <grevy/options.h>

#include <stddef.h>

#ifdef __cplusplus
#define GREVY_ASSERT(condition, text) static_assert(condition, text)
#else
#define GREVY_ASSERT(condition, text) _Static_assert(condition, text)
#endif
#define GREVY_NUMBER(name, value) GREVY_ASSERT((name) == (value), #name)

#if defined(__LP64__)
#define GREVY_SIZE(type, size) GREVY_ASSERT(sizeof(type) == (size), #type)
#define GREVY_AT(type, member, offset) \
  GREVY_ASSERT(offsetof(type, member) == (offset), #type "." #member)
#else
#define GREVY_SIZE(type, size) GREVY_ASSERT(1, #type)
#define GREVY_AT(type, member, offset) GREVY_ASSERT(1, #member)
#endif

/* grevy/ops.h */
GREVY_SIZE(grevy_tensor_info, 56);
GREVY_AT(grevy_tensor_info, struct_size, 0);
GREVY_AT(grevy_tensor_info, dtype, 4);
GREVY_AT(grevy_tensor_info, dims, 8);
GREVY_AT(grevy_tensor_info, sizes, 16);
GREVY_AT(grevy_tensor_info, strides, 24);
GREVY_AT(grevy_tensor_info, count, 32);
GREVY_AT(grevy_tensor_info, device_type, 40);
GREVY_AT(grevy_tensor_info, device_index, 44);
GREVY_AT(grevy_tensor_info, is_contiguous, 48);
GREVY_AT(grevy_tensor_info, requires_grad, 52);

GREVY_SIZE(grevy_attribute, 40);
GREVY_AT(grevy_attribute, kind, 0);
GREVY_AT(grevy_attribute, reserved, 4);
GREVY_AT(grevy_attribute, integer, 8);
GREVY_AT(grevy_attribute, number, 16);
GREVY_AT(grevy_attribute, data, 24);
GREVY_AT(grevy_attribute, count, 32);

GREVY_SIZE(grevy_op_info, 40);
GREVY_AT(grevy_op_info, struct_size, 0);
GREVY_AT(grevy_op_info, op, 4);
GREVY_AT(grevy_op_info, name, 8);
GREVY_AT(grevy_op_info, takes, 24);

GREVY_SIZE(grevy_function, 80);
GREVY_AT(grevy_function, struct_size, 0);
GREVY_AT(grevy_function, flags, 4);
GREVY_AT(grevy_function, name, 8);
GREVY_AT(grevy_function, context, 24);
GREVY_AT(grevy_function, backward, 32);
GREVY_AT(grevy_function, destroy, 40);
GREVY_AT(grevy_function, plugin, 48);
GREVY_AT(grevy_function, component, 64);

GREVY_SIZE(grevy_ops, 144);
GREVY_AT(grevy_ops, struct_size, 0);
GREVY_AT(grevy_ops, op_count, 4);
GREVY_AT(grevy_ops, find, 8);
GREVY_AT(grevy_ops, describe, 16);
GREVY_AT(grevy_ops, call, 24);
GREVY_AT(grevy_ops, retain, 32);
GREVY_AT(grevy_ops, release, 40);
GREVY_AT(grevy_ops, inspect, 48);
GREVY_AT(grevy_ops, from_data, 56);
GREVY_AT(grevy_ops, to_data, 64);
GREVY_AT(grevy_ops, assign, 72);
GREVY_AT(grevy_ops, set_recording, 80);
GREVY_AT(grevy_ops, require_gradient, 88);
GREVY_AT(grevy_ops, gradient, 96);
GREVY_AT(grevy_ops, backward, 104);
GREVY_AT(grevy_ops, differentiate, 112);
GREVY_AT(grevy_ops, attach_function, 120);
GREVY_AT(grevy_ops, make_generator, 128);
GREVY_AT(grevy_ops, release_generator, 136);

GREVY_NUMBER(GREVY_FLOAT32, 0u);
GREVY_NUMBER(GREVY_FLOAT64, 1u);
GREVY_NUMBER(GREVY_INT64, 2u);
GREVY_NUMBER(GREVY_INT32, 3u);
GREVY_NUMBER(GREVY_UINT8, 4u);
GREVY_NUMBER(GREVY_BOOL, 5u);
GREVY_NUMBER(GREVY_OTHER_TYPE, 99u);
GREVY_NUMBER(GREVY_CPU, 1u);
GREVY_NUMBER(GREVY_CUDA, 2u);
GREVY_NUMBER(GREVY_OTHER_DEVICE, 99u);
GREVY_NUMBER(GREVY_ATTRIBUTE_NONE, 0u);
GREVY_NUMBER(GREVY_ATTRIBUTE_INTEGER, 1u);
GREVY_NUMBER(GREVY_ATTRIBUTE_NUMBER, 2u);
GREVY_NUMBER(GREVY_ATTRIBUTE_INTEGERS, 3u);
GREVY_NUMBER(GREVY_ATTRIBUTE_TEXT, 4u);
GREVY_NUMBER(GREVY_ATTRIBUTE_GENERATOR, 5u);
GREVY_NUMBER(GREVY_ATTRIBUTE_BOOLEAN, 6u);
GREVY_NUMBER(GREVY_OP_COUNT, 76u);
GREVY_NUMBER(GREVY_FUNCTION_TWICE, 1u);

/* grevy/kernel.h */
GREVY_SIZE(grevy_view, 48);
GREVY_AT(grevy_view, data, 0);
GREVY_AT(grevy_view, device_type, 8);
GREVY_AT(grevy_view, device_id, 12);
GREVY_AT(grevy_view, dims, 16);
GREVY_AT(grevy_view, type_code, 20);
GREVY_AT(grevy_view, type_bits, 21);
GREVY_AT(grevy_view, type_lanes, 22);
GREVY_AT(grevy_view, shape, 24);
GREVY_AT(grevy_view, strides, 32);
GREVY_AT(grevy_view, byte_offset, 40);

GREVY_SIZE(grevy_buffer, 24);
GREVY_AT(grevy_buffer, dtype, 0);
GREVY_AT(grevy_buffer, reserved, 4);
GREVY_AT(grevy_buffer, sizes, 8);
GREVY_AT(grevy_buffer, dims, 16);

GREVY_SIZE(grevy_kernel_views, 72);
GREVY_AT(grevy_kernel_views, struct_size, 0);
GREVY_AT(grevy_kernel_views, reserved, 4);
GREVY_AT(grevy_kernel_views, inputs, 8);
GREVY_AT(grevy_kernel_views, input_count, 16);
GREVY_AT(grevy_kernel_views, outputs, 24);
GREVY_AT(grevy_kernel_views, output_count, 32);
GREVY_AT(grevy_kernel_views, kept, 40);
GREVY_AT(grevy_kernel_views, kept_count, 48);
GREVY_AT(grevy_kernel_views, output_gradients, 56);
GREVY_AT(grevy_kernel_views, input_gradients, 64);

GREVY_SIZE(grevy_kernel, 88);
GREVY_AT(grevy_kernel, struct_size, 0);
GREVY_AT(grevy_kernel, reserved, 4);
GREVY_AT(grevy_kernel, name, 8);
GREVY_AT(grevy_kernel, context, 24);
GREVY_AT(grevy_kernel, forward, 32);
GREVY_AT(grevy_kernel, backward, 40);
GREVY_AT(grevy_kernel, destroy, 48);
GREVY_AT(grevy_kernel, plugin, 56);
GREVY_AT(grevy_kernel, component, 72);

GREVY_SIZE(grevy_kernels, 16);
GREVY_AT(grevy_kernels, struct_size, 0);
GREVY_AT(grevy_kernels, reserved, 4);
GREVY_AT(grevy_kernels, run, 8);

/* grevy/options.h */
GREVY_SIZE(grevy_number_option, 48);
GREVY_AT(grevy_number_option, name, 0);
GREVY_AT(grevy_number_option, value, 16);
GREVY_AT(grevy_number_option, lowest, 24);
GREVY_AT(grevy_number_option, highest, 32);
GREVY_AT(grevy_number_option, flags, 40);
GREVY_AT(grevy_number_option, reserved, 44);

GREVY_SIZE(grevy_options, 112);
GREVY_AT(grevy_options, struct_size, 0);
GREVY_AT(grevy_options, reserved, 4);
GREVY_AT(grevy_options, read_numbers, 8);
GREVY_AT(grevy_options, open, 16);
GREVY_AT(grevy_options, close, 24);
GREVY_AT(grevy_options, kind, 32);
GREVY_AT(grevy_options, number, 40);
GREVY_AT(grevy_options, integer, 48);
GREVY_AT(grevy_options, boolean, 56);
GREVY_AT(grevy_options, text, 64);
GREVY_AT(grevy_options, json, 72);
GREVY_AT(grevy_options, count, 80);
GREVY_AT(grevy_options, key, 88);
GREVY_AT(grevy_options, numbers, 96);
GREVY_AT(grevy_options, finish, 104);

GREVY_NUMBER(GREVY_OPTION_ABOVE, 1u);
GREVY_NUMBER(GREVY_OPTION_BELOW, 2u);
GREVY_NUMBER(GREVY_OPTION_INTEGER, 4u);
GREVY_NUMBER(GREVY_OPTION_BOOLEAN, 8u);
GREVY_NUMBER(GREVY_OPTION_REQUIRED, 16u);
GREVY_NUMBER(GREVY_VALUE_MISSING, 0u);
GREVY_NUMBER(GREVY_VALUE_NULL, 1u);
GREVY_NUMBER(GREVY_VALUE_BOOLEAN, 2u);
GREVY_NUMBER(GREVY_VALUE_INTEGER, 3u);
GREVY_NUMBER(GREVY_VALUE_NUMBER, 4u);
GREVY_NUMBER(GREVY_VALUE_TEXT, 5u);
GREVY_NUMBER(GREVY_VALUE_LIST, 6u);
GREVY_NUMBER(GREVY_VALUE_OBJECT, 7u);

#endif
