"""Another engine, waiting for its turn: the other side of `engine.rs`, which
says what passes between it and `forward.py`.

    peer.py ENGINE MODEL.onnx IMAGES.npy LOGITS THREADS BATCH...

Each engine is set up as its documentation advises for the case, with a graph
of fixed shape for each batch, and reads arrays that were prepared beforehand
without copying them.
"""

import itertools
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class OnnxRuntime:
    """ONNX Runtime: `callers` threads, each with a request of its own, share
    the `threads`."""

    def __init__(self, model, threads, batches, callers):
        import onnxruntime

        self.callers = callers
        self.about = f"onnxruntime {onnxruntime.__version__}"
        self.sessions = {}
        for batch in batches:
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
            options.intra_op_num_threads = threads // callers
            options.inter_op_num_threads = 1
            options.add_free_dimension_override_by_name("N", batch)
            self.sessions[batch] = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )

    def logits(self, images):
        return self.sessions[len(images)].run(None, {"images": images})[0]

    def turn(self, batches, seconds):
        session = self.sessions[len(batches[0])]

        def call(offset):
            done = 0
            for images in itertools.islice(itertools.cycle(batches), offset, None):
                if time.perf_counter() - start >= seconds:
                    return done
                session.run(None, {"images": images})
                done += len(images)

        with ThreadPoolExecutor(self.callers) as pool:
            start = time.perf_counter()
            return sum(pool.map(call, range(self.callers)))


def held(compiled):
    """Ends the program where a product of a compiled graph takes a kernel of AVX-512.
    Layers beside the products, which are OpenVINO's own and not oneDNN's, take it in
    spite of the switch: their names are returned."""
    kinds = {"products": set(), "others": set()}
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        layer, kind = info["layerType"].value, info["primitiveType"].value
        is_product = layer in ("Convolution", "FullyConnected", "MatMul")
        kinds["products" if is_product else "others"].add(f"{layer} {kind}")
    if wide := [kind for kind in kinds["products"] if "avx512" in kind]:
        sys.exit(f"products of AVX-512 in spite of ONEDNN_MAX_CPU_ISA: {', '.join(wide)}")
    if not any("avx2" in kind for kind in kinds["products"]):
        sys.exit(f"no product of AVX2: {', '.join(sorted(kinds['products']))}")
    return sorted(kind for kind in kinds["others"] if "avx512" in kind)


class OpenVino:
    """OpenVINO with a performance hint: one request at a time for latency; for
    throughput a queue of as many as it advises."""

    def __init__(self, model, threads, batches, hint, precision):
        import openvino

        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise NotImplementedError("this processor has no bf16")
        self.queue = openvino.AsyncInferQueue if hint == "THROUGHPUT" else None
        self.compiled, self.requests, wide = {}, {}, set()
        for batch in batches:
            graph = core.read_model(model)
            graph.reshape([batch, *list(graph.input().partial_shape)[1:]])
            options = {
                "PERFORMANCE_HINT": hint,
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": threads,
            }
            compiled = core.compile_model(graph, "CPU", options)
            self.compiled[batch] = compiled
            self.requests[batch] = self.queue(compiled) if self.queue else None
            if "ONEDNN_MAX_CPU_ISA" in os.environ:
                wide.update(held(compiled))
        streams = compiled.get_property("NUM_STREAMS")
        self.about = f"openvino {openvino.__version__.split('-')[0]}, streams: {streams}"
        if wide:
            self.about += f"; with AVX-512 all the same: {', '.join(sorted(wide))}"

    def logits(self, images):
        return self.compiled[len(images)](images)[0]

    def turn(self, batches, seconds):
        batch = len(batches[0])
        queue = self.requests[batch]
        request = None if queue else self.compiled[batch].create_infer_request()
        start = time.perf_counter()
        done = 0
        for images in itertools.cycle(batches):
            if time.perf_counter() - start >= seconds:
                break
            if queue:
                queue.start_async(images, share_inputs=True)
            else:
                request.infer(images, share_inputs=True, share_outputs=True)
            done += batch
        if queue:
            queue.wait_all()
        return done


ENGINES = {
    "onnxruntime": lambda *a: OnnxRuntime(*a, callers=1),
    "onnxruntime-callers": lambda model, threads, batches: OnnxRuntime(
        model, threads, batches, callers=threads
    ),
    "openvino-throughput": lambda *a: OpenVino(*a, "THROUGHPUT", "f32"),
    "openvino-latency": lambda *a: OpenVino(*a, "LATENCY", "f32"),
    "openvino-throughput-bf16": lambda *a: OpenVino(*a, "THROUGHPUT", "bf16"),
    "openvino-latency-bf16": lambda *a: OpenVino(*a, "LATENCY", "bf16"),
}


def main():
    kind, model, images, logits, threads, *sizes = sys.argv[1:]
    images = np.load(images)
    batches = {
        size: [images[i : i + size] for i in range(0, len(images), size)]
        for size in map(int, sizes)
    }
    try:
        engine = ENGINES[kind](model, int(threads), list(batches))
    except NotImplementedError as reason:
        print("absent", reason, flush=True)
        return
    every = [engine.logits(images) for group in batches.values() for images in group]
    np.concatenate(every).astype("<f4").tofile(logits)
    print("ready", engine.about, flush=True)

    for line in sys.stdin:
        batch, seconds = line.split()
        group = batches[int(batch)]
        engine.turn(group, 0.01)  # wakes its threads
        start = time.perf_counter()
        done = engine.turn(group, float(seconds))
        print(done, time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
