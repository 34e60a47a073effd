// Depthwise 3×3 and 5×5 convolutions of stride 1 and 2, with bias, SiLU and the
// sums that squeeze and excite needs, in one pass.
//
//   input   [images][side][side][channels]
//   weights [kernel²][channels]               f32
//   bias    [channels]                        f32, or null
//   output  [images][out][out][channels]
//   sums    [images][tiles][channels]         f32, or null: of the output
//
// Moved: the input once from DRAM (rows shared by neighbouring tiles come from
// L2) and the output once. A block makes `rows` rows of an image for a range of
// channels; a thread makes strips of STRIP neighbouring pixels for 4 channels.
// Threads along x are neighbours in channels. Sums of a tile are added in a
// fixed order, so results do not depend on the order of blocks.
#include "device.cuh"

constexpr int STRIP = 4, CHANNELS = 4;

// A pixel's channels as they are in memory. Of bf16 whole words are kept, whose
// halves become floats in one instruction each.
#ifdef HIWL_F32
typedef Pack<float, CHANNELS> Pixel;
DEVICE float channel_of(const Pixel &pixel, int c) { return pixel.v[c]; }
#else
typedef Pack<word, CHANNELS / 2> Pixel;
DEVICE float channel_of(const Pixel &pixel, int c) {
    const word two = pixel.v[c / 2];
    return bits_to_float(c % 2 ? two & 0xffff0000u : two << 16);
}
#endif

template <int SIZE, int STEP>
DEVICE void depthwise(const element *input, const float *weights, const float *bias,
                      element *output, float *sums, const int *images, int channels, int side,
                      int out, int pad, int rows, int tiles, int activate) {
    DYNAMIC_SHARED(memory);
    float *const shared = reinterpret_cast<float *>(memory);
    const int image = (int)(blockIdx.x / tiles), tile = (int)(blockIdx.x % tiles);
    if (image >= *images) return;
    const int wide = blockDim.x * CHANNELS, channel0 = blockIdx.y * wide;
    const int own = threadIdx.x * CHANNELS, channel = channel0 + own;
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int i = thread; i < SIZE * SIZE * wide; i += blockDim.x * blockDim.y)
        shared[i] = weights[i / wide * channels + channel0 + i % wide];
    __syncthreads();

    const long long plane = (long long)side * side;
    const element *const from = input + image * plane * channels + channel;
    element *const to = output + (long long)image * out * out * channels + channel;
    float total[CHANNELS] = {};
    float offset[CHANNELS] = {};
    if (bias) load_floats<CHANNELS>(bias + channel, offset);
    const int first = tile * rows, last = min(first + rows, out);
    const int strips = (out + STRIP - 1) / STRIP;
    for (int task = threadIdx.y; task < (last - first) * strips; task += blockDim.y) {
        const int y = first + task / strips, x = task % strips * STRIP;
        float sum[STRIP][CHANNELS];
#pragma unroll
        for (int s = 0; s < STRIP; ++s)
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) sum[s][c] = offset[c];
#pragma unroll
        for (int ky = 0; ky < SIZE; ++ky) {
            const int yy = y * STEP + ky - pad;
            if (yy < 0 || yy >= side) continue;
            constexpr int WIDE = (STRIP - 1) * STEP + SIZE;
            Pixel line[WIDE];
            const element *const row = from + (long long)yy * side * channels;
#pragma unroll
            for (int i = 0; i < WIDE; ++i) {
                const int xx = x * STEP + i - pad;
                if (xx >= 0 && xx < side) {
                    line[i] = *reinterpret_cast<const Pixel *>(row + xx * channels);
                } else {
                    line[i] = Pixel{};
                }
            }
#pragma unroll
            for (int kx = 0; kx < SIZE; ++kx) {
                float weight[CHANNELS];
                load_floats<CHANNELS>(shared + (ky * SIZE + kx) * wide + own, weight);
#pragma unroll
                for (int s = 0; s < STRIP; ++s)
#pragma unroll
                    for (int c = 0; c < CHANNELS; ++c)
                        sum[s][c] += channel_of(line[s * STEP + kx], c) * weight[c];
            }
        }
#pragma unroll
        for (int s = 0; s < STRIP; ++s) {
            if (x + s >= out) break;
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) {
                if (activate) sum[s][c] = silu(sum[s][c]);
                total[c] += sum[s][c];
            }
            store<CHANNELS>(to + (long long)(y * out + x + s) * channels, sum[s]);
        }
    }
    if (!sums) return;
    __syncthreads();
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) shared[threadIdx.y * wide + own + c] = total[c];
    __syncthreads();
    if (threadIdx.y > 0) return;
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
        float sum = 0.0f;
        for (int y = 0; y < (int)blockDim.y; ++y) sum += shared[y * wide + own + c];
        sums[((long long)image * tiles + tile) * channels + channel + c] = sum;
    }
}

// Shared memory: max(kernel², blockDim.y) × blockDim.x × 16 bytes.
#define DEPTHWISE(SIZE, STEP)                                                                     \
    KERNEL LAUNCH_BOUNDS(256, SIZE == 3 ? 3 : 2)                                                    \
    depthwise_##SIZE##_##STEP(const element *input, const float *weights, const float *bias,      \
                              element *output, float *sums, const int *images, int channels,      \
                              int side, int out, int pad, int rows, int tiles, int activate) {    \
        depthwise<SIZE, STEP>(input, weights, bias, output, sums, images, channels, side, out,    \
                              pad, rows, tiles, activate);                                        \
    }

DEPTHWISE(3, 1)
DEPTHWISE(3, 2)
DEPTHWISE(5, 1)
DEPTHWISE(5, 2)
