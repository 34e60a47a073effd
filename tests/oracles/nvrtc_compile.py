#!/usr/bin/env python3
"""Compiles every CUDA kernel to device code with NVIDIA's own compiler, which
needs no GPU: nvrtc_compile.py FOLDER TARGET...

Prints a line a kernel with its registers and spilled bytes, as ptxas gives
them. A warning or an error ends it.
"""

import ctypes
import glob
import os
import re
import sys

import nvidia


def library():
    folders = [os.path.join(path, "cu13/lib") for path in nvidia.__path__]
    for folder in folders:
        # The compiler opens its builtins by name; they have to be open already.
        for name in glob.glob(os.path.join(folder, "libnvrtc-builtins.so.*")):
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        for name in glob.glob(os.path.join(folder, "libnvrtc.so.*")):
            return ctypes.CDLL(name)
    sys.exit(f"no libnvrtc in {folders}")


def text(nvrtc, program, size, get):
    count = ctypes.c_size_t()
    assert getattr(nvrtc, size)(program, ctypes.byref(count)) == 0
    room = ctypes.create_string_buffer(count.value)
    assert getattr(nvrtc, get)(program, room) == 0
    return room.raw


def compile_file(nvrtc, folder, name, options):
    read = lambda file: open(os.path.join(folder, file), "rb").read()
    program = ctypes.c_void_p()
    headers = (ctypes.c_char_p * 1)(read("device.cuh"))
    names = (ctypes.c_char_p * 1)(b"device.cuh")
    code = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), read(name), name.encode(), 1, headers, names
    )
    assert code == 0, code
    words = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    code = nvrtc.nvrtcCompileProgram(program, len(options), words)
    log = text(nvrtc, program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog").decode()
    if code or "warning" in log:
        sys.exit(f"{name} {options}: error {code}\n{log}")
    binary = text(nvrtc, program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
    assert binary[:4] == b"\x7fELF", name
    return log


def main():
    folder, targets = sys.argv[1], sys.argv[2:]
    nvrtc = library()
    files = sorted(name for name in os.listdir(folder) if name.endswith(".cu"))
    for target in targets:
        for name in files:
            own = name.endswith("_f32.cu")
            # As in src/engine/cuda/kernels/sources.rs.
            modes = [["--ftz=true"]] if not own else [["-DHIWL_F32=1"]]
            if not own and name.replace(".cu", "_f32.cu") not in files:
                modes.append(["-DHIWL_F32=1"])
            for mode in modes:
                options = ["--std=c++17", f"--gpu-architecture={target}", "--ptxas-options=-v"]
                log = compile_file(nvrtc, folder, name, options + mode)
                kernels = re.findall(r"Function properties for (\w+)", log)
                spills = re.findall(r"(\d+) bytes spill stores", log)
                registers = re.findall(r"Used (\d+) registers", log)
                assert len(kernels) == len(spills) == len(registers) > 0, log
                precision = "f32" if "-DHIWL_F32=1" in mode else "bf16"
                for kernel, count, spilled in zip(kernels, registers, spills):
                    print(f"{target} {precision} {kernel} registers {count} spilled {spilled}")


if __name__ == "__main__":
    main()
