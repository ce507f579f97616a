// Rows of logits over the vocabulary: cross entropy with its gradient, and log probabilities. A block takes a row.

// The smallest probability, 1e-20, is NeuralTalk's; above e^-30 it is lost in rounding.
static __device__ float floored(float log_prob) { return log_prob > -30.0f ? log_prob : logf(1e-20f + expf(log_prob)); }

static __device__ float row_log_sum(const float *x, const float *bias, u32 v) {
    float top = LOWEST, total = 0.0f;
    for (u32 j = threadIdx.x; j < v; j += BLOCK) top = fmaxf(top, x[j] + bias[j]);
    top = block_max(top);
    for (u32 j = threadIdx.x; j < v; j += BLOCK) total += expf(x[j] + bias[j] - top);
    return top + logf(block_sum(total));
}

// logits (rows, v) without bias. losses (rows, 2): -ln(1e-20 + p) of the word, and what is minimised (smoothed). With
// `wanted` the logits become weight times the gradient of the smoothed loss, in bf16 too if `half` is given.
extern "C" __global__ void cross_entropy(float *logits, const float *bias, const u32 *words, const float *weights,
                                         float *losses, bf16 *half, u32 half_stride, u32 rows, u32 v, float smoothing,
                                         u32 wanted) {
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        float *x = logits + (u64)row * v;
        u32 target = words[row];
        float weight = weights[row], shifted = x[target] + bias[target], mean = 0.0f;
        if (smoothing > 0.0f) {
            for (u32 j = threadIdx.x; j < v; j += BLOCK) mean += x[j] + bias[j];
            mean = block_sum(mean) / v;
        }
        float log_sum = row_log_sum(x, bias, v); // ends with a barrier: nobody reads another's logits from here on
        if (threadIdx.x == 0) {
            float word = -floored(shifted - log_sum);
            losses[2 * row] = word;
            losses[2 * row + 1] = smoothing > 0.0f ? (1.0f - smoothing) * word + smoothing * (log_sum - mean) : word;
        }
        if (!wanted) continue;
        float spread = smoothing / v;
        for (u32 j = threadIdx.x; j < v; j += BLOCK) {
            float p = expf(x[j] + bias[j] - log_sum);
            float g = weight * (p - spread - (j == target ? 1.0f - smoothing : 0.0f));
            x[j] = g;
            if (half) half[(u64)row * half_stride + j] = to_bf16(g);
        }
    }
}

// total = Σ weight · minimised loss, one block; losses as `cross_entropy` writes them.
extern "C" __global__ void total_loss(const float *losses, const float *weights, float *total, u32 rows) {
    double sum = 0.0;
    for (u32 row = threadIdx.x; row < rows; row += BLOCK) sum += (double)weights[row] * losses[2 * row + 1];
    sum = block_sum(sum);
    if (threadIdx.x == 0) total[0] = (float)sum;
}

// In place: logits without bias to ln(1e-20 + softmax).
extern "C" __global__ void log_probabilities(float *logits, const float *bias, u32 rows, u32 v) {
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        float *x = logits + (u64)row * v;
        float log_sum = row_log_sum(x, bias, v);
        for (u32 j = threadIdx.x; j < v; j += BLOCK) x[j] = floored(x[j] + bias[j] - log_sum);
    }
}
