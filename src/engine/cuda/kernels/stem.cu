// The stem: uint8 pixels, normalised, through a 3×3 convolution of stride 2.
//
//   pixels  [..][side][side][3]       bytes, interleaved RGB
//   weights [27][channels]            f32, taps in the order row, column, colour
//   output  [images][out][out][channels]
//
// An image moves 3 side² bytes in and 2 out² channels out (bf16): at 240 pixels
// and 32 channels 0.17 MB and 0.92 MB. Pixels outside are zero after the
// normalisation, so it cannot be folded into the bias.
//
// A thread makes 8 channels of a pixel; neighbours in x make the other channels
// of the same pixel, so that a warp writes whole lines. Weights are in shared
// memory, the 27 bytes in registers.
#include "device.cuh"

KERNEL LAUNCH_BOUNDS(256, 4)
stem(const byte *pixels, const int *rows, const float *weights, const float *bias,
     const float *scale_shift, element *output, const int *images, int side, int out, int pad,
     int channels, int activate) {
    DYNAMIC_SHARED(memory);
    float *const shared_weights = reinterpret_cast<float *>(memory);
    const int groups = channels / 8;
    const int live = *images;
    if ((long long)blockIdx.x * blockDim.x >= (long long)live * out * out * groups) return;
    for (int i = threadIdx.x; i < 27 * channels; i += blockDim.x) shared_weights[i] = weights[i];
    float scale[3], shift[3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        scale[c] = scale_shift[c];
        shift[c] = scale_shift[3 + c];
    }
    __syncthreads();

    const long long task = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int channel = (int)(task % groups) * 8;
    const long long pixel = task / groups;
    const int image = (int)(pixel / (out * out));
    if (image >= live) return;
    const int y = (int)(pixel % (out * out)) / out, x = (int)(pixel % out);
    // Stage 2 sees some rows of the batch.
    const long long source = rows ? rows[image] : image;
    const byte *const from = pixels + source * side * side * 3;

    float sums[8];
    if (bias) {
        load_floats<8>(bias + channel, sums);
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) sums[i] = 0.0f;
    }
#pragma unroll
    for (int ky = 0; ky < 3; ++ky) {
        const int yy = 2 * y + ky - pad;
#pragma unroll
        for (int kx = 0; kx < 3; ++kx) {
            const int xx = 2 * x + kx - pad;
            if (yy < 0 || yy >= side || xx < 0 || xx >= side) continue;
            const byte *const at = from + ((long long)yy * side + xx) * 3;
#pragma unroll
            for (int c = 0; c < 3; ++c) {
                const float value = (float)at[c] * scale[c] + shift[c];
                float weight[8];
                load_floats<8>(shared_weights + ((ky * 3 + kx) * 3 + c) * channels + channel,
                               weight);
#pragma unroll
                for (int i = 0; i < 8; ++i) sums[i] += value * weight[i];
            }
        }
    }
    if (activate) {
#pragma unroll
        for (int i = 0; i < 8; ++i) sums[i] = silu(sums[i]);
    }
    store<8>(output + pixel * channels + channel, sums);
}
