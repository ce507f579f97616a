// The optimizers' pass over one parameter, and norms; formulas: `tensor::update`.

#define MOMENTUM 0
#define ADAGRAD 1
#define RMSPROP 2
#define ADADELTA 3
#define ADAM 4

// clip((g + l2 w) scale); NaN passes through.
static __device__ float prepared(float w, float g, float scale, float l2, float clip) {
    g = (g + l2 * w) * scale;
    g = g > clip ? clip : g;
    return g < -clip ? -clip : g;
}

// a and b are the running averages (b is none where a rule has one). What c1 .. c8 mean depends on the rule.
extern "C" __global__ void update(u32 rule, float *weight, const float *gradient, float *a, float *b, u64 n, float scale,
                                  float l2, float clip, float c1, float c2, float c3, float c4, float c5, float c6,
                                  float c7, float c8) {
    EACH(i, n) {
        float w = weight[i], g = prepared(w, gradient[i], scale, l2, clip);
        switch (rule) {
        case MOMENTUM: { // c1 learning rate, c2 momentum
            float v = c2 * a[i] - c1 * g;
            a[i] = v, weight[i] = w + v;
            break;
        }
        case ADAGRAD: { // c1 learning rate, c2 epsilon
            float s = a[i] + g * g;
            a[i] = s, weight[i] = w - c1 * g / sqrtf(s + c2);
            break;
        }
        case RMSPROP: { // c1 learning rate, c2 epsilon, c3 decay, c4 1 - decay
            float s = c3 * a[i] + c4 * (g * g);
            a[i] = s, weight[i] = w - c1 * g / sqrtf(s + c2);
            break;
        }
        case ADADELTA: { // c2 epsilon, c3 decay, c4 1 - decay
            float s = c3 * a[i] + c4 * (g * g);
            float d = -(sqrtf(b[i] + c2) * g) / sqrtf(s + c2);
            a[i] = s, b[i] = c3 * b[i] + c4 * (d * d), weight[i] = w + d;
            break;
        }
        default: { // ADAM: c1 rate / (1 - beta1^t), c2 epsilon, c3 beta1, c4 beta2, c5 1 / (1 - beta2^t), c6 1 - beta1, c7 1 - beta2,
                   // c8 what decay leaves of the weight
            float m = c3 * a[i] + c6 * g, v = c4 * b[i] + c7 * (g * g);
            a[i] = m, b[i] = v;
            weight[i] = c8 * w - c1 * m / (sqrtf(v * c5) + c2);
        }
        }
    }
}

extern "C" __global__ void scale_assign(float *x, float factor, u64 n) { EACH(i, n) x[i] *= factor; }

// One sum of squares of prepared gradients a block, in f64.
extern "C" __global__ void squared_norm(const float *weight, const float *gradient, double *parts, u64 n, float scale,
                                        float l2, float clip) {
    double sum = 0.0;
    EACH(i, n) {
        double x = prepared(weight[i], gradient[i], scale, l2, clip);
        sum += x * x;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
