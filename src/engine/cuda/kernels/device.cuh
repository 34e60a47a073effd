// What all kernels share: element types, vectors of them, and the few
// instructions that C++ cannot say.
//
// Kernels say `element` for what tensors hold: bf16, or f32 where the program
// is built with HIWL_F32. All arithmetic is in f32. No CUDA header is needed,
// so that nvrtc alone compiles this. tests/cuda/emulation.h gives the same
// names on the CPU, where HIWL_EMULATED is defined: a kernel uses nothing of
// CUDA beyond what that file gives.
#pragma once

#ifdef HIWL_EMULATED
#include "emulation.h"
#else
// Arrays of a block. `type name[count]`, not initialised.
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
// The block's memory whose size the launch gives, as bytes.
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#endif

#define KERNEL extern "C" __global__ void
#define DEVICE __device__ __forceinline__

typedef unsigned char byte;
typedef unsigned int word;

// The upper half of an f32.
struct bf16 {
    unsigned short bits;
};

#ifdef HIWL_F32
typedef float element;
#else
typedef bf16 element;
#endif

// N values that are read and written at once, 16 bytes at most.
template <typename T, int N>
struct __attribute__((aligned(sizeof(T) * N < 16 ? sizeof(T) * N : 16))) Pack {
    T v[N];
};

DEVICE float bits_to_float(word bits) {
#ifdef HIWL_EMULATED
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
#else
    return __uint_as_float(bits);
#endif
}

DEVICE float to_float(float value) { return value; }
DEVICE float to_float(bf16 value) { return bits_to_float((word)value.bits << 16); }

// Two bf16 in a word, `low` first in memory; rounded to nearest even.
DEVICE word pack_bf16(float low, float high) {
#ifdef HIWL_EMULATED
    return emu::round_bf16(low) | (word)emu::round_bf16(high) << 16;
#else
    word packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
#endif
}

DEVICE void from_float(float value, float &to) { to = value; }
DEVICE void from_float(float value, bf16 &to) { to.bits = (unsigned short)pack_bf16(value, 0.0f); }

// N elements at `from`, which is aligned to a pack of them.
template <int N>
DEVICE void load(const element *from, float (&to)[N]) {
    const Pack<element, N> pack = *reinterpret_cast<const Pack<element, N> *>(from);
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = to_float(pack.v[i]);
}

// N floats at `from`, which is aligned to min(4 N, 16) bytes.
template <int N>
DEVICE void load_floats(const float *from, float (&to)[N]) {
    constexpr int STEP = N % 4 == 0 ? 4 : N % 2 == 0 ? 2 : 1;
#pragma unroll
    for (int i = 0; i < N; i += STEP) {
        const Pack<float, STEP> pack = *reinterpret_cast<const Pack<float, STEP> *>(from + i);
#pragma unroll
        for (int j = 0; j < STEP; ++j) to[i + j] = pack.v[j];
    }
}

template <int N>
DEVICE void store(element *to, const float (&from)[N]) {
    Pack<element, N> pack;
#ifdef HIWL_F32
#pragma unroll
    for (int i = 0; i < N; ++i) pack.v[i] = from[i];
#else
#pragma unroll
    for (int i = 0; i < N; i += 2) {
        const word two = pack_bf16(from[i], i + 1 < N ? from[i + 1 < N ? i + 1 : i] : 0.0f);
        pack.v[i].bits = (unsigned short)two;
        if (i + 1 < N) pack.v[i + 1 < N ? i + 1 : i].bits = (unsigned short)(two >> 16);
    }
#endif
    *reinterpret_cast<Pack<element, N> *>(to) = pack;
}

// What a value becomes by being stored.
DEVICE float rounded(float value) {
    element stored;
    from_float(value, stored);
    return to_float(stored);
}

// Exact to a few units in the last place of f32 (bf16 keeps 8 bits).
DEVICE float sigmoid(float x) {
#ifdef HIWL_EMULATED
    return 1.0f / (1.0f + expf(-x));
#elif defined(HIWL_F32)
    return 1.0f / (1.0f + expf(-x));
#else
    return __fdividef(1.0f, 1.0f + __expf(-x));
#endif
}

DEVICE float silu(float x) { return x * sigmoid(x); }

// d silu / dx
DEVICE float silu_slope(float x) {
    const float s = sigmoid(x);
    return s + x * s * (1.0f - s);
}

// The sum over the warp, in every lane.
DEVICE float warp_sum(float value) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

#ifndef HIWL_F32
// Tensor cores and asynchronous copies: PTX ISA 9.0, sections 9.7.14
// (mma.m16n8k16, ldmatrix) and 9.7.9.25 (cp.async); compute capability 8.0.
#ifdef HIWL_EMULATED
using emu::copy_async;
using emu::copy_async_commit;
using emu::copy_async_wait;
using emu::load_matrices;
using emu::load_matrices_transposed;
using emu::multiply_add;
#else
DEVICE word shared_address(const void *at) { return (word)__cvta_generic_to_shared(at); }

// Copies 16 bytes to shared memory in the background, or zeros if not `valid`.
DEVICE void copy_async(void *to, const void *from, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}

// Closes the group of the copies begun since the last one.
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `LEFT` of this thread's groups are under way.
template <int LEFT>
DEVICE void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

// Four 8×8 matrices of bf16: lane l gives the address of row l % 8 of matrix
// l / 8, and gets of each the elements (l / 4, 2 (l % 4) + {0, 1}).
DEVICE void load_matrices(word (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, each matrix transposed: elements (2 (l % 4) + {0, 1}, l / 4).
DEVICE void load_matrices_transposed(word (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// d[16×8] += a[16×16] · b[16×8] over a warp. With g = lane / 4, t = lane % 4:
// a holds (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), each with its
// right neighbour; b holds (2t, g), (2t + 8, g), each with the one below it;
// d holds (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
DEVICE void multiply_add(float (&d)[4], const word (&a)[4], word b0, word b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif
#endif
