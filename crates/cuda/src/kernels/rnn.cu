// Hidden rows of one step of NeuralTalk's multimodal RNN, and their gradients. Equations: `tensor::ops::rnn`.

// x (n, h) come in as projected words plus the recurrent product and go out as hidden rows, in bf16 too if `half` is given.
// picture (n, h) is none (0) where this step doesn't see it.
extern "C" __global__ void rnn_step(float *x, const float *bias, const float *picture, bf16 *half, u32 half_stride, u32 n,
                                    u32 h) {
    EACH(at, (u64)n * h) {
        u64 row = at / h;
        u32 j = at % h;
        float sum = x[at] + bias[j] + (picture ? picture[at] : 0.0f);
        float y = sum < 0.0f ? 0.0f : sum;
        x[at] = y;
        if (half) half[row * half_stride + j] = to_bf16(y);
    }
}

// d (n, h) come in as the gradient of the hidden rows and go out as that of the sum inside the ReLU, in bf16 too if `half` is
// given; they are added to d_picture (n, h) unless it is none.
extern "C" __global__ void rnn_step_backward(float *d, const float *hidden, float *d_picture, bf16 *half, u32 half_stride,
                                             u32 n, u32 h) {
    EACH(at, (u64)n * h) {
        u64 row = at / h;
        u32 j = at % h;
        float slope = hidden[at] <= 0.0f ? 0.0f : d[at];
        d[at] = slope;
        if (d_picture) d_picture[at] += slope;
        if (half) half[row * half_stride + j] = to_bf16(slope);
    }
}
