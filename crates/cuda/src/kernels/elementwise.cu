// Elementwise operations, sums of columns, copies of blocks, means over regions.

#define RELU 0
#define RELU6 1
#define SIGMOID 2
#define TANH 3
#define SCALE 4

// y = f(x); `factor` is used by SCALE.
extern "C" __global__ void unary(u32 op, const float *x, float *y, u64 n, float factor) {
    EACH(i, n) {
        float a = x[i];
        switch (op) {
        case RELU: y[i] = a < 0.0f ? 0.0f : a; break;
        case RELU6: y[i] = a < 0.0f ? 0.0f : a > 6.0f ? 6.0f : a; break;
        case SIGMOID: y[i] = logistic(a); break;
        case TANH: y[i] = tanhf(a); break;
        default: y[i] = a * factor;
        }
    }
}

// dx from dy and y = f(x).
extern "C" __global__ void unary_backward(u32 op, const float *dy, const float *y, float *dx, u64 n) {
    EACH(i, n) {
        float g = dy[i], v = y[i];
        switch (op) {
        case RELU: dx[i] = v > 0.0f ? g : 0.0f; break;
        case RELU6: dx[i] = v > 0.0f && v < 6.0f ? g : 0.0f; break;
        case SIGMOID: dx[i] = g * v * (1.0f - v); break;
        default: dx[i] = g * (1.0f - v * v); // TANH
        }
    }
}

extern "C" __global__ void multiply(const float *x, const float *y, float *z, u64 n) { EACH(i, n) z[i] = x[i] * y[i]; }

extern "C" __global__ void add_assign(float *x, const float *y, u64 n) { EACH(i, n) x[i] += y[i]; }

// y (rows, cols) = x + bias (cols).
extern "C" __global__ void add_bias(const float *x, const float *bias, float *y, u64 n, u32 cols) {
    EACH(i, n) y[i] = x[i] + bias[i % cols];
}

// sums (P, cols): sums[p] = or += the column sums of the rows p · each .. (p + 1) · each of x (rows, cols). A block takes WARP
// columns of one part, its warps every eighth row each.
extern "C" __global__ void sum_rows(const float *x, float *sums, u32 rows, u32 cols, u32 each, u32 accumulate) {
    __shared__ float parts[BLOCK];
    u32 groups = (cols + WARP - 1) / WARP, group = blockIdx.x % groups, first = blockIdx.x / groups * each;
    u32 lane = threadIdx.x % WARP, part = threadIdx.x / WARP, col = group * WARP + lane;
    u32 end = rows - first < each ? rows : first + each;
    float sum = 0.0f;
    if (col < cols)
        for (u32 row = first + part; row < end; row += BLOCK / WARP) sum += x[(u64)row * cols + col];
    parts[threadIdx.x] = sum;
    __syncthreads();
    if (part == 0 && col < cols) {
        for (u32 p = 1; p < BLOCK / WARP; p++) sum += parts[p * WARP + lane];
        float *to = sums + (u64)(blockIdx.x / groups) * cols + col;
        *to = accumulate ? *to + sum : sum;
    }
}

// A block of rows and columns from one matrix into another, or added to it.
extern "C" __global__ void copy_block(const float *from, u32 from_stride, float *to, u32 to_stride, u32 rows, u32 cols,
                                      u32 add) {
    EACH(i, (u64)rows * cols) {
        u64 row = i / cols, col = i % cols;
        float x = from[row * from_stride + col];
        float *y = to + row * to_stride + col;
        *y = add ? *y + x : x;
    }
}

// x (images, regions, width) to means over the regions (images, width).
extern "C" __global__ void region_means(const float *x, float *means, u32 images, u32 regions, u32 width) {
    EACH(i, (u64)images * width) {
        u64 image = i / width, col = i % width;
        float sum = 0.0f;
        for (u32 r = 0; r < regions; r++) sum += x[(image * regions + r) * width + col];
        means[i] = sum / regions;
    }
}

extern "C" __global__ void region_means_backward(const float *d_means, float *dx, u32 images, u32 regions, u32 width) {
    EACH(i, (u64)images * regions * width) {
        u64 image = i / width / regions, col = i % width;
        dx[i] = d_means[image * width + col] / regions;
    }
}
