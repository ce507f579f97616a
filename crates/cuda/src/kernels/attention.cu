// Additive attention over the regions of a picture; equations: `tensor::ops::attention`.
//
// Shapes: keys (I, R, A), values (I, R, P), score (A), queries (n, A), weights (n, R), contexts (n, P). Hyperbolic tangents
// are computed again wherever they are needed: kept, (n, R, A) would be the largest array of a step.

// A block takes a row, a warp a region at a time. Rows of the contexts lie `stride` apart.
extern "C" __global__ void attend(const float *keys, const float *values, const float *score, const float *queries,
                                  const u32 *image_of, float *weights, float *contexts, u32 stride, u32 n, u32 r, u32 a,
                                  u32 p) {
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (u32 row = blockIdx.x; row < n; row += gridDim.x) {
        const float *key = keys + (u64)image_of[row] * r * a, *value = values + (u64)image_of[row] * r * p;
        const float *query = queries + (u64)row * a;
        float *weight = weights + (u64)row * r, *context = contexts + (u64)row * stride;
        for (u32 region = warp; region < r; region += BLOCK / WARP) {
            float s = 0.0f;
            for (u32 k = lane; k < a; k += WARP) s += score[k] * tanhf(key[(u64)region * a + k] + query[k]);
            s = warp_sum(s);
            if (lane == 0) weight[region] = s;
        }
        __syncthreads();
        float top = LOWEST, total = 0.0f;
        for (u32 i = threadIdx.x; i < r; i += BLOCK) top = fmaxf(top, weight[i]);
        top = block_max(top);
        for (u32 i = threadIdx.x; i < r; i += BLOCK) total += expf(weight[i] - top);
        total = block_sum(total);
        for (u32 i = threadIdx.x; i < r; i += BLOCK) weight[i] = expf(weight[i] - top) / total;
        __syncthreads();
        for (u32 col = threadIdx.x; col < p; col += BLOCK) {
            float sum = 0.0f;
            for (u32 i = 0; i < r; i++) sum += weight[i] * value[(u64)i * p + col];
            context[col] = sum;
        }
        __syncthreads();
    }
}

// Through the softmax, d_scores_i = weight_i (d_weight_i - sum of weight d_weight), then to the query and the score weights:
// d_queries (n, A), d_score_rows (n, A: each row's share of the gradient of `score`). A block takes a row.
extern "C" __global__ void attend_backward_rows(const float *keys, const float *values, const float *score,
                                                const float *queries, const u32 *image_of, const float *weights,
                                                const float *d_contexts, u32 stride, float *d_scores, float *d_queries,
                                                float *d_score_rows, u32 n, u32 r, u32 a, u32 p) {
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (u32 row = blockIdx.x; row < n; row += gridDim.x) {
        const float *key = keys + (u64)image_of[row] * r * a, *value = values + (u64)image_of[row] * r * p;
        const float *query = queries + (u64)row * a, *weight = weights + (u64)row * r;
        const float *d_context = d_contexts + (u64)row * stride;
        float *ds = d_scores + (u64)row * r;
        for (u32 region = warp; region < r; region += BLOCK / WARP) {
            float s = 0.0f;
            for (u32 k = lane; k < p; k += WARP) s += d_context[k] * value[(u64)region * p + k];
            s = warp_sum(s);
            if (lane == 0) ds[region] = s;
        }
        __syncthreads();
        float mean = 0.0f;
        for (u32 i = threadIdx.x; i < r; i += BLOCK) mean += weight[i] * ds[i];
        mean = block_sum(mean);
        for (u32 i = threadIdx.x; i < r; i += BLOCK) ds[i] = weight[i] * (ds[i] - mean);
        __syncthreads();
        for (u32 k = threadIdx.x; k < a; k += BLOCK) {
            float to_query = 0.0f, to_score = 0.0f;
            for (u32 i = 0; i < r; i++) {
                float y = tanhf(key[(u64)i * a + k] + query[k]);
                to_query += ds[i] * (1.0f - y * y);
                to_score += ds[i] * y;
            }
            d_queries[(u64)row * a + k] = score[k] * to_query;
            d_score_rows[(u64)row * a + k] = to_score;
        }
        __syncthreads();
    }
}

// Adds to d_keys (I, R, A) and d_values (I, R, P) what the rows below n give, in ascending order: the rows of picture i are
// rows[starts[i] .. starts[i + 1]]. A block takes a region of a picture.
extern "C" __global__ void attend_backward_regions(const float *keys, const float *score, const float *queries,
                                                   const u32 *rows, const u32 *starts, const float *weights,
                                                   const float *d_contexts, u32 stride, const float *d_scores,
                                                   float *d_keys, float *d_values, u32 n, u32 images, u32 r, u32 a,
                                                   u32 p) {
    for (u32 at = blockIdx.x; at < images * r; at += gridDim.x) {
        u32 image = at / r, region = at % r;
        u32 first = starts[image], end = starts[image + 1];
        for (u32 k = threadIdx.x; k < a; k += BLOCK) {
            float key = keys[(u64)at * a + k], sum = 0.0f;
            for (u32 i = first; i < end && rows[i] < n; i++) {
                float y = tanhf(key + queries[(u64)rows[i] * a + k]);
                sum += d_scores[(u64)rows[i] * r + region] * (1.0f - y * y);
            }
            d_keys[(u64)at * a + k] += score[k] * sum;
        }
        for (u32 k = threadIdx.x; k < p; k += BLOCK) {
            float sum = 0.0f;
            for (u32 i = first; i < end && rows[i] < n; i++)
                sum += weights[(u64)rows[i] * r + region] * d_contexts[(u64)rows[i] * stride + k];
            d_values[(u64)at * p + k] += sum;
        }
    }
}
