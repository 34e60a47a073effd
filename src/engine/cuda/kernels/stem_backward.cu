// The gradient of the stem's weights. The pixels need none.
//
//   dy     [images][out][out][channels]
//   pixels [images][side][side][3]            bytes
//   parts  [images × tiles][27][channels]     f32; sum_parts adds them up
//
// A thread holds 27 sums for a channel; a warp's lanes see the same pixels. A
// block takes `rows` output rows of an image. Moved: dy once, pixels from L1.
// Shared memory: blockDim.y × blockDim.x × 4 bytes.
#include "device.cuh"

KERNEL LAUNCH_BOUNDS(256, 3)
stem_weights(const element *dy, const byte *pixels, const float *scale_shift, float *parts,
             const int *images, int channels, int side, int out, int pad, int rows, int tiles) {
    DYNAMIC_SHARED(memory);
    float *const shared = reinterpret_cast<float *>(memory);
    const int image = (int)(blockIdx.x / tiles), tile = (int)(blockIdx.x % tiles);
    if (image >= *images) return;
    const int channel = threadIdx.x;
    float scale[3], shift[3], sum[27] = {};
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        scale[c] = scale_shift[c];
        shift[c] = scale_shift[3 + c];
    }
    const byte *const from = pixels + (long long)image * side * side * 3;
    const int first = tile * rows * out, last = min((tile + 1) * rows, out) * out;
    for (int pixel = first + threadIdx.y; pixel < last; pixel += blockDim.y) {
        const float g = to_float(dy[((long long)image * out * out + pixel) * channels + channel]);
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) {
            const int yy = pixel / out * 2 + tap / 3 - pad, xx = pixel % out * 2 + tap % 3 - pad;
            if (yy < 0 || yy >= side || xx < 0 || xx >= side) continue;
            const byte *const at = from + ((long long)yy * side + xx) * 3;
#pragma unroll
            for (int c = 0; c < 3; ++c)
                sum[tap * 3 + c] += g * ((float)at[c] * scale[c] + shift[c]);
        }
    }
#pragma unroll
    for (int tap = 0; tap < 27; ++tap) {
        __syncthreads();
        shared[threadIdx.y * channels + channel] = sum[tap];
        __syncthreads();
        if (threadIdx.y == 0) {
            float total = 0.0f;
            for (int i = 0; i < (int)blockDim.y; ++i) total += shared[i * channels + channel];
            parts[((long long)blockIdx.x * 27 + tap) * channels + channel] = total;
        }
    }
}
