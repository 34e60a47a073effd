// Backward through squeeze and excite, and the sums that the batch norm before
// it needs, in one pass over the activations.
//
// `gate_sums` reads the gradient `da` at the gated activation and the norm's
// input x, and writes five sums over the pixels of a tile: with u = bn(x) and
// s' the slope of the SiLU, Σ da silu(u) is the gate's gradient; Σ da s',
// Σ s', Σ da s' x̂ and Σ s' x̂ make the norm's sums once gate and pooled gradient
// are known, since dz = (da gate + constant) s'.
//
//   da, x    [images][pixels][channels]
//   sums     [images × tiles][5][channels]   f32
//   d_gate   [images][channels]              f32, at the sigmoid's argument
//   d_hidden [images][squeezed]              f32, at the SiLU's argument
//   constant [images][channels]              f32, gradient at each pixel
//   parts    [images][2][channels]           f32, for norm_backward_finish
#include "device.cuh"

constexpr int CHANNELS = 4, SUMS = 5;

// Shared memory: blockDim.y × blockDim.x × 16 bytes.
KERNEL LAUNCH_BOUNDS(256, 3)
gate_sums(const element *da, const element *x, const float *vectors, float *sums,
          const int *images, int pixels, int channels, int rows, int tiles) {
    DYNAMIC_SHARED(memory);
    float *const shared = reinterpret_cast<float *>(memory);
    const int image = (int)(blockIdx.x / tiles), tile = (int)(blockIdx.x % tiles);
    if (image >= *images) return;
    const int wide = blockDim.x * CHANNELS, own = threadIdx.x * CHANNELS;
    const int channel = blockIdx.y * wide + own;
    float scale[CHANNELS], shift[CHANNELS], rstd[CHANNELS], offset[CHANNELS];
    load_floats<CHANNELS>(vectors + channel, scale);
    load_floats<CHANNELS>(vectors + channels + channel, shift);
    load_floats<CHANNELS>(vectors + 2 * channels + channel, rstd);
    load_floats<CHANNELS>(vectors + 3 * channels + channel, offset);
    float sum[SUMS][CHANNELS] = {};
    const int last = min((tile + 1) * rows, pixels);
    for (int p = tile * rows + threadIdx.y; p < last; p += blockDim.y) {
        const long long at = ((long long)image * pixels + p) * channels + channel;
        float g[CHANNELS], value[CHANNELS];
        load<CHANNELS>(da + at, g);
        load<CHANNELS>(x + at, value);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            const float u = value[c] * scale[c] + shift[c], s = sigmoid(u);
            const float slope = s + u * s * (1.0f - s);
            const float hat = value[c] * rstd[c] + offset[c];
            sum[0][c] += g[c] * u * s;
            sum[1][c] += g[c] * slope;
            sum[2][c] += slope;
            sum[3][c] += g[c] * slope * hat;
            sum[4][c] += slope * hat;
        }
    }
#pragma unroll
    for (int i = 0; i < SUMS; ++i) {
        __syncthreads();
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) shared[threadIdx.y * wide + own + c] = sum[i][c];
        __syncthreads();
        if (threadIdx.y == 0) {
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) {
                float total = 0.0f;
                for (int y = 0; y < (int)blockDim.y; ++y) total += shared[y * wide + own + c];
                sums[((long long)blockIdx.x * SUMS + i) * channels + channel + c] = total;
            }
        }
    }
}

// A block an image. reduce [squeezed][channels]; expand [squeezed][channels],
// transposed. Shared memory: (channels + squeezed) × 4 bytes.
KERNEL LAUNCH_BOUNDS(256, 4)
squeeze_excite_backward(const float *sums, const float *gates, const float *before,
                        const float *reduce, const float *expand, float *d_gate, float *d_hidden,
                        float *hidden, float *constant, float *parts, const int *images,
                        int channels, int squeezed, int tiles, float inverse_pixels) {
    DYNAMIC_SHARED(memory);
    float *const gate_slope = reinterpret_cast<float *>(memory);
    float *const hidden_slope = gate_slope + channels;
    const int image = blockIdx.x, thread = threadIdx.x;
    if (image >= *images) return;
    const float *const own = sums + (long long)image * tiles * SUMS * channels;
    const long long row = (long long)image * channels;
    for (int c = thread; c < channels; c += blockDim.x) {
        float sum = 0.0f;
        for (int t = 0; t < tiles; ++t) sum += own[(long long)t * SUMS * channels + c];
        const float gate = gates[row + c];
        gate_slope[c] = sum * gate * (1.0f - gate);
        d_gate[row + c] = gate_slope[c];
    }
    __syncthreads();
    const int lane = thread % 32, warps = blockDim.x / 32;
    for (int s = thread / 32; s < squeezed; s += warps) {
        float sum = 0.0f;
        for (int c = lane; c < channels; c += 32)
            sum += expand[(long long)s * channels + c] * gate_slope[c];
        sum = warp_sum(sum);
        if (lane == 0) {
            const float z = before[(long long)image * squeezed + s];
            hidden_slope[s] = sum * silu_slope(z);
            d_hidden[(long long)image * squeezed + s] = hidden_slope[s];
            hidden[(long long)image * squeezed + s] = silu(z);
        }
    }
    __syncthreads();
    for (int c = thread; c < channels; c += blockDim.x) {
        float pooled = 0.0f;
        for (int s = 0; s < squeezed; ++s)
            pooled += reduce[(long long)s * channels + c] * hidden_slope[s];
        pooled *= inverse_pixels;
        constant[row + c] = pooled;
        float total[SUMS] = {};
        for (int t = 0; t < tiles; ++t)
#pragma unroll
            for (int i = 1; i < SUMS; ++i)
                total[i] += own[((long long)t * SUMS + i) * channels + c];
        const float gate = gates[row + c];
        parts[2 * row + c] = total[1] * gate + total[2] * pooled;
        parts[2 * row + channels + c] = total[3] * gate + total[4] * pooled;
    }
}
