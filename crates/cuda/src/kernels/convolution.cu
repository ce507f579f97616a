// Sliding windows over pictures (B, H, W, C): patches for convolutions as products, one filter a channel, pooling.
//
// Channels are innermost, so that neighbouring threads read neighbouring numbers. Every gradient is gathered: the thread of an
// input asks which outputs saw it. No array has more than 2^31 numbers, so that places are found by 32-bit divisions.

#define PLACE(i, n) for (u32 i = blockIdx.x * BLOCK + threadIdx.x; i < (n); i += gridDim.x * BLOCK)

// Channel, column, row and picture of number i of the outputs, and of the inputs.
#define OUTPUT_PLACE(i)                                                                                              \
    u32 c = i % channels, ox = i / channels % x_output, oy = i / channels / x_output % y_output,                     \
        image = i / channels / x_output / y_output
#define INPUT_PLACE(i)                                                                                               \
    u32 c = i % channels, ix = i / channels % x_input, iy = i / channels / x_input % y_input,                        \
        image = i / channels / x_input / y_input

// One axis of a window: `before` numbers of padding lie in front of the first input.
#define AXIS(a) u32 a##_input, u32 a##_output, u32 a##_kernel, u32 a##_stride, u32 a##_before
#define WINDOW u32 batch, u32 channels, AXIS(y), AXIS(x)

// The input that position k of the kernel meets at output o; as large as can be where that is padding.
#define INPUT(a, o, k) ((o) * a##_stride + (k) - a##_before)
// The output whose position k meets input i, or `a_output` and more if there is none.
#define OUTPUT(a, i, k) output_of((i) + a##_before, k, a##_stride, a##_output)

static __device__ u32 output_of(u32 padded, u32 k, u32 stride, u32 outputs) {
    if (padded < k || (padded - k) % stride != 0) return outputs;
    return (padded - k) / stride;
}

// patches (pixels, KH, KW, C): what the output pixels from `first` on see; zeros beyond the border.
extern "C" __global__ void unfold(const float *x, float *patches, u32 first, u32 pixels, WINDOW) {
    u32 patch = y_kernel * x_kernel * channels;
    PLACE(i, pixels * patch) {
        u32 pixel = first + i / patch;
        u32 at = i % patch, ox = pixel % x_output, oy = pixel / x_output % y_output;
        u32 image = pixel / x_output / y_output;
        u32 iy = INPUT(y, oy, at / channels / x_kernel), ix = INPUT(x, ox, at / channels % x_kernel);
        bool inside = iy < y_input && ix < x_input && image < batch;
        patches[i] = inside ? x[((image * y_input + iy) * x_input + ix) * channels + at % channels] : 0.0f;
    }
}

// x += the patches of the output pixels from `first` on, each number at the input that it came from.
extern "C" __global__ void fold(const float *patches, float *x, u32 first, u32 pixels, WINDOW) {
    u32 patch = y_kernel * x_kernel * channels;
    PLACE(i, batch * y_input * x_input * channels) {
        INPUT_PLACE(i);
        float sum = 0.0f;
        for (u32 ky = y_kernel; ky-- > 0;) {
            u32 oy = OUTPUT(y, iy, ky);
            for (u32 kx = x_kernel; oy < y_output && kx-- > 0;) {
                u32 ox = OUTPUT(x, ix, kx);
                u32 pixel = (image * y_output + oy) * x_output + ox;
                if (ox < x_output && pixel >= first && pixel - first < pixels)
                    sum += patches[(pixel - first) * patch + (ky * x_kernel + kx) * channels + c];
            }
        }
        x[i] += sum;
    }
}

// y (B, H', W', C) = x with one filter a channel, w (KH, KW, C), plus `shift` (C; none if null), limited.
extern "C" __global__ void depthwise(const float *x, const float *w, const float *shift, float low, float high, float *y,
                                     WINDOW) {
    PLACE(i, batch * y_output * x_output * channels) {
        OUTPUT_PLACE(i);
        float sum = shift ? shift[c] : 0.0f;
        for (u32 ky = 0; ky < y_kernel; ky++) {
            u32 iy = INPUT(y, oy, ky);
            for (u32 kx = 0; iy < y_input && kx < x_kernel; kx++) {
                u32 ix = INPUT(x, ox, kx);
                if (ix < x_input)
                    sum += w[(ky * x_kernel + kx) * channels + c] *
                           x[((image * y_input + iy) * x_input + ix) * channels + c];
            }
        }
        y[i] = limit(sum, low, high);
    }
}

// dx from g (B, H', W', C) and w.
extern "C" __global__ void depthwise_to_input(const float *g, const float *w, float *dx, WINDOW) {
    PLACE(i, batch * y_input * x_input * channels) {
        INPUT_PLACE(i);
        float sum = 0.0f;
        for (u32 ky = 0; ky < y_kernel; ky++) {
            u32 oy = OUTPUT(y, iy, ky);
            for (u32 kx = 0; oy < y_output && kx < x_kernel; kx++) {
                u32 ox = OUTPUT(x, ix, kx);
                if (ox < x_output)
                    sum += w[(ky * x_kernel + kx) * channels + c] *
                           g[((image * y_output + oy) * x_output + ox) * channels + c];
            }
        }
        dx[i] = sum;
    }
}

// parts (P, KH, KW, C): the gradient of w, part p from the output pixels p · each .. (p + 1) · each. Their sum is the whole.
extern "C" __global__ void depthwise_to_filters(const float *x, const float *g, float *parts, u32 count, u32 each, WINDOW) {
    u32 width = y_kernel * x_kernel * channels, all = batch * y_output * x_output;
    PLACE(i, count * width) {
        u32 c = i % channels, kx = i / channels % x_kernel, ky = i / channels / x_kernel % y_kernel;
        u32 from = i / width * each, to = from + each < all ? from + each : all;
        float sum = 0.0f;
        for (u32 pixel = from; pixel < to; pixel++) {
            u32 ox = pixel % x_output, oy = pixel / x_output % y_output;
            u32 image = pixel / x_output / y_output;
            u32 iy = INPUT(y, oy, ky), ix = INPUT(x, ox, kx);
            if (iy < y_input && ix < x_input)
                sum += g[pixel * channels + c] * x[((image * y_input + iy) * x_input + ix) * channels + c];
        }
        parts[i] = sum;
    }
}

// The largest of each window, and where in its picture it is: the first of equals; NaN wins.
extern "C" __global__ void max_pool(const float *x, float *y, u32 *winners, WINDOW) {
    PLACE(i, batch * y_output * x_output * channels) {
        OUTPUT_PLACE(i);
        float best = 0.0f;
        u32 winner = 0xffffffffu;
        for (u32 ky = 0; ky < y_kernel; ky++) {
            u32 iy = INPUT(y, oy, ky);
            for (u32 kx = 0; iy < y_input && kx < x_kernel; kx++) {
                u32 ix = INPUT(x, ox, kx);
                if (ix >= x_input) continue;
                u32 at = (iy * x_input + ix) * channels + c;
                float seen = x[image * y_input * x_input * channels + at];
                if (winner == 0xffffffffu || !(seen <= best || best != best)) best = seen, winner = at;
            }
        }
        y[i] = best;
        winners[i] = winner;
    }
}

// dx: the gradients of the windows that an input won.
extern "C" __global__ void max_pool_backward(const float *g, const u32 *winners, float *dx, WINDOW) {
    u32 picture = y_input * x_input * channels;
    PLACE(i, batch * picture) {
        INPUT_PLACE(i);
        float sum = 0.0f;
        for (u32 ky = y_kernel; ky-- > 0;) {
            u32 oy = OUTPUT(y, iy, ky);
            for (u32 kx = x_kernel; oy < y_output && kx-- > 0;) {
                u32 ox = OUTPUT(x, ix, kx);
                u32 at = ((image * y_output + oy) * x_output + ox) * channels + c;
                if (ox < x_output && winners[at] == i % picture) sum += g[at];
            }
        }
        dx[i] = sum;
    }
}

// 1 / the size of the window at output o, the padding on both sides included but nothing beyond it.
#define SIZE(a, o) shorter(a##_kernel, a##_input + 2 * a##_before - (o) * a##_stride)
static __device__ u32 shorter(u32 a, u32 b) { return a < b ? a : b; }

// The mean of each window.
extern "C" __global__ void average_pool(const float *x, float *y, WINDOW) {
    PLACE(i, batch * y_output * x_output * channels) {
        OUTPUT_PLACE(i);
        float share = 1.0f / (SIZE(y, oy) * SIZE(x, ox)), sum = 0.0f;
        for (u32 ky = 0; ky < y_kernel; ky++) {
            u32 iy = INPUT(y, oy, ky);
            for (u32 kx = 0; iy < y_input && kx < x_kernel; kx++) {
                u32 ix = INPUT(x, ox, kx);
                if (ix < x_input) sum += share * x[((image * y_input + iy) * x_input + ix) * channels + c];
            }
        }
        y[i] = sum;
    }
}

extern "C" __global__ void average_pool_backward(const float *g, float *dx, WINDOW) {
    PLACE(i, batch * y_input * x_input * channels) {
        INPUT_PLACE(i);
        float sum = 0.0f;
        for (u32 ky = y_kernel; ky-- > 0;) {
            u32 oy = OUTPUT(y, iy, ky);
            for (u32 kx = x_kernel; oy < y_output && kx-- > 0;) {
                u32 ox = OUTPUT(x, ix, kx);
                if (ox < x_output)
                    sum += g[((image * y_output + oy) * x_output + ox) * channels + c] / (SIZE(y, oy) * SIZE(x, ox));
            }
        }
        dx[i] = sum;
    }
}
