// 1×1 convolutions as a matrix product on tensor cores, with all that can be
// done on the way: bias, SiLU, the residual, and the factors of squeeze and
// excite, which multiply the input.
//
//   input    [m][k]        bf16, m = images × pixels
//   weights  [n][k]        bf16
//   bias     [n]           f32, or null
//   factors  [images][k]   f32, or null
//   residual [m][n]        bf16, or null; added after the bias
//   output   [m][n]        bf16
//
// k and n are multiples of 8. Moved: 2 m k + 2 m n bytes and, with a residual,
// 2 m n more; weights stay in L2. Arithmetic is 2 m n k; up to k = n = 1,280
// memory is the bound on an H100 for all of EfficientNet's shapes.
//
// A block makes a tile of 128 rows and COLUMNS columns; blocks of the same
// rows run one after the other, so the input comes from DRAM once. 32 of k at a
// time pass through STAGES buffers filled by cp.async. Rows of the buffers are
// padded to 80 bytes: eight consecutive ones lie in different banks. The tile
// leaves through shared memory in pieces of 16 bytes, where the residual has
// been put before.
#include "device.cuh"

constexpr int ROWS = 128, DEPTH = 32, STAGES = 3, THREADS = 256, STRIDE = DEPTH + 8;

template <int COLUMNS, int WARPS_DOWN>
DEVICE void pointwise(const bf16 *input, const bf16 *weights, const float *bias,
                      const float *factors, const bf16 *residual, bf16 *output, const int *images,
                      int pixels, int n, int k, int activate) {
    constexpr int WARPS_ACROSS = 8 / WARPS_DOWN;
    constexpr int TILE_ROWS = ROWS / WARPS_DOWN, TILE_COLUMNS = COLUMNS / WARPS_ACROSS;
    constexpr int M = TILE_ROWS / 16, N = TILE_COLUMNS / 8;
    constexpr int STAGE = (ROWS + COLUMNS) * STRIDE, OUT_STRIDE = COLUMNS + 8;
    static_assert(N % 2 == 0, "columns are loaded 16 at a time");
    DYNAMIC_SHARED(memory);
    bf16 *const buffers = reinterpret_cast<bf16 *>(memory);

    const int tiles = (n + COLUMNS - 1) / COLUMNS;
    const long long row0 = (long long)(blockIdx.x / tiles) * ROWS;
    const int column0 = (int)(blockIdx.x % tiles) * COLUMNS;
    const long long m = (long long)*images * pixels;
    if (row0 >= m) return;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int warp_row = warp / WARPS_ACROSS * TILE_ROWS;
    const int warp_column = warp % WARPS_ACROSS * TILE_COLUMNS;
    const int steps = (k + DEPTH - 1) / DEPTH;

    // A thread copies the same piece of every SPAN-th row, of 8 elements.
    constexpr int SPAN = THREADS / (DEPTH / 8);
    constexpr int A = ROWS / SPAN, B = (COLUMNS + SPAN - 1) / SPAN;
    const int own_row = thread / (DEPTH / 8), piece = thread % (DEPTH / 8) * 8;
    const bf16 *from_a[A], *from_b[B];
    bool valid_a[A], valid_b[B];
    int factor_row[A] = {};
#pragma unroll
    for (int j = 0; j < A; ++j) {
        const long long row = row0 + own_row + j * SPAN;
        valid_a[j] = row < m;
        from_a[j] = valid_a[j] ? input + row * k + piece : input;
        // There are fewer than 2³² rows: their input would be 64 GiB.
        if (factors) factor_row[j] = (int)((word)row / (word)pixels) * k + piece;
    }
#pragma unroll
    for (int j = 0; j < B; ++j) {
        const int row = own_row + j * SPAN;
        valid_b[j] = row < COLUMNS && column0 + row < n;
        from_b[j] = valid_b[j] ? weights + (long long)(column0 + row) * k + piece : weights;
    }
    const auto fetch = [&](int step) {
        bf16 *const buffer = buffers + step % STAGES * STAGE + own_row * STRIDE + piece;
        const bool inside = step * DEPTH + piece < k;
#pragma unroll
        for (int j = 0; j < A; ++j) {
            const bool valid = valid_a[j] && inside;
            copy_async(buffer + j * SPAN * STRIDE, valid ? from_a[j] + step * DEPTH : input, valid);
        }
#pragma unroll
        for (int j = 0; j < B; ++j) {
            if (COLUMNS % SPAN && own_row + j * SPAN >= COLUMNS) continue;
            const bool valid = valid_b[j] && inside;
            copy_async(buffer + (ROWS + j * SPAN) * STRIDE,
                       valid ? from_b[j] + step * DEPTH : weights, valid);
        }
    };
    // Each thread multiplies the pieces that it has fetched itself, so no
    // barrier is needed in between.
    const auto scale = [&](int step) {
        if (step * DEPTH + piece >= k) return;
        bf16 *const buffer = buffers + step % STAGES * STAGE + own_row * STRIDE + piece;
#pragma unroll
        for (int j = 0; j < A; ++j) {
            if (!valid_a[j]) continue;
            bf16 *const at = buffer + j * SPAN * STRIDE;
            float value[8], factor[8];
            load<8>(at, value);
            load_floats<8>(factors + factor_row[j] + step * DEPTH, factor);
#pragma unroll
            for (int i = 0; i < 8; ++i) value[i] *= factor[i];
            store<8>(at, value);
        }
    };

    float sums[M][N][4];
#pragma unroll
    for (int i = 0; i < M; ++i)
#pragma unroll
        for (int j = 0; j < N; ++j)
#pragma unroll
            for (int l = 0; l < 4; ++l) sums[i][j][l] = 0.0f;

#pragma unroll
    for (int step = 0; step < STAGES - 1; ++step) {
        if (step < steps) fetch(step);
        copy_async_commit();
    }
    for (int step = 0; step < steps; ++step) {
        copy_async_wait<STAGES - 2>();
        if (factors) scale(step);
        __syncthreads();
        // The buffer read in the step before is free now.
        if (step + STAGES - 1 < steps) fetch(step + STAGES - 1);
        copy_async_commit();
        const bf16 *const a = buffers + step % STAGES * STAGE;
        const bf16 *const b = a + ROWS * STRIDE;
#pragma unroll
        for (int depth = 0; depth < DEPTH; depth += 16) {
            word left[M][4], right[N / 2][4];
#pragma unroll
            for (int i = 0; i < M; ++i)
                load_matrices(left[i], a + (warp_row + i * 16 + lane % 16) * STRIDE + depth +
                                           lane / 16 * 8);
            // Matrices: columns 0–7 at depth 0 and 8, columns 8–15 at 0 and 8.
#pragma unroll
            for (int j = 0; j < N / 2; ++j)
                load_matrices(right[j],
                              b + (warp_column + j * 16 + lane / 16 * 8 + lane % 8) * STRIDE +
                                  depth + lane / 8 % 2 * 8);
#pragma unroll
            for (int i = 0; i < M; ++i)
#pragma unroll
                for (int j = 0; j < N; ++j)
                    multiply_add(sums[i][j], left[i], right[j / 2][j % 2 * 2],
                                 right[j / 2][j % 2 * 2 + 1]);
        }
    }
    copy_async_wait<0>();
    __syncthreads();

    bf16 *const tile = buffers;
    constexpr int PIECES = COLUMNS / 8;
    if (residual) {
        for (int i = thread; i < ROWS * PIECES; i += THREADS) {
            const long long row = row0 + i / PIECES;
            const int column = column0 + i % PIECES * 8;
            if (row < m && column < n)
                *reinterpret_cast<Pack<bf16, 8> *>(tile + i / PIECES * OUT_STRIDE +
                                                   i % PIECES * 8) =
                    *reinterpret_cast<const Pack<bf16, 8> *>(residual + row * n + column);
        }
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < N; ++j) {
        const int column = warp_column + j * 8 + lane % 4 * 2;
        float offset[2] = {0.0f, 0.0f};
        if (bias && column0 + column < n) load_floats<2>(bias + column0 + column, offset);
#pragma unroll
        for (int i = 0; i < M; ++i)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int row = warp_row + i * 16 + half * 8 + lane / 4;
                bf16 *const at = tile + row * OUT_STRIDE + column;
                float value[2] = {sums[i][j][half * 2] + offset[0],
                                  sums[i][j][half * 2 + 1] + offset[1]};
                if (residual) {
                    float before[2];
                    load<2>(at, before);
                    value[0] += before[0];
                    value[1] += before[1];
                }
                if (activate) {
                    value[0] = silu(value[0]);
                    value[1] = silu(value[1]);
                }
                store<2>(at, value);
            }
    }
    __syncthreads();
    for (int i = thread; i < ROWS * PIECES; i += THREADS) {
        const long long row = row0 + i / PIECES;
        const int column = column0 + i % PIECES * 8;
        if (row < m && column < n)
            *reinterpret_cast<Pack<bf16, 8> *>(output + row * n + column) =
                *reinterpret_cast<const Pack<bf16, 8> *>(tile + i / PIECES * OUT_STRIDE +
                                                         i % PIECES * 8);
    }
}

// Shared memory: 3 × (128 + COLUMNS) × 80 bytes, which also holds the tile.
#define POINTWISE(COLUMNS, WARPS_DOWN)                                                           \
    KERNEL LAUNCH_BOUNDS(THREADS, 2)                                                             \
    pointwise_##COLUMNS(const bf16 *input, const bf16 *weights, const float *bias,               \
                        const float *factors, const bf16 *residual, bf16 *output,                \
                        const int *images, int pixels, int n, int k, int activate) {             \
        pointwise<COLUMNS, WARPS_DOWN>(input, weights, bias, factors, residual, output, images,  \
                                       pixels, n, k, activate);                                  \
    }

POINTWISE(16, 8)
POINTWISE(32, 8)
POINTWISE(64, 4)
POINTWISE(96, 4)
POINTWISE(128, 4)
