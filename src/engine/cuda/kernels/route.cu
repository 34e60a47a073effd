// Which images the second network sees: those whose largest logit of the first
// is the combined class, or all. One warp, in the order of the images.
//
//   logits [images][classes]   f32
//   rows   [count]             the images chosen, ascending
//   count                      how many
//
// The host never waits for it: what follows reads `rows` and `count` on the
// device. Of equal logits the first counts; an image with a logit that is not
// finite is not chosen.
#include "device.cuh"

KERNEL LAUNCH_BOUNDS(32, 1)
route(const float *logits, int *rows, int *count, const int *images, int classes, int combined,
      int all) {
    const int lane = threadIdx.x, live = *images;
    int chosen = 0;
    for (int first = 0; first < live; first += 32) {
        const int image = first + lane;
        bool wanted = false;
        if (image < live) {
            const float *const row = logits + (long long)image * classes;
            int largest = 0;
            bool finite = true;
            for (int c = 0; c < classes; ++c) {
                finite = finite && row[c] - row[c] == 0.0f;
                if (row[c] > row[largest]) largest = c;
            }
            wanted = finite && (all || largest == combined);
        }
        const unsigned flags = __ballot_sync(0xffffffffu, wanted);
        if (wanted) rows[chosen + __popc(flags & ((1u << lane) - 1u))] = image;
        chosen += __popc(flags);
    }
    if (lane == 0) *count = chosen;
}
