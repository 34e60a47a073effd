// The weights' gradient of a 1×1 convolution on tensor cores: a product that
// sums over all pixels of the batch.
//
//   dy      [m][n]         bf16, m = images × pixels
//   x       [m][k]         bf16, times `factors` [images][k] where given
//   parts   [splits][n][k] f32; sum_parts adds them up
//
// Moved: both operands once for each 64 × 64 tile of the result, 2 m (n ⌈k/64⌉
// + k ⌈n/64⌉) bytes, mostly out of L2. The sum is cut into `splits` ranges of
// rows so that there are blocks for all of the GPU; they are added in order.
//
// A block of 4 warps makes 64 × 64, a warp 32 × 32; 32 rows at a time pass
// through three buffers filled by cp.async. Both operands are transposed as
// ldmatrix reads them. Rows are padded to 144 bytes: no bank conflicts.
#include "device.cuh"

constexpr int SIDE = 64, DEPTH = 32, STAGES = 3, THREADS = 128, STRIDE = SIDE + 8;
constexpr int STAGE = 2 * DEPTH * STRIDE;

// Shared memory: 3 × 2 × 32 × 144 = 27,648 bytes.
KERNEL LAUNCH_BOUNDS(THREADS, 4)
weight_gradient(const bf16 *dy, const bf16 *x, const float *factors, float *parts,
                const int *images, int pixels, int n, int k, int splits) {
    DYNAMIC_SHARED(memory);
    bf16 *const buffers = reinterpret_cast<bf16 *>(memory);
    const int tiles = (k + SIDE - 1) / SIDE;
    const int split = blockIdx.x % splits, tile = blockIdx.x / splits;
    const int n0 = tile / tiles * SIDE, k0 = tile % tiles * SIDE;
    const long long m = (long long)*images * pixels;
    // Ranges of whole steps, as equal as can be.
    const long long all = (m + DEPTH - 1) / DEPTH;
    const long long first = all * split / splits, last = all * (split + 1) / splits;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int warp_n = warp / 2 * 32, warp_k = warp % 2 * 32;

    const auto fetch = [&](long long step) {
        bf16 *const buffer = buffers + step % STAGES * STAGE;
        for (int i = thread; i < 2 * DEPTH * (SIDE / 8); i += THREADS) {
            const int row = i / (SIDE / 8), piece = i % (SIDE / 8) * 8;
            const bool is_dy = row < DEPTH;
            const long long at = step * DEPTH + row % DEPTH;
            const int column = (is_dy ? n0 : k0) + piece, columns = is_dy ? n : k;
            const bool valid = at < m && column < columns;
            const bf16 *const from = is_dy ? dy : x;
            copy_async(buffer + row * STRIDE + piece, valid ? from + at * columns + column : from,
                       valid);
        }
    };
    // Each thread multiplies what it has fetched itself.
    const auto scale = [&](long long step) {
        bf16 *const buffer = buffers + step % STAGES * STAGE;
        for (int i = thread; i < 2 * DEPTH * (SIDE / 8); i += THREADS) {
            const int row = i / (SIDE / 8), piece = i % (SIDE / 8) * 8;
            const long long at = step * DEPTH + row % DEPTH;
            if (row < DEPTH || at >= m || k0 + piece >= k) continue;
            float value[8], factor[8];
            load<8>(buffer + row * STRIDE + piece, value);
            load_floats<8>(factors + at / pixels * k + k0 + piece, factor);
#pragma unroll
            for (int j = 0; j < 8; ++j) value[j] *= factor[j];
            store<8>(buffer + row * STRIDE + piece, value);
        }
    };

    float sums[2][4][4] = {};
#pragma unroll
    for (int step = 0; step < STAGES - 1; ++step) {
        if (first + step < last) fetch(first + step);
        copy_async_commit();
    }
    for (long long step = first; step < last; ++step) {
        copy_async_wait<STAGES - 2>();
        if (factors) scale(step);
        __syncthreads();
        if (step + STAGES - 1 < last) fetch(step + STAGES - 1);
        copy_async_commit();
        const bf16 *const a = buffers + step % STAGES * STAGE;
        const bf16 *const b = a + DEPTH * STRIDE;
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 16) {
            word left[2][4], right[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i)
                load_matrices_transposed(left[i],
                                         a + (depth + lane % 8 + lane / 16 * 8) * STRIDE + warp_n +
                                             i * 16 + lane / 8 % 2 * 8);
#pragma unroll
            for (int j = 0; j < 2; ++j)
                load_matrices_transposed(right[j],
                                         b + (depth + lane % 8 + lane / 8 % 2 * 8) * STRIDE +
                                             warp_k + j * 16 + lane / 16 * 8);
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    multiply_add(sums[i][j], left[i], right[j / 2][j % 2 * 2],
                                 right[j / 2][j % 2 * 2 + 1]);
        }
    }
    copy_async_wait<0>();
    float *const to = parts + (long long)split * n * k;
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int row = n0 + warp_n + i * 16 + half * 8 + lane / 4;
                const int column = k0 + warp_k + j * 8 + lane % 4 * 2;
                if (row < n && column < k) {
                    to[(long long)row * k + column] = sums[i][j][half * 2];
                    to[(long long)row * k + column + 1] = sums[i][j][half * 2 + 1];
                }
            }
}
