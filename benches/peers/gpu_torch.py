#!/usr/bin/env python3
"""PyTorch at its best on the same GPU: EfficientNet-B1's forward pass or
training step at 240 pixels, channels last, bf16, torch.compile.

    gpu_torch.py forward BATCH [--mode max-autotune] [--seconds 200]
    gpu_torch.py train BATCH [--mode default] [--seconds 200]

Prints a line of JSON for the eager network and one for the compiled one. The
input of the forward pass is normalised and on the device in bf16, which
is more than the program under test is given (bytes). Medians of five rounds
after warm-up, with synchronised clocks.
"""

import argparse
import json
import statistics
import time

import torch
import torchvision


def rate(run, batch):
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    times = max(3, int(0.7 / (time.perf_counter() - began)))
    rates = []
    for _ in range(5):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(times):
            run()
        torch.cuda.synchronize()
        rates.append(times * batch / (time.perf_counter() - began))
    return statistics.median(rates), min(rates), max(rates)


def tell(what, engine, batch, found, **more):
    median, low, high = (round(value) for value in found)
    print(
        json.dumps(
            dict(
                what=what, engine=engine, batch=batch, images_per_s=median, lowest=low,
                highest=high, device=torch.cuda.get_device_name(), torch=torch.__version__, **more,
            )
        ),
        flush=True,
    )


def forward(batch, mode):
    model = torchvision.models.efficientnet_b1(num_classes=4).cuda().eval()
    model = model.to(torch.bfloat16, memory_format=torch.channels_last)
    images = torch.randn(batch, 3, 240, 240, device="cuda", dtype=torch.bfloat16)
    images = images.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        tell("forward", "torch eager", batch, rate(lambda: model(images), batch))
        began = time.perf_counter()
        compiled = torch.compile(model, mode=mode)
        compiled(images)
        torch.cuda.synchronize()
        seconds = round(time.perf_counter() - began)
        found = rate(lambda: compiled(images), batch)
        tell("forward", f"torch compile {mode}", batch, found, compile_s=seconds)


def train(batch, mode):
    images = torch.randn(batch, 3, 240, 240, device="cuda")
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(4, (batch,), device="cuda")
    for engine in ("eager", f"compile {mode}"):
        model = torchvision.models.efficientnet_b1(num_classes=4, stochastic_depth_prob=0.0)
        model = model.cuda().to(memory_format=torch.channels_last)
        optimiser = torch.optim.SGD(
            model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True
        )
        network = model if engine == "eager" else torch.compile(model, mode=mode)

        def step():
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

        tell("train", f"torch {engine}", batch, rate(step, batch))
        del model, network, optimiser
        torch.cuda.empty_cache()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["forward", "train"])
    parser.add_argument("batch", type=int)
    parser.add_argument("--mode", default="max-autotune")
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    (forward if arguments.what == "forward" else train)(arguments.batch, arguments.mode)


if __name__ == "__main__":
    main()
