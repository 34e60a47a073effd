// Squeeze and excite: from the sums of the depthwise step to the factors that
// multiply its output. Two small matrices an image, a block an image.
//
//   sums    [images][tiles][channels]   f32
//   reduce  [squeezed][channels]        f32, with its bias [squeezed]
//   expand  [squeezed][channels]        f32, transposed, with its bias [channels]
//   factors [images][channels]          f32
//   means, before                       f32 [images][channels] and
//                                       [images][squeezed], or null: kept for
//                                       the backward pass, `before` the SiLU
//
// Moved: 8 squeezed × channels bytes an image out of L2 (0.4 MB for the widest
// block of B1), which every image reads anew.
#include "device.cuh"

KERNEL LAUNCH_BOUNDS(256, 4)
squeeze_excite(const float *sums, const float *reduce, const float *reduce_bias,
               const float *expand, const float *expand_bias, float *factors, float *means,
               float *before, const int *images, int channels, int squeezed, int tiles,
               float inverse_pixels) {
    DYNAMIC_SHARED(memory);
    float *const mean = reinterpret_cast<float *>(memory);
    float *const hidden = mean + channels;
    const int image = blockIdx.x, thread = threadIdx.x;
    if (image >= *images) return;
    for (int c = thread; c < channels; c += blockDim.x) {
        const float *const from = sums + (long long)image * tiles * channels + c;
        float sum = 0.0f;
        for (int t = 0; t < tiles; ++t) sum += from[(long long)t * channels];
        mean[c] = sum * inverse_pixels;
        if (means) means[(long long)image * channels + c] = mean[c];
    }
    __syncthreads();
    const int lane = thread % 32, warps = blockDim.x / 32;
    for (int s = thread / 32; s < squeezed; s += warps) {
        float sum = 0.0f;
        for (int c = lane; c < channels; c += 32) sum += reduce[(long long)s * channels + c] * mean[c];
        sum = warp_sum(sum) + reduce_bias[s];
        if (lane == 0) {
            hidden[s] = silu(sum);
            if (before) before[(long long)image * squeezed + s] = sum;
        }
    }
    __syncthreads();
    for (int c = thread * 4; c < channels; c += blockDim.x * 4) {
        float sum[4];
        load_floats<4>(expand_bias + c, sum);
        for (int s = 0; s < squeezed; ++s) {
            float weight[4];
            load_floats<4>(expand + (long long)s * channels + c, weight);
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[i] += weight[i] * hidden[s];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) factors[(long long)image * channels + c + i] = sigmoid(sum[i]);
    }
}
