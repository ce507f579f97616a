// A convolution's frozen batch norm and activation: formulas in `tensor::ops::normed`.

// x (rows, cols) = x + shift (cols) + residual (rows, cols; none if null), limited.
extern "C" __global__ void shift_and_limit(float *x, const float *shift, const float *residual, float low, float high, u64 n,
                                           u32 cols) {
    EACH(i, n) x[i] = limit(x[i] + shift[i % cols] + (residual ? residual[i] : 0.0f), low, high);
}

// The gradient where the activation let y through, 0 elsewhere.
extern "C" __global__ void stop(const float *g, const float *y, float low, float high, float *stopped, u64 n) {
    EACH(i, n) stopped[i] = y[i] > low && y[i] < high ? g[i] : 0.0f;
}

// y (rows, cols) = x times a number a column.
extern "C" __global__ void scale_columns(const float *x, const float *slope, float *y, u64 n, u32 cols) {
    EACH(i, n) y[i] = x[i] * slope[i % cols];
}

// Of each channel: 1 / deviation, what its filter is scaled with, what is added then.
extern "C" __global__ void norm_factors(const float *gamma, const float *beta, const float *mean, const float *variance,
                                        float epsilon, float *inverse, float *slope, float *shift, u32 n) {
    EACH(i, n) {
        inverse[i] = 1.0f / sqrtf(variance[i] + epsilon);
        slope[i] = inverse[i] * gamma[i];
        shift[i] = beta[i] - mean[i] * slope[i];
    }
}

// sums (n) of w ⊙ D become the gradient of γ.
extern "C" __global__ void norm_gradient(float *sums, const float *mean, const float *d_beta, const float *inverse, u32 n) {
    EACH(i, n) sums[i] = (sums[i] - mean[i] * d_beta[i]) * inverse[i];
}
