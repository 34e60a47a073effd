// Small sums over a batch or over partial results, each in a fixed order.
#include "device.cuh"

// to[i] = Σ parts[p][i] over `each` parts an image; where `taps` is not 0,
// parts hold [taps][channels] and `to` [channels][taps]. With `is_stem` the
// taps of the parts are in the order row, column, colour and those of `to` in
// the order colour, row, column. A part count of 0 images means `each` parts.
KERNEL LAUNCH_BOUNDS(256, 4)
sum_parts(const float *parts, float *to, const int *images, int each, int count, int taps,
          int is_stem) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const int number = images ? *images * each : each;
    int from = i;
    if (taps) {
        int tap = i % taps;
        if (is_stem) tap = tap % 9 * 3 + tap / 9;
        from = tap * (count / taps) + i / taps;
    }
    double sum = 0.0;
    for (int p = 0; p < number; ++p) sum += (double)parts[(long long)p * count + from];
    to[i] = (float)sum;
}

// to[i][j] = Σ a[image][i] b[image][j], or to[i] = Σ a[image][i] where b is null
// (then m is 1).
KERNEL LAUNCH_BOUNDS(256, 4)
outer(const float *a, const float *b, float *to, const int *images, int n, int m) {
    const long long task = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (task >= (long long)n * m) return;
    const int i = (int)(task / m), j = (int)(task % m), live = *images;
    float sum = 0.0f;
    for (int image = 0; image < live; ++image)
        sum += a[(long long)image * n + i] * (b ? b[(long long)image * m + j] : 1.0f);
    to[task] = sum;
}
