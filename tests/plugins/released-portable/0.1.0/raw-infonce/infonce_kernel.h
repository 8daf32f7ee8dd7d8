/* Included once per type of elements, with REAL and NAME(). Inputs: reference (n, d), positive
 * (n, d), negative (m, d). Outputs: loss, pos, neg. Kept: log sum_j exp s_ij, (n). */

static REAL NAME(product)(const REAL* x, const REAL* y, int64_t d) {
  REAL sum = 0;
  for (int64_t k = 0; k < d; ++k) sum += x[k] * y[k];
  return sum;
}

/* log sum exp of row i, relative to its largest element. */
static REAL NAME(log_sum)(const REAL* row, const REAL* negative, int64_t m, int64_t d,
                          REAL inverse) {
  REAL largest = (REAL)-INFINITY, sum = 0;
  for (int64_t j = 0; j < m; ++j) {
    const REAL s = NAME(product)(row, negative + j * d, d) * inverse;
    if (s > largest || s != s) largest = s;
  }
  for (int64_t j = 0; j < m; ++j)
    sum += (REAL)exp(NAME(product)(row, negative + j * d, d) * inverse - largest);
  return largest + (REAL)log(sum);
}

static int32_t NAME(forward)(void* context, const grevy_kernel_views* views,
                             const grevy_error_sink* errors) {
  const REAL* reference = (const REAL*)views->inputs[0].data;
  const REAL* positive = (const REAL*)views->inputs[1].data;
  const REAL* negative = (const REAL*)views->inputs[2].data;
  const int64_t n = views->inputs[0].shape[0], d = views->inputs[0].shape[1];
  const int64_t m = views->inputs[2].shape[0];
  const REAL inverse = (REAL) * (const double*)context;
  REAL* log_sums = (REAL*)views->kept[0].data;
  double pos = 0, neg = 0;
  (void)errors;
  for (int64_t i = 0; i < n; ++i) {
    log_sums[i] = NAME(log_sum)(reference + i * d, negative, m, d, inverse);
    pos -= (double)(NAME(product)(reference + i * d, positive + i * d, d) * inverse) / (double)n;
    neg += (double)log_sums[i] / (double)n;
  }
  *(REAL*)views->outputs[0].data = (REAL)(pos + neg);
  *(REAL*)views->outputs[1].data = (REAL)pos;
  *(REAL*)views->outputs[2].data = (REAL)neg;
  return GREVY_OK;
}

/* to += factor * x, unless that gradient is not wanted. */
static void NAME(add)(REAL* to, REAL factor, const REAL* x, int64_t d) {
  for (int64_t k = 0; to && k < d; ++k) to[k] += factor * x[k];
}

static REAL* NAME(cleared)(const grevy_view* gradient, int64_t count) {
  if (gradient->data) memset(gradient->data, 0, (size_t)count * sizeof(REAL));
  return (REAL*)gradient->data;
}

static REAL* NAME(row)(REAL* rows, int64_t i, int64_t d) { return rows ? rows + i * d : rows; }

static int32_t NAME(backward)(void* context, const grevy_kernel_views* views,
                              const grevy_error_sink* errors) {
  const REAL* reference = (const REAL*)views->inputs[0].data;
  const REAL* positive = (const REAL*)views->inputs[1].data;
  const REAL* negative = (const REAL*)views->inputs[2].data;
  const int64_t n = views->inputs[0].shape[0], d = views->inputs[0].shape[1];
  const int64_t m = views->inputs[2].shape[0];
  const REAL inverse = (REAL) * (const double*)context;
  const REAL* log_sums = (const REAL*)views->kept[0].data;
  const grevy_view* given = views->output_gradients;
  const REAL loss = *(const REAL*)given[0].data;
  const REAL align = (loss + *(const REAL*)given[1].data) * inverse / (REAL)n;
  const REAL spread = (loss + *(const REAL*)given[2].data) * inverse / (REAL)n;
  REAL* to_reference = NAME(cleared)(&views->input_gradients[0], n * d);
  REAL* to_positive = NAME(cleared)(&views->input_gradients[1], n * d);
  REAL* to_negative = NAME(cleared)(&views->input_gradients[2], m * d);
  (void)errors;
  for (int64_t i = 0; i < n; ++i) {
    const REAL* row = reference + i * d;
    NAME(add)(NAME(row)(to_reference, i, d), -align, positive + i * d, d);
    NAME(add)(NAME(row)(to_positive, i, d), -align, row, d);
    for (int64_t j = 0; j < m; ++j) {
      const REAL s = NAME(product)(row, negative + j * d, d) * inverse;
      const REAL weight = spread * (REAL)exp(s - log_sums[i]);
      NAME(add)(NAME(row)(to_reference, i, d), weight, negative + j * d, d);
      NAME(add)(NAME(row)(to_negative, j, d), weight, row, d);
    }
  }
  return GREVY_OK;
}
