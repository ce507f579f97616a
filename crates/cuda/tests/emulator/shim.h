// CUDA's words for a C++ compiler on the CPU, so that the kernels' arithmetic is tested where there is no GPU.
//
// A block's threads are coroutines (ucontext) of one real thread; a barrier is a switch back to the scheduler, which goes on
// when all threads of the block (or of the warp, for shuffles) have come there. Threads are taken in ascending or descending
// order, or one warp runs ahead of the others as far as it can: a kernel that lacks a barrier gives other numbers for another
// order, and the tests compare them. Blocks run one after another. Not here: memory spaces, alignment, register pressure, anything of speed.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __shared__ static

struct Index { unsigned x; };
static Index blockIdx, gridDim, threadIdx;

namespace emulator {
const unsigned THREADS = 256, WARP_SIZE = 32, STACK = 64 << 10;
enum State { Ready, AtBlock, AtWarp, Done };
static ucontext_t scheduler, threads[THREADS];
static State states[THREADS];
static uint64_t slots[THREADS];
static unsigned running;
static bool direct;
static void (*body)(void *);
static void *arguments;

static void wait(State state) {
    if (direct) {
        fprintf(stderr, "a barrier in a kernel that was taken for one without\n");
        abort();
    }
    unsigned me = running;
    states[me] = state;
    swapcontext(&threads[me], &scheduler);
    threadIdx.x = running = me;
}

static void enter() {
    body(arguments);
    states[running] = Done;
    swapcontext(&threads[running], &scheduler);
}

static bool release(unsigned from, unsigned to, State waiting) {
    for (unsigned t = from; t < to; t++)
        if (states[t] != waiting && states[t] != Done) return false;
    bool any = false;
    for (unsigned t = from; t < to; t++)
        if (states[t] == waiting) states[t] = Ready, any = true;
    return any;
}

// Threads that never wait need no coroutines, which are most of the time.
static void run_direct(int order) {
    for (unsigned k = 0; k < THREADS; k++) {
        threadIdx.x = running = order == 1 ? THREADS - 1 - k : k;
        body(arguments);
    }
}

// False if threads wait at different barriers for ever.
static bool run_block(int order) {
    static std::vector<char> stacks(THREADS * (size_t)STACK);
    for (unsigned t = 0; t < THREADS; t++) {
        getcontext(&threads[t]);
        threads[t].uc_stack.ss_sp = stacks.data() + t * (size_t)STACK;
        threads[t].uc_stack.ss_size = STACK;
        threads[t].uc_link = &scheduler;
        makecontext(&threads[t], enter, 0);
        states[t] = Ready;
    }
    auto resume = [](unsigned t) {
        if (states[t] != Ready) return false;
        threadIdx.x = running = t;
        swapcontext(&scheduler, &threads[t]);
        return true;
    };
    while (true) {
        bool moved = false;
        if (order < 2) {
            for (unsigned k = 0; k < THREADS; k++) moved |= resume(order == 0 ? k : THREADS - 1 - k);
        } else {
            for (unsigned w = 0; w < THREADS; w += WARP_SIZE)
                for (bool ahead = true; ahead;) {
                    ahead = false;
                    for (unsigned t = w; t < w + WARP_SIZE; t++) ahead |= resume(t);
                    ahead |= release(w, w + WARP_SIZE, AtWarp);
                    moved |= ahead;
                }
        }
        bool all_done = true;
        for (unsigned t = 0; t < THREADS; t++) all_done &= states[t] == Done;
        if (all_done) return true;
        for (unsigned w = 0; w < THREADS; w += WARP_SIZE) moved |= release(w, w + WARP_SIZE, AtWarp);
        moved |= release(0, THREADS, AtBlock);
        if (!moved) return false;
    }
}

template <class... A, size_t... I> static void call(void (*kernel)(A...), void **values, std::index_sequence<I...>) {
    kernel(*(A *)values[I]...);
}
template <class... A> struct Launch {
    void (*kernel)(A...);
    void **values;
};

// 0, or what is wrong: 1 the number of arguments, 2 the size of one, 3 a barrier that not all threads reach.
template <class... A>
static int launch(void (*kernel)(A...), bool barriers, unsigned grid, void **values, const unsigned *sizes, unsigned count,
                  int order) {
    if (count != sizeof...(A)) return 1;
    const unsigned wanted[] = {(unsigned)sizeof(A)...};
    for (unsigned i = 0; i < count; i++)
        if (wanted[i] != sizes[i]) return 2;
    static Launch<A...> now;
    now = {kernel, values};
    arguments = &now;
    body = [](void *p) {
        auto *l = (Launch<A...> *)p;
        call(l->kernel, l->values, std::index_sequence_for<A...>());
    };
    gridDim.x = grid;
    for (unsigned b = 0; b < grid; b++) {
        blockIdx.x = b;
        direct = !barriers;
        if (direct) run_direct(order);
        else if (!run_block(order)) return 3;
    }
    return 0;
}
} // namespace emulator

static void __syncthreads() { emulator::wait(emulator::AtBlock); }

template <class T> static T __shfl_xor_sync(unsigned, T value, int lane) {
    unsigned me = threadIdx.x;
    memcpy(&emulator::slots[me], &value, sizeof(T));
    emulator::wait(emulator::AtWarp);
    T other;
    memcpy(&other, &emulator::slots[me ^ lane], sizeof(T));
    emulator::wait(emulator::AtWarp); // before the next shuffle writes
    return other;
}

static unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define EMULATE(name, barriers)                                                                                            \
    extern "C" int emulate_##name(unsigned grid, void **values, const unsigned *sizes, unsigned count, int order) {        \
        return emulator::launch(name, barriers, grid, values, sizes, count, order);                                        \
    }
