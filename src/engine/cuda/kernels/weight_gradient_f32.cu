// weight_gradient.cu in f32 on ordinary cores, for comparison: same operands,
// all of them f32. A block of 256 threads makes 64 × 64, 16 rows at a time.
#include "device.cuh"

constexpr int SIDE = 64, DEPTH = 16, STRIDE = SIDE + 4;

KERNEL LAUNCH_BOUNDS(256, 2)
weight_gradient_f32(const float *dy, const float *x, const float *factors, float *parts,
                    const int *images, int pixels, int n, int k, int splits) {
    SHARED(float, a, DEPTH * STRIDE);
    SHARED(float, b, DEPTH * STRIDE);
    const int tiles = (k + SIDE - 1) / SIDE;
    const int split = blockIdx.x % splits, tile = blockIdx.x / splits;
    const int n0 = tile / tiles * SIDE, k0 = tile % tiles * SIDE;
    const long long m = (long long)*images * pixels;
    const long long all = (m + DEPTH - 1) / DEPTH;
    const long long first = all * split / splits, last = all * (split + 1) / splits;
    const int thread = threadIdx.x, down = thread / 16 * 4, across = thread % 16 * 4;
    float sums[4][4] = {};
    for (long long step = first; step < last; ++step) {
        for (int i = thread; i < DEPTH * SIDE; i += 256) {
            const int column = i % SIDE, row = i / SIDE;
            const long long at = step * DEPTH + row;
            a[row * STRIDE + column] = at < m && n0 + column < n ? dy[at * n + n0 + column] : 0.0f;
            float value = 0.0f;
            if (at < m && k0 + column < k) {
                value = x[at * k + k0 + column];
                if (factors) value *= factors[at / pixels * k + k0 + column];
            }
            b[row * STRIDE + column] = value;
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; ++depth) {
            float left[4], right[4];
            load_floats<4>(a + depth * STRIDE + down, left);
            load_floats<4>(b + depth * STRIDE + across, right);
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }
    float *const to = parts + (long long)split * n * k;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (n0 + down + i < n && k0 + across + j < k)
                to[(long long)(n0 + down + i) * k + k0 + across + j] = sums[i][j];
}
