/* Included once per type of elements, with REAL, EXP and NAME(). Inputs: reference (n, d), positive
 * (n, d), negative (m, d). Outputs: loss, pos, neg. Kept: exp s_ij / sum_k exp s_ik, (n, m). */

/* Eight sums, which a compiler may keep in one register. */
static REAL NAME(product)(const REAL* x, const REAL* y, int64_t d) {
  REAL sums[8] = {0, 0, 0, 0, 0, 0, 0, 0}, sum = 0;
  int64_t k = 0;
  for (; k + 8 <= d; k += 8)
    for (int lane = 0; lane < 8; ++lane) sums[lane] += x[k + lane] * y[k + lane];
  for (; k < d; ++k) sum += x[k] * y[k];
  for (int lane = 0; lane < 8; ++lane) sum += sums[lane];
  return sum;
}

/* log sum_j exp s_j of a reference, relative to the largest s_j; fills its weights. */
static REAL NAME(log_sum)(const REAL* reference, const REAL* negative, int64_t m, int64_t d,
                          REAL inverse, REAL* weights) {
  REAL largest = (REAL)-INFINITY, sum = 0;
  for (int64_t j = 0; j < m; ++j) {
    weights[j] = NAME(product)(reference, negative + j * d, d) * inverse;
    if (weights[j] > largest || weights[j] != weights[j]) largest = weights[j];
  }
  for (int64_t j = 0; j < m; ++j) {
    weights[j] = EXP(weights[j] - largest);
    sum += weights[j];
  }
  for (int64_t j = 0; j < m; ++j) weights[j] /= sum;
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
  REAL* weights = (REAL*)views->kept[0].data;
  double pos = 0, neg = 0;
  (void)errors;
  for (int64_t i = 0; i < n; ++i) {
    pos -= (double)(NAME(product)(reference + i * d, positive + i * d, d) * inverse) / (double)n;
    neg += (double)NAME(log_sum)(reference + i * d, negative, m, d, inverse, weights + i * m) /
           (double)n;
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
  const REAL* weights = (const REAL*)views->kept[0].data;
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
      const REAL weight = spread * weights[i * m + j];
      NAME(add)(NAME(row)(to_reference, i, d), weight, negative + j * d, d);
      NAME(add)(NAME(row)(to_negative, j, d), weight, row, d);
    }
  }
  return GREVY_OK;
}
