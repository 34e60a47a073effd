// From the sums of the head's activation to logits and loss, and back to the
// gradient at each of its pixels. A block an image.
//
//   sums     [images][tiles][features]   f32, of norm_apply
//   kept     [images][features]          f32: 0 where dropped, 1 / (1 − p) elsewhere
//   weights  [classes][features]         f32, with their bias
//   targets  [images][classes]           f32, or null: logits only
//   pooled   [images][features]          f32: means times `kept`
//   d_logits [images][classes]           f32, of the mean loss
//   constant [images][features]          f32: gradient at each pixel
//   losses   [images]                    f32: −Σ target log softmax
//
// Shared memory: (features + 2 classes) × 4 bytes.
#include "device.cuh"

KERNEL LAUNCH_BOUNDS(256, 4)
classifier(const float *sums, const float *kept, const float *weights, const float *bias,
           const float *targets, float *pooled, float *logits, float *d_logits, float *constant,
           float *losses, const int *images, int features, int classes, int tiles,
           float inverse_pixels) {
    DYNAMIC_SHARED(memory);
    float *const mean = reinterpret_cast<float *>(memory);
    float *const row = mean + features;
    float *const slope = row + classes;
    const int image = blockIdx.x, thread = threadIdx.x;
    if (image >= *images) return;
    for (int f = thread; f < features; f += blockDim.x) {
        float sum = 0.0f;
        for (int t = 0; t < tiles; ++t)
            sum += sums[((long long)image * tiles + t) * features + f];
        mean[f] = sum * inverse_pixels * (kept ? kept[(long long)image * features + f] : 1.0f);
        pooled[(long long)image * features + f] = mean[f];
    }
    __syncthreads();
    const int lane = thread % 32, warps = blockDim.x / 32;
    for (int c = thread / 32; c < classes; c += warps) {
        float sum = 0.0f;
        for (int f = lane; f < features; f += 32)
            sum += weights[(long long)c * features + f] * mean[f];
        sum = warp_sum(sum);
        if (lane == 0) {
            row[c] = sum + bias[c];
            logits[(long long)image * classes + c] = row[c];
        }
    }
    if (!targets) return;
    __syncthreads();
    if (thread == 0) {
        const float *const target = targets + (long long)image * classes;
        float largest = row[0], total = 0.0f;
        for (int c = 1; c < classes; ++c) largest = row[c] > largest ? row[c] : largest;
        double sum = 0.0, loss = 0.0;
        for (int c = 0; c < classes; ++c) {
            sum += exp((double)(row[c] - largest));
            total += target[c];
        }
        const double log_sum = log(sum), count = (double)*images;
        for (int c = 0; c < classes; ++c) {
            const double logarithm = (double)(row[c] - largest) - log_sum;
            loss -= (double)target[c] * logarithm;
            slope[c] = (float)((exp(logarithm) * (double)total - (double)target[c]) / count);
            d_logits[(long long)image * classes + c] = slope[c];
        }
        losses[image] = (float)loss;
    }
    __syncthreads();
    for (int f = thread; f < features; f += blockDim.x) {
        float sum = 0.0f;
        for (int c = 0; c < classes; ++c) sum += slope[c] * weights[(long long)c * features + f];
        const float share = kept ? kept[(long long)image * features + f] : 1.0f;
        constant[(long long)image * features + f] = sum * share * inverse_pixels;
    }
}
