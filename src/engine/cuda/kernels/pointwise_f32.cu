// The product of pointwise.cu in f32 on ordinary cores, for comparison: same
// operands, all of them f32, same epilogue.
//
// A block of 256 threads makes 64 × 64, a thread 4 × 4 of it; 16 of k at a time
// pass through shared memory. 33 TFLOP/s at best on an H100.
#include "device.cuh"

constexpr int SIDE = 64, DEPTH = 16, STRIDE = SIDE + 4;

KERNEL LAUNCH_BOUNDS(256, 2)
pointwise_f32(const float *input, const float *weights, const float *bias, const float *factors,
              const float *residual, float *output, const int *images, int pixels, int n, int k,
              int activate) {
    SHARED(float, a, DEPTH * STRIDE);
    SHARED(float, b, DEPTH * STRIDE);
    const int tiles = (n + SIDE - 1) / SIDE;
    const long long row0 = (long long)(blockIdx.x / tiles) * SIDE;
    const int column0 = (int)(blockIdx.x % tiles) * SIDE;
    const long long m = (long long)*images * pixels;
    if (row0 >= m) return;
    const int thread = threadIdx.x, down = thread / 16 * 4, across = thread % 16 * 4;
    float sums[4][4] = {};
    for (int depth0 = 0; depth0 < k; depth0 += DEPTH) {
        for (int i = thread; i < SIDE * DEPTH; i += 256) {
            const int at = i / DEPTH, depth = depth0 + i % DEPTH;
            const long long row = row0 + at;
            float value = 0.0f;
            if (row < m && depth < k) {
                value = input[row * k + depth];
                if (factors) value *= factors[row / pixels * k + depth];
            }
            a[i % DEPTH * STRIDE + at] = value;
            const int column = column0 + at;
            b[i % DEPTH * STRIDE + at] =
                column < n && depth < k ? weights[(long long)column * k + depth] : 0.0f;
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
    const int column = column0 + across;
    if (column >= n) return;
    float offset[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (bias) load_floats<4>(bias + column, offset);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const long long row = row0 + down + i;
        if (row >= m) continue;
        float before[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (residual) load_floats<4>(residual + row * n + column, before);
        float value[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            value[j] = sums[i][j] + offset[j] + before[j];
            if (activate) value[j] = silu(value[j]);
        }
        store<4>(output + row * n + column, value);
    }
}
