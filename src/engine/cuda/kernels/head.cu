// The end of the network: the mean over pixels and the classifier. A block an
// image.
//
//   input   [images][pixels][features]   after the head's SiLU
//   weights [classes][features]          f32, with their bias
//   logits  [..][classes]                f32, in the rows that `rows` says
//   means   [images][features]           f32, or null: what the classifier sees
//
// Moved: 2 pixels × features bytes an image (0.16 MB in B1), and the means.
#include "device.cuh"

KERNEL LAUNCH_BOUNDS(256, 4)
head(const element *input, const int *rows, const float *weights, const float *bias,
     float *logits, float *means, const int *images, int pixels, int features, int classes) {
    DYNAMIC_SHARED(memory);
    float *const mean = reinterpret_cast<float *>(memory);
    const int image = blockIdx.x, thread = threadIdx.x;
    if (image >= *images) return;
    const element *const from = input + (long long)image * pixels * features;
    for (int f = thread * 4; f < features; f += blockDim.x * 4) {
        float sum[4] = {};
        for (int p = 0; p < pixels; ++p) {
            float value[4];
            load<4>(from + (long long)p * features + f, value);
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[i] += value[i];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) mean[f + i] = sum[i] / (float)pixels;
        if (means) {
#pragma unroll
            for (int i = 0; i < 4; ++i) means[(long long)image * features + f + i] = mean[f + i];
        }
    }
    __syncthreads();
    const int lane = thread % 32, warps = blockDim.x / 32;
    const int row = rows ? rows[image] : image;
    for (int c = thread / 32; c < classes; c += warps) {
        float sum = 0.0f;
        for (int f = lane; f < features; f += 32) sum += weights[(long long)c * features + f] * mean[f];
        sum = warp_sum(sum);
        if (lane == 0) logits[(long long)row * classes + c] = sum + bias[c];
    }
}
