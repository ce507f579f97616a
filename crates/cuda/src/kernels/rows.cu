// Rows of a table by number, and the sum of their gradients; dropout masks.

// picked (n, width) = rows `indices` of table.
extern "C" __global__ void gather(const float *table, const u32 *indices, float *picked, u32 n, u32 width) {
    EACH(i, (u64)n * width) picked[i] = table[(u64)indices[i / width] * width + i % width];
}

// sums (rows, width): row r is the sum of the gradient's rows order[starts[r] .. starts[r + 1]], in that order; rows that
// were never picked become 0. A block takes a row.
extern "C" __global__ void scatter_add(const float *gradient, const u32 *order, const u32 *starts, float *sums, u32 rows,
                                       u32 width) {
    for (u32 row = blockIdx.x; row < rows; row += gridDim.x) {
        u32 first = starts[row], end = starts[row + 1];
        for (u32 col = threadIdx.x; col < width; col += BLOCK) {
            float sum = 0.0f;
            for (u32 k = first; k < end; k++) sum += gradient[(u64)order[k] * width + col];
            sums[(u64)row * width + col] = sum;
        }
    }
}

// Philox4x32-10 (Salmon et al. 2011), the bits of `tensor::random`.
static __device__ void philox(u32 c[4], u32 k0, u32 k1) {
    for (int round = 0; round < 10; round++) {
        u64 p0 = (u64)c[0] * 0xD2511F53u, p1 = (u64)c[2] * 0xCD9E8D57u;
        u32 next0 = (u32)(p1 >> 32) ^ c[1] ^ k0, next2 = (u32)(p0 >> 32) ^ c[3] ^ k1;
        c[0] = next0, c[1] = (u32)p1, c[2] = next2, c[3] = (u32)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
}

// 0 where the unit's 32 random bits are below `threshold`, `keep` elsewhere. A thread makes four units.
extern "C" __global__ void dropout_mask(float *mask, u64 n, u64 seed, u64 stream, u64 threshold, float keep) {
    EACH(block, (n + 3) / 4) {
        u32 words[4] = {(u32)block, (u32)(block >> 32), (u32)stream, (u32)(stream >> 32)};
        philox(words, (u32)seed, (u32)(seed >> 32));
        for (u32 k = 0; k < 4 && 4 * block + k < n; k++) mask[4 * block + k] = words[k] < threshold ? 0.0f : keep;
    }
}
