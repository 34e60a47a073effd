// Batch norm while training: statistics, the affine map, and the gradient
// through it and the SiLU behind it.
//
//   x        [images][pixels][channels]   before the norm
//   vectors  [4][channels]                f32: scale, shift (bn(x) = x scale +
//                                         shift), rstd, offset (x̂ = x rstd + offset)
//   slopes   [3][channels]                f32: dx = dz c0 + x c1 + c2
//   parts    [images × tiles][2][channels]   f32, partial sums
//
// Blocks take `rows` pixels of an image for a range of channels, 4 a thread;
// neighbours in x are neighbours in channels. Partial sums are added up in a
// fixed order and in f64, so results depend on the batch alone.
//
// Moved: moments reads x; apply reads x (and a residual) and writes y;
// backward_sums reads the gradient and x; backward reads both and writes dx.
#include "device.cuh"

constexpr int CHANNELS = 4;

struct Place {
    int image, tile, channel, own, wide;
};

DEVICE Place place(int tiles) {
    Place at;
    at.image = (int)(blockIdx.x / tiles);
    at.tile = (int)(blockIdx.x % tiles);
    at.wide = blockDim.x * CHANNELS;
    at.own = threadIdx.x * CHANNELS;
    at.channel = blockIdx.y * at.wide + at.own;
    return at;
}

// Adds two sums a channel over the threads of a block, in order, and writes
// them to this block's part.
DEVICE void finish_parts(float *shared, const Place &at, const float (&first)[CHANNELS],
                         const float (&second)[CHANNELS], float *parts, int channels) {
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
        shared[(threadIdx.y * 2) * at.wide + at.own + c] = first[c];
        shared[(threadIdx.y * 2 + 1) * at.wide + at.own + c] = second[c];
    }
    __syncthreads();
    if (threadIdx.y > 1) return;
    float *const to = parts + ((long long)blockIdx.x * 2 + threadIdx.y) * channels + at.channel;
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
        float sum = 0.0f;
        for (int y = 0; y < (int)blockDim.y; ++y)
            sum += shared[(y * 2 + threadIdx.y) * at.wide + at.own + c];
        to[c] = sum;
    }
}

// Sums of x − k and of its square, where k is the first row: near the mean, so
// that little cancels. Shared memory: blockDim.y × 2 × blockDim.x × 16 bytes.
KERNEL LAUNCH_BOUNDS(256, 4)
norm_moments(const element *x, float *parts, const int *images, int pixels, int channels, int rows,
             int tiles) {
    DYNAMIC_SHARED(memory);
    const Place at = place(tiles);
    if (at.image >= *images) return;
    float base[CHANNELS], sum[CHANNELS] = {}, square[CHANNELS] = {};
    load<CHANNELS>(x + at.channel, base);
    const int last = min((at.tile + 1) * rows, pixels);
    for (int p = at.tile * rows + threadIdx.y; p < last; p += blockDim.y) {
        float value[CHANNELS];
        load<CHANNELS>(x + ((long long)at.image * pixels + p) * channels + at.channel, value);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            const float d = value[c] - base[c];
            sum[c] += d;
            square[c] += d * d;
        }
    }
    finish_parts(reinterpret_cast<float *>(memory), at, sum, square, parts, channels);
}

// Threads of a channel in the kernels that add up the parts of 32 of them.
constexpr int DOWN = 32;

// The two sums of a channel over all live parts, in f64, always in the same
// order. `true` in the thread that holds them. There are few such blocks, so
// each has many threads, and several loads under way in each.
DEVICE bool add_parts(double *shared, const float *parts, int count, int channels, int channel,
                      double (&sums)[2]) {
    const int x = threadIdx.x % 32, y = threadIdx.x / 32;
    sums[0] = sums[1] = 0.0;
    if (channel < channels) {
#pragma unroll 8
        for (int part = y; part < count; part += DOWN) {
            const float *const from = parts + (long long)part * 2 * channels + channel;
            sums[0] += (double)from[0];
            sums[1] += (double)from[channels];
        }
    }
    shared[(y * 2) * 32 + x] = sums[0];
    shared[(y * 2 + 1) * 32 + x] = sums[1];
    __syncthreads();
    if (y > 0 || channel >= channels) return false;
    for (int i = 1; i < DOWN; ++i) {
        sums[0] += shared[(i * 2) * 32 + x];
        sums[1] += shared[(i * 2 + 1) * 32 + x];
    }
    return true;
}

// Statistics from the parts, or the running ones; the map that they make; and
// the running ones moved as PyTorch does.
KERNEL LAUNCH_BOUNDS(32 * DOWN, 1)
norm_finish(const float *parts, const element *x, const float *gamma, const float *beta,
            float *running_mean, float *running_var, float *vectors, const int *images, int pixels,
            int channels, int tiles, float momentum, float eps, int training) {
    SHARED(double, shared, DOWN * 2 * 32);
    const int channel = blockIdx.x * 32 + threadIdx.x % 32;
    double mean, variance;
    if (training) {
        double sums[2];
        if (!add_parts(shared, parts, *images * tiles, channels, channel, sums)) return;
        const double count = (double)*images * pixels;
        const double shift = sums[0] / count;
        mean = (double)to_float(x[channel]) + shift;
        variance = sums[1] / count - shift * shift;
        if (variance < 0.0) variance = 0.0;
        const double unbiased = variance * count / (count > 1.0 ? count - 1.0 : 1.0);
        running_mean[channel] =
            (float)((double)running_mean[channel] * (1.0 - momentum) + mean * momentum);
        running_var[channel] =
            (float)((double)running_var[channel] * (1.0 - momentum) + unbiased * momentum);
    } else {
        if (threadIdx.x >= 32 || channel >= channels) return;
        mean = running_mean[channel];
        variance = running_var[channel];
    }
    const double inverse = 1.0 / sqrt(variance + (double)eps);
    const double scale = (double)gamma[channel] * inverse;
    vectors[channel] = (float)scale;
    vectors[channels + channel] = (float)((double)beta[channel] - mean * scale);
    vectors[2 * channels + channel] = (float)inverse;
    vectors[3 * channels + channel] = (float)(-mean * inverse);
}

// y = [silu] (x scale + shift) [+ residual], and the sums of y over the pixels
// of a tile. Shared memory: blockDim.y × blockDim.x × 16 bytes.
KERNEL LAUNCH_BOUNDS(256, 4)
norm_apply(const element *x, const float *vectors, const element *residual, element *y,
           float *sums, const int *images, int pixels, int channels, int rows, int tiles,
           int activate) {
    DYNAMIC_SHARED(memory);
    float *const shared = reinterpret_cast<float *>(memory);
    const Place at = place(tiles);
    if (at.image >= *images) return;
    float scale[CHANNELS], shift[CHANNELS], total[CHANNELS] = {};
    load_floats<CHANNELS>(vectors + at.channel, scale);
    load_floats<CHANNELS>(vectors + channels + at.channel, shift);
    const int last = min((at.tile + 1) * rows, pixels);
    for (int p = at.tile * rows + threadIdx.y; p < last; p += blockDim.y) {
        const long long offset = ((long long)at.image * pixels + p) * channels + at.channel;
        float value[CHANNELS], before[CHANNELS] = {};
        load<CHANNELS>(x + offset, value);
        if (residual) load<CHANNELS>(residual + offset, before);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            value[c] = value[c] * scale[c] + shift[c];
            if (activate) value[c] = silu(value[c]);
            value[c] += before[c];
            total[c] += value[c];
        }
        if (y) store<CHANNELS>(y + offset, value);
    }
    if (!sums) return;
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) shared[threadIdx.y * at.wide + at.own + c] = total[c];
    __syncthreads();
    if (threadIdx.y > 0) return;
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
        float sum = 0.0f;
        for (int i = 0; i < (int)blockDim.y; ++i) sum += shared[i * at.wide + at.own + c];
        sums[(long long)blockIdx.x * channels + at.channel + c] = sum;
    }
}

// The gradient at the norm's output: `gradient` times `factors` of the image,
// plus `constant` of the image, each where given, and through the SiLU.
struct Through {
    float scale[CHANNELS], shift[CHANNELS], rstd[CHANNELS], offset[CHANNELS];
    float factor[CHANNELS], constant[CHANNELS];

    DEVICE void begin(const float *vectors, const float *factors, const float *constants,
                      const Place &at, int channels) {
        load_floats<CHANNELS>(vectors + at.channel, scale);
        load_floats<CHANNELS>(vectors + channels + at.channel, shift);
        load_floats<CHANNELS>(vectors + 2 * channels + at.channel, rstd);
        load_floats<CHANNELS>(vectors + 3 * channels + at.channel, offset);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            factor[c] = 1.0f;
            constant[c] = 0.0f;
        }
        const long long row = (long long)at.image * channels + at.channel;
        if (factors) load_floats<CHANNELS>(factors + row, factor);
        if (constants) load_floats<CHANNELS>(constants + row, constant);
    }

    DEVICE float slope(float gradient, float x, int c, int activate) const {
        const float dz = gradient * factor[c] + constant[c];
        return activate ? dz * silu_slope(x * scale[c] + shift[c]) : dz;
    }
};

// Σ dz and Σ dz x̂. Shared memory: blockDim.y × 2 × blockDim.x × 16 bytes.
KERNEL LAUNCH_BOUNDS(256, 3)
norm_backward_sums(const element *gradient, const float *factors, const float *constants,
                   const element *x, const float *vectors, float *parts, const int *images,
                   int pixels, int channels, int rows, int tiles, int activate) {
    DYNAMIC_SHARED(memory);
    const Place at = place(tiles);
    if (at.image >= *images) return;
    Through through;
    through.begin(vectors, factors, constants, at, channels);
    float sum[CHANNELS] = {}, hat[CHANNELS] = {};
    const int last = min((at.tile + 1) * rows, pixels);
    for (int p = at.tile * rows + threadIdx.y; p < last; p += blockDim.y) {
        const long long offset = ((long long)at.image * pixels + p) * channels + at.channel;
        float g[CHANNELS] = {}, value[CHANNELS];
        if (gradient) load<CHANNELS>(gradient + offset, g);
        load<CHANNELS>(x + offset, value);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            const float dz = through.slope(g[c], value[c], c, activate);
            sum[c] += dz;
            hat[c] += dz * (value[c] * through.rstd[c] + through.offset[c]);
        }
    }
    finish_parts(reinterpret_cast<float *>(memory), at, sum, hat, parts, channels);
}

// Gradients of β and γ from the parts, and what the pass below needs.
KERNEL LAUNCH_BOUNDS(32 * DOWN, 1)
norm_backward_finish(const float *parts, const float *gamma, const float *vectors, float *d_gamma,
                     float *d_beta, float *slopes, const int *images, int pixels, int channels,
                     int tiles) {
    SHARED(double, shared, DOWN * 2 * 32);
    const int channel = blockIdx.x * 32 + threadIdx.x % 32;
    double sums[2];
    if (!add_parts(shared, parts, *images * tiles, channels, channel, sums)) return;
    d_beta[channel] = (float)sums[0];
    d_gamma[channel] = (float)sums[1];
    const double count = (double)*images * pixels;
    const double rstd = vectors[2 * channels + channel], offset = vectors[3 * channels + channel];
    const double scale = (double)gamma[channel] * rstd;
    const double mean = sums[0] / count, slope = sums[1] / count;
    slopes[channel] = (float)scale;
    slopes[channels + channel] = (float)(-scale * slope * rstd);
    slopes[2 * channels + channel] = (float)(-scale * (offset * slope + mean));
}

// dx = dz c0 + x c1 + c2; it may take the place of the gradient.
KERNEL LAUNCH_BOUNDS(256, 4)
norm_backward(const element *gradient, const float *factors, const float *constants,
              const element *x, const float *vectors, const float *slopes, element *dx,
              const int *images, int pixels, int channels, int rows, int tiles, int activate) {
    const Place at = place(tiles);
    if (at.image >= *images) return;
    Through through;
    through.begin(vectors, factors, constants, at, channels);
    float c0[CHANNELS], c1[CHANNELS], c2[CHANNELS];
    load_floats<CHANNELS>(slopes + at.channel, c0);
    load_floats<CHANNELS>(slopes + channels + at.channel, c1);
    load_floats<CHANNELS>(slopes + 2 * channels + at.channel, c2);
    const int last = min((at.tile + 1) * rows, pixels);
    for (int p = at.tile * rows + threadIdx.y; p < last; p += blockDim.y) {
        const long long offset = ((long long)at.image * pixels + p) * channels + at.channel;
        float g[CHANNELS] = {}, value[CHANNELS];
        if (gradient) load<CHANNELS>(gradient + offset, g);
        load<CHANNELS>(x + offset, value);
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c)
            g[c] = through.slope(g[c], value[c], c, activate) * c0[c] + value[c] * c1[c] + c2[c];
        store<CHANNELS>(dx + offset, g);
    }
}
