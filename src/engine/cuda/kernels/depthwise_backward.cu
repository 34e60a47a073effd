// Backward through a depthwise convolution.
//
//   dy      [images][out][out][channels]
//   x, dx   [images][side][side][channels]
//   weights [kernel²][channels]                  f32
//   parts   [images][kernel²][channels]          f32; sum_parts adds them up
//
// Towards the input: each input pixel gathers the outputs that saw it. With
// stride 1 that is a convolution with the kernel turned by half a turn, and
// depthwise.cu does it faster; this one is for stride 2. Moved: dy and dx once,
// but for what L1 gives again.
//
// Towards the weights: a block takes an image for a range of channels; a thread
// holds kernel² sums for 2 channels and walks over output pixels. Moved: dy
// once, x once from DRAM and kernel² times from L1.
#include "device.cuh"

template <int SIZE>
DEVICE void to_input(const element *dy, const float *weights, element *dx, const int *images,
                     int channels, int side, int out, int pad) {
    constexpr int CHANNELS = 4;
    const int groups = channels / CHANNELS;
    const long long task = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (task >= (long long)*images * side * side * groups) return;
    const int channel = (int)(task % groups) * CHANNELS;
    const long long pixel = task / groups;
    const int x = (int)(pixel % side), y = (int)(pixel / side % side);
    const long long image = pixel / (side * side);
    float sum[CHANNELS] = {};
#pragma unroll
    for (int ky = 0; ky < SIZE; ++ky) {
        const int yy = y + pad - ky;
        if (yy < 0 || yy % 2 || yy / 2 >= out) continue;
#pragma unroll
        for (int kx = 0; kx < SIZE; ++kx) {
            const int xx = x + pad - kx;
            if (xx < 0 || xx % 2 || xx / 2 >= out) continue;
            float g[CHANNELS], weight[CHANNELS];
            load<CHANNELS>(dy + ((image * out + yy / 2) * out + xx / 2) * channels + channel, g);
            load_floats<CHANNELS>(weights + (ky * SIZE + kx) * channels + channel, weight);
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) sum[c] += g[c] * weight[c];
        }
    }
    store<CHANNELS>(dx + pixel * channels + channel, sum);
}

// Shared memory: blockDim.y × blockDim.x × 8 bytes.
template <int SIZE>
DEVICE void to_weights(const element *dy, const element *x, float *parts, const int *images,
                       int channels, int side, int out, int pad, int step) {
    constexpr int CHANNELS = 2;
    DYNAMIC_SHARED(memory);
    float *const shared = reinterpret_cast<float *>(memory);
    const int image = blockIdx.x;
    if (image >= *images) return;
    const int wide = blockDim.x * CHANNELS, own = threadIdx.x * CHANNELS;
    const int channel = blockIdx.y * wide + own;
    const element *const dy_image = dy + (long long)image * out * out * channels + channel;
    const element *const x_image = x + (long long)image * side * side * channels + channel;
    float sum[SIZE * SIZE][CHANNELS] = {};
    for (int pixel = threadIdx.y; pixel < out * out; pixel += blockDim.y) {
        const int y0 = pixel / out * step - pad, x0 = pixel % out * step - pad;
        float g[CHANNELS];
        load<CHANNELS>(dy_image + (long long)pixel * channels, g);
#pragma unroll
        for (int tap = 0; tap < SIZE * SIZE; ++tap) {
            const int yy = y0 + tap / SIZE, xx = x0 + tap % SIZE;
            if (yy < 0 || yy >= side || xx < 0 || xx >= side) continue;
            float value[CHANNELS];
            load<CHANNELS>(x_image + (long long)(yy * side + xx) * channels, value);
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) sum[tap][c] += g[c] * value[c];
        }
    }
#pragma unroll
    for (int tap = 0; tap < SIZE * SIZE; ++tap) {
        __syncthreads();
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) shared[threadIdx.y * wide + own + c] = sum[tap][c];
        __syncthreads();
        if (threadIdx.y == 0) {
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) {
                float total = 0.0f;
                for (int i = 0; i < (int)blockDim.y; ++i) total += shared[i * wide + own + c];
                parts[((long long)image * SIZE * SIZE + tap) * channels + channel + c] = total;
            }
        }
    }
}

#define DEPTHWISE_INPUT(SIZE)                                                                    \
    KERNEL LAUNCH_BOUNDS(256, 4)                                                                 \
    depthwise_input_##SIZE(const element *dy, const float *weights, element *dx,                 \
                           const int *images, int channels, int side, int out, int pad) {        \
        to_input<SIZE>(dy, weights, dx, images, channels, side, out, pad);                       \
    }

#define DEPTHWISE_WEIGHTS(SIZE)                                                                  \
    KERNEL LAUNCH_BOUNDS(256, 2)                                                                 \
    depthwise_weights_##SIZE(const element *dy, const element *x, float *parts,                  \
                             const int *images, int channels, int side, int out, int pad,        \
                             int step) {                                                         \
        to_weights<SIZE>(dy, x, parts, images, channels, side, out, pad, step);                  \
    }

DEPTHWISE_INPUT(3)
DEPTHWISE_INPUT(5)
DEPTHWISE_WEIGHTS(3)
DEPTHWISE_WEIGHTS(5)
