// Optimisers and the average of the weights, one launch for all parameters,
// which lie one behind the other, those that decay first; and the forms of the
// new values that other kernels read. Formulas: src/train/optimizer.rs.
//
// Moved: 20 bytes a parameter by SGD (values, gradient and velocity read, two
// written), 28 by AdamW.
//
// settings, f32 on the device, since launches are recorded: 0 rate, 1 momentum
// or β₁, 2 β₂, 3 decay, 4 epsilon, 5 step (AdamW), 6 root (AdamW), 7 the share
// of the old average that is kept.
#include "device.cuh"

KERNEL LAUNCH_BOUNDS(256, 4)
sgd(float *values, const float *gradient, float *velocity, const float *settings, int decaying,
    int count, int nesterov) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float rate = settings[0], momentum = settings[1];
    const float w = values[i];
    const float g = gradient[i] + (i < decaying ? settings[3] : 0.0f) * w;
    const float b = momentum * velocity[i] + g;
    velocity[i] = b;
    values[i] = w - rate * (nesterov ? g + momentum * b : b);
}

KERNEL LAUNCH_BOUNDS(256, 4)
adamw(float *values, const float *gradient, float *first, float *second, const float *settings,
      int decaying, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const float b1 = settings[1], b2 = settings[2], eps = settings[4];
    const float g = gradient[i];
    float w = values[i];
    if (i < decaying) w *= 1.0f - settings[0] * settings[3];
    const float m = first[i] + (1.0f - b1) * (g - first[i]);
    const float v = b2 * second[i] + (1.0f - b2) * g * g;
    first[i] = m;
    second[i] = v;
    values[i] = w - settings[5] * m / (sqrtf(v) * settings[6] + eps);
}

KERNEL LAUNCH_BOUNDS(256, 4)
average(float *old, const float *values, const float *settings, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) old[i] += (1.0f - settings[7]) * (values[i] - old[i]);
}

// A product's weights [n][k] as elements, and transposed.
KERNEL LAUNCH_BOUNDS(256, 4)
prepare_product(const float *weights, element *as_is, element *turned, int n, int k) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n * k) return;
    from_float(weights[i], as_is[i]);
    from_float(weights[i % n * k + i / n], turned[i]);
}

// A kernel's weights [channels][taps] as [taps][channels], and with the taps in
// reverse where `turned` is given. With `is_stem`, taps from the order colour,
// row, column to row, column, colour.
KERNEL LAUNCH_BOUNDS(256, 4)
prepare_taps(const float *weights, float *by_taps, float *turned, int channels, int taps,
             int is_stem) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= channels * taps) return;
    const int tap = i / channels, channel = i % channels;
    const int own = is_stem ? tap % 3 * 9 + tap / 3 : tap;
    by_taps[i] = weights[channel * taps + own];
    if (turned) turned[i] = weights[channel * taps + taps - 1 - own];
}
