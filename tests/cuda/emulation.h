// A CUDA block on the CPU: enough of the language for the kernels of
// src/engine/cuda/kernels to be compiled by g++ and run, thread by thread.
//
// Every thread of a block is a fiber. It runs until it reaches a barrier, an
// exchange between the lanes of its warp, or its end. Two modes differ in all
// that hardware leaves open: FORWARD runs threads, warps and blocks in order
// and completes asynchronous copies as late as it may; BACKWARD runs them in
// reverse and completes copies at once. A kernel that gives other bits in the
// one than in the other has a race. Shared memory holds NaN when a block
// begins.
//
// What it does not check: bounds of global memory (its user does, with guards),
// alignment, the number of registers, and time.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define LAUNCH_BOUNDS(threads, blocks)
#define SHARED(type, name, count) \
    type *const name = (type *)emu::shared_array(__LINE__, sizeof(type) * (count))
#define DYNAMIC_SHARED(name) unsigned char *const name = emu::block.dynamic
#define threadIdx (emu::self->index)
#define blockIdx (emu::block.index)
#define blockDim (emu::block.size)
#define gridDim (emu::block.grid)

struct dim3 {
    unsigned x, y, z;
};

namespace emu {

enum Mode { FORWARD, BACKWARD };
enum State { READY, AT_WARP, AT_BLOCK, DONE };

// What a lane shows to the others.
struct Shown {
    uint32_t words[6];
    const void *at;
};

struct Copy {
    void *to;
    const void *from;
    bool valid;
};

struct Thread {
    dim3 index;
    State state;
    unsigned warp, lane, turn;
    jmp_buf here;
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
};

constexpr size_t STACK = 128 << 10, ARENA = 256 << 10, MOST = 1024;

struct Block {
    dim3 index, size, grid;
    unsigned char *dynamic;
    size_t used;
    // By the line that declares them.
    struct {
        int line;
        unsigned char *at;
    } arrays[16];
    int array_count;
};

inline thread_local Block block;
inline thread_local Thread *self;
inline thread_local Mode mode;
inline thread_local jmp_buf scheduler;
inline thread_local Shown shown[MOST / 32][2][32];
inline thread_local void (*body)(void *);
inline thread_local void *body_arguments;

inline void fail(const char *what) {
    fprintf(stderr, "emulation: %s\n", what);
    abort();
}

// The arena of a block lives for the thread that runs it.
inline unsigned char *arena() {
    static thread_local std::vector<unsigned char> memory(ARENA + 128);
    return (unsigned char *)(((uintptr_t)memory.data() + 127) & ~(uintptr_t)127);
}

inline void *shared_array(int line, size_t bytes) {
    for (int i = 0; i < block.array_count; ++i)
        if (block.arrays[i].line == line) return block.arrays[i].at;
    if (block.used + bytes > ARENA || block.array_count == 16)
        fail("a block takes too much shared memory");
    unsigned char *const at = arena() + block.used;
    block.arrays[block.array_count++] = {line, at};
    block.used += (bytes + 127) & ~(size_t)127;
    return at;
}

inline void leave(State state) {
    self->state = state;
    if (_setjmp(self->here) == 0) _longjmp(scheduler, 1);
}

inline unsigned char *stacks() {
    static thread_local unsigned char *memory = (unsigned char *)mmap(
        nullptr, STACK * MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory;
}

inline void start() {
    body(body_arguments);
    self->state = DONE;
    _longjmp(scheduler, 1);
}

// Lets a thread run until it leaves. `fresh` is where it starts.
inline void resume(Thread &thread, ucontext_t &fresh, bool begins) {
    self = &thread;
    if (_setjmp(scheduler) == 0) {
        if (begins) setcontext(&fresh);
        _longjmp(thread.here, 1);
    }
}

inline void run_block(std::vector<Thread> &threads, size_t dynamic) {
    memset(arena(), 0xff, ARENA);
    block.array_count = 0;
    block.dynamic = arena();
    block.used = (dynamic + 127) & ~(size_t)127;
    if (block.used > ARENA) fail("a block takes too much shared memory");
    const unsigned count = threads.size(), warps = (count + 31) / 32;
    static thread_local std::vector<ucontext_t> fresh(MOST);
    std::vector<char> begun(count, 0);
    for (unsigned i = 0; i < count; ++i) {
        Thread &thread = threads[i];
        thread.state = READY;
        thread.turn = 0;
        thread.warp = i / 32;
        thread.lane = i % 32;
        thread.index = {i % block.size.x, i / block.size.x % block.size.y,
                        i / (block.size.x * block.size.y)};
        thread.groups.clear();
        thread.open.clear();
        if (!fresh[i].uc_stack.ss_sp) {
            getcontext(&fresh[i]);
            fresh[i].uc_stack.ss_sp = stacks() + i * STACK;
            fresh[i].uc_stack.ss_size = STACK;
            fresh[i].uc_link = nullptr;
        }
        makecontext(&fresh[i], start, 0);
    }
    for (bool all_done = false; !all_done;) {
        bool moved = false;
        for (unsigned w = 0; w < warps; ++w) {
            const unsigned warp = mode == FORWARD ? w : warps - 1 - w;
            const unsigned first = warp * 32, last = first + 32 < count ? first + 32 : count;
            for (bool again = true; again;) {
                bool at_warp = false, others = false;
                for (unsigned l = first; l < last; ++l) {
                    const unsigned i = mode == FORWARD ? l : last - 1 - (l - first);
                    if (threads[i].state == READY) {
                        const bool begins = !begun[i];
                        begun[i] = 1;
                        resume(threads[i], fresh[i], begins);
                        moved = true;
                    }
                    at_warp |= threads[i].state == AT_WARP;
                    others |= threads[i].state != AT_WARP;
                }
                if (at_warp && others) fail("lanes of a warp part before an exchange");
                again = at_warp;
                if (at_warp) {
                    for (unsigned i = first; i < last; ++i) threads[i].state = READY;
                }
            }
        }
        all_done = true;
        bool any_done = false;
        for (Thread &thread : threads) {
            all_done &= thread.state == DONE;
            any_done |= thread.state == DONE;
        }
        if (all_done) break;
        if (any_done) fail("some threads ended before a barrier of the others");
        for (Thread &thread : threads) thread.state = READY;
        if (!moved) fail("no thread moves");
    }
}

// Shows words to the warp and waits until every lane has; returns all.
inline const Shown *exchange(const Shown &mine) {
    Shown *all = shown[self->warp][self->turn++ % 2];
    all[self->lane] = mine;
    leave(AT_WARP);
    return all;
}

inline uint16_t round_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (value != value) return 0x7fff;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float bf16_at(const void *at, int index) {
    uint32_t bits = (uint32_t)((const uint16_t *)at)[index] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline void complete(const Copy &copy) {
    if (copy.valid) {
        memcpy(copy.to, copy.from, 16);
    } else {
        memset(copy.to, 0, 16);
    }
}

inline void copy_async(void *to, const void *from, bool valid) {
    if (((uintptr_t)to | (valid ? (uintptr_t)from : 0)) % 16) fail("a copy that is not aligned");
    if (mode == BACKWARD) {
        complete({to, from, valid});
    } else {
        self->open.push_back({to, from, valid});
    }
}

inline void copy_async_commit() {
    self->groups.push_back(std::move(self->open));
    self->open.clear();
}

template <int LEFT>
inline void copy_async_wait() {
    while (self->groups.size() > LEFT) {
        for (const Copy &copy : self->groups.front()) complete(copy);
        self->groups.erase(self->groups.begin());
    }
}

inline void load_rows(uint32_t (&to)[4], const void *row, bool transposed) {
    if ((uintptr_t)row % 16) fail("a row of a matrix that is not aligned");
    const Shown *all = exchange({{}, row});
    const unsigned lane = self->lane, g = lane / 4, t = lane % 4;
    for (int m = 0; m < 4; ++m) {
        const auto at = [&](unsigned y, unsigned x) {
            return (uint32_t)((const uint16_t *)all[8 * m + y].at)[x];
        };
        to[m] = transposed ? at(2 * t, g) | at(2 * t + 1, g) << 16
                           : at(g, 2 * t) | at(g, 2 * t + 1) << 16;
    }
}

inline void load_matrices(uint32_t (&to)[4], const void *row) { load_rows(to, row, false); }
inline void load_matrices_transposed(uint32_t (&to)[4], const void *row) {
    load_rows(to, row, true);
}

inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    const Shown *all = exchange({{a[0], a[1], a[2], a[3], b0, b1}, nullptr});
    const unsigned g = self->lane / 4, t = self->lane % 4;
    for (int i = 0; i < 4; ++i) {
        const unsigned row = g + (i / 2) * 8, column = 2 * t + i % 2;
        double sum = d[i];
        for (unsigned k = 0; k < 16; ++k) {
            const Shown &of_a = all[row % 8 * 4 + k % 8 / 2];
            const Shown &of_b = all[column * 4 + k % 8 / 2];
            const uint32_t a_word = of_a.words[(row / 8) + 2 * (k / 8)];
            const uint32_t b_word = of_b.words[4 + k / 8];
            sum += (double)bf16_at(&a_word, k % 2) * bf16_at(&b_word, k % 2);
        }
        d[i] = (float)sum;
    }
}

template <typename... A, size_t... I>
inline void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*(A *)arguments[I]...);
}

// Runs a kernel over its grid.
template <typename... A>
inline void launch(void (*kernel)(A...), const unsigned *grid, const unsigned *size,
                   size_t dynamic, void **arguments, int how) {
    struct Bound {
        void (*kernel)(A...);
        void **arguments;
    } bound{kernel, arguments};
    body = [](void *at) {
        Bound *bound = (Bound *)at;
        call(bound->kernel, bound->arguments, std::index_sequence_for<A...>());
    };
    body_arguments = &bound;
    mode = (Mode)how;
    block.grid = {grid[0], grid[1], grid[2]};
    block.size = {size[0], size[1], size[2]};
    std::vector<Thread> threads(size[0] * size[1] * size[2]);
    if (threads.empty() || threads.size() > MOST) fail("a block of an impossible size");
    const unsigned count = grid[0] * grid[1] * grid[2];
    for (unsigned b = 0; b < count; ++b) {
        const unsigned i = mode == FORWARD ? b : count - 1 - b;
        block.index = {i % grid[0], i / grid[0] % grid[1], i / (grid[0] * grid[1])};
        run_block(threads, dynamic);
    }
}

}  // namespace emu

inline void __syncthreads() { emu::leave(emu::AT_BLOCK); }

inline float __shfl_xor_sync(unsigned, float value, int step) {
    emu::Shown mine{};
    memcpy(mine.words, &value, 4);
    const emu::Shown *all = emu::exchange(mine);
    memcpy(&value, all[emu::self->lane ^ step].words, 4);
    return value;
}

inline unsigned __ballot_sync(unsigned, bool flag) {
    const emu::Shown *all = emu::exchange({{flag}, nullptr});
    unsigned flags = 0;
    for (unsigned lane = 0; lane < 32; ++lane) flags |= all[lane].words[0] << lane;
    return flags;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
