// The next words of rows, chosen from their log probabilities (rows, v). A block takes a row. A chosen word lies beside the bits of its
// log probability: one copy brings both to the host.

// More than this above 0 isn't rounding: as in the search (generate/src/rows.rs), which refuses what this lets through.
#define ROUNDING 1e-3f

// What a search counts: rounding above 0 is 0.
static __device__ float counted(float log_prob) { return log_prob < 0.0f ? log_prob : log_prob <= ROUNDING ? 0.0f : log_prob; }

// A search's order as a number: the larger value first, then the smaller word. What isn't a log probability (NaN too) comes before
// all, so that whoever asked sees it.
static __device__ u64 rank(float log_prob, u32 word) {
    u32 bits = __float_as_uint(counted(log_prob));
    u32 value = !(log_prob <= ROUNDING) ? 0xff000000u : bits >> 31 ? ~bits : bits | 0x80000000u;
    return (u64)value << 32 | (0xffffffffu - word);
}

static __device__ void choose(u32 *chosen, u64 at, u32 word, float log_prob) {
    chosen[2 * at] = word;
    chosen[2 * at + 1] = __float_as_uint(counted(log_prob));
}

// chosen (rows, k, 2): the k likeliest of each row, k <= v. Every round goes through the row again, which a block keeps in its
// cache: k is small.
extern "C" __global__ void likeliest(const float *log_probs, u32 *chosen, u32 rows, u32 v, u32 k) {
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        const float *x = log_probs + (u64)row * v;
        u64 before = ~0ull;
        for (u32 i = 0; i < k; i++) {
            u64 top = 0;
            for (u32 j = threadIdx.x; j < v; j += BLOCK) {
                u64 mine = rank(x[j], j);
                if (mine < before) top = larger(top, mine);
            }
            before = block_max(top);
            u32 word = 0xffffffffu - (u32)before;
            if (threadIdx.x == 0) choose(chosen, (u64)row * k + i, word, x[word]);
        }
    }
}

// chosen (rows, 2): the word in whose share of [0, 1) the row's uniform number lies, the words one after another. One thread adds
// the probabilities up, in their order and in f64 as on the CPU: the frequent words come first, so that as a rule the first block
// of them decides. Where the sum falls short of 1 the rest is stretched over the words there are. Without a word of any probability
// it is word v.
extern "C" __global__ void draw(const float *log_probs, const double *uniforms, u32 *chosen, u32 rows, u32 v) {
    __shared__ double p[BLOCK];
    __shared__ u32 found;
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        const float *x = log_probs + (u64)row * v;
        double target = uniforms[row], sum = 0.0; // these and `last` are the first thread's
        u32 last = v;
        if (threadIdx.x == 0) found = 0;
        for (u32 again = 0; again < 2; again++) {
            for (u32 first = 0; first < v; first += BLOCK) {
                u32 mine = first + threadIdx.x;
                p[threadIdx.x] = mine < v ? exp((double)counted(x[mine])) : 0.0;
                __syncthreads();
                for (u32 i = 0; threadIdx.x == 0 && i < BLOCK && !found; i++) {
                    if (!(p[i] > 0.0)) continue;
                    sum += p[i];
                    last = first + i;
                    if (target < sum) found = 1;
                }
                __syncthreads();
                if (found) break;
            }
            if (found) break;
            target = (target - sum) / (1.0 - sum) * sum;
            sum = 0.0;
        }
        if (threadIdx.x == 0) choose(chosen, row, last, x[last < v ? last : 0]);
        __syncthreads(); // before the next row forgets what was found
    }
}
