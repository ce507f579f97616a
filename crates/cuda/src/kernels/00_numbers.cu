// What all kernels share: number formats, sums over a warp and a block.
//
// Every kernel is written for blocks of BLOCK threads and, where it is elementwise, for a grid of any size (grid-stride
// loops). The same text is compiled by NVRTC for a GPU and, with the header of the tests' emulator, by a C++ compiler for
// the CPU, so it keeps to a small part of CUDA: no headers, no dynamic shared memory, no atomics. Without atomics every sum
// has one order, and the same inputs give the same bits on the same GPU.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short bf16; // the upper half of an f32

#define BLOCK 256
#define WARP 32
#define LOWEST -3.4e38f // NVRTC has no INFINITY without headers
#define EACH(i, n) for (u64 i = blockIdx.x * (u64)BLOCK + threadIdx.x; i < (n); i += gridDim.x * (u64)BLOCK)

// Not fminf and fmaxf: NaN stays.
static __device__ float limit(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static __device__ float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

// Rounds to nearest, ties to even; NaN stays NaN.
static __device__ bf16 to_bf16(float x) {
    u32 bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16)((bits >> 16) | 0x40u);
    return (bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

template <class T> static __device__ T warp_sum(T x) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffu, x, lane);
    return x;
}

static __device__ float larger(float a, float b) { return fmaxf(a, b); }
static __device__ u64 larger(u64 a, u64 b) { return a > b ? a : b; }

template <class T> static __device__ T warp_max(T x) {
    for (int lane = WARP / 2; lane > 0; lane /= 2) x = larger(x, __shfl_xor_sync(0xffffffffu, x, lane));
    return x;
}

// Every thread of the block calls it and gets the result.
template <class T> static __device__ T block_sum(T x) {
    __shared__ T warps[BLOCK / WARP];
    x = warp_sum(x);
    if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = x;
    __syncthreads();
    T sum = warps[0];
    for (int w = 1; w < BLOCK / WARP; w++) sum += warps[w];
    __syncthreads(); // before the next call writes
    return sum;
}

template <class T> static __device__ T block_max(T x) {
    __shared__ T warps[BLOCK / WARP];
    x = warp_max(x);
    if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = x;
    __syncthreads();
    T top = warps[0];
    for (int w = 1; w < BLOCK / WARP; w++) top = larger(top, warps[w]);
    __syncthreads();
    return top;
}

// x (rows, cols; rows `from_stride` apart) to bf16 (rows `to_stride` apart).
extern "C" __global__ void to_half(const float *x, u32 from_stride, bf16 *y, u32 to_stride, u32 rows, u32 cols) {
    EACH(i, (u64)rows * cols) {
        u64 row = i / cols, col = i % cols;
        y[row * to_stride + col] = to_bf16(x[row * from_stride + col]);
    }
}
