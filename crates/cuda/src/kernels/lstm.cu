// Gates, cells and hidden rows of one step of an LSTM, and their gradients; gates packed i, f, o, g.
//
// A thread has one unit of one row. Equations: `tensor::ops::lstm`.

// gates (n, 4h) come in as pre-activations without bias and go out activated. `past` cells (n, h) are none (0) at the first
// step. hidden rows lie `stride` apart; `half`, if not none, gets them in bf16, `half_stride` apart.
extern "C" __global__ void lstm_gates(float *gates, const float *bias, const float *past, float *cells, float *hidden,
                                      u32 stride, bf16 *half, u32 half_stride, u32 n, u32 h, u32 tanh_c) {
    EACH(at, (u64)n * h) {
        u64 row = at / h;
        u32 j = at % h;
        float *gate = gates + row * 4 * h;
        float i = logistic(gate[j] + bias[j]);
        float f = logistic(gate[h + j] + bias[h + j]);
        float o = logistic(gate[2 * h + j] + bias[2 * h + j]);
        float g = tanhf(gate[3 * h + j] + bias[3 * h + j]);
        float c = i * g + (past ? f * past[at] : 0.0f);
        float y = o * (tanh_c ? tanhf(c) : c);
        gate[j] = i, gate[h + j] = f, gate[2 * h + j] = o, gate[3 * h + j] = g;
        cells[at] = c;
        hidden[row * stride + j] = y;
        if (half) half[row * half_stride + j] = to_bf16(y);
    }
}

// The gradient of a hidden row is d_above (rows `stride` apart) + d_next (none: 0). d_cells comes in as the gradient from
// the next step and goes out as that for the step before. d_gates (n, 4h) are written, in bf16 too if `half` is given.
extern "C" __global__ void lstm_gates_backward(const float *gates, const float *cells, const float *past,
                                               const float *d_above, u32 stride, const float *d_next, float *d_cells,
                                               float *d_gates, bf16 *half, u32 half_stride, u32 n, u32 h, u32 tanh_c) {
    EACH(at, (u64)n * h) {
        u64 row = at / h;
        u32 j = at % h;
        const float *gate = gates + row * 4 * h;
        float i = gate[j], f = gate[h + j], o = gate[2 * h + j], g = gate[3 * h + j];
        float dh = d_above[row * stride + j] + (d_next ? d_next[at] : 0.0f);
        float c = cells[at];
        float shown = tanh_c ? tanhf(c) : c;
        float slope = tanh_c ? 1.0f - shown * shown : 1.0f;
        float dc = d_cells[at] + dh * o * slope;
        float di = dc * g * i * (1.0f - i);
        float df = past ? dc * past[at] * f * (1.0f - f) : 0.0f;
        float d_o = dh * shown * o * (1.0f - o);
        float dg = dc * i * (1.0f - g * g);
        float *d = d_gates + row * 4 * h;
        d[j] = di, d[h + j] = df, d[2 * h + j] = d_o, d[3 * h + j] = dg;
        d_cells[at] = dc * f;
        if (half) {
            bf16 *d16 = half + row * half_stride;
            d16[j] = to_bf16(di), d16[h + j] = to_bf16(df), d16[2 * h + j] = to_bf16(d_o), d16[3 * h + j] = to_bf16(dg);
        }
    }
}
