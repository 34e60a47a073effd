#!/usr/bin/env python3
"""PyTorch at its best on the same GPU: EfficientNet-B1's forward pass or
training step at 240 pixels, channels last, bf16, torch.compile.

    gpu_torch.py forward BATCH... [--modes reduce-overhead,max-autotune]
    gpu_torch.py train BATCH... [--modes default,reduce-overhead]

Prints a line of JSON as soon as something is measured: the eager network at all
batches first, then each way to compile it, one after the other, so that what is
cut off is what takes longest. The forward pass is compiled with its weights as
constants (`freezing`), which folds batch norm; its input is normalised and on
the device in bf16, which is more than the program under test is given (bytes).
Medians of five rounds after warm-up, with synchronised clocks.
"""

import argparse
import json
import statistics
import time

import torch
import torch._inductor.config
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


def tell(what, engine, batch, measure):
    """Measures and prints; what fails is a line too, and false."""
    line = dict(what=what, engine=engine, batch=batch)
    began = time.perf_counter()
    try:
        median, low, high = (round(value) for value in measure())
        line |= dict(images_per_s=median, lowest=low, highest=high)
    except Exception as error:
        line |= dict(error=f"{type(error).__name__}: {error}"[:300])
    # With what it took to compile.
    line |= dict(seconds=round(time.perf_counter() - began))
    line |= dict(device=torch.cuda.get_device_name(), torch=torch.__version__)
    print(json.dumps(line), flush=True)
    torch.cuda.empty_cache()
    return "error" not in line


def compiled(network, mode):
    # Each batch by itself: shapes that are known make the faster code.
    torch._dynamo.reset()
    return torch.compile(network, mode=mode, dynamic=False)


def forward(batches, modes):
    torch._inductor.config.freezing = True
    model = torchvision.models.efficientnet_b1(num_classes=4).cuda().eval()
    model = model.to(torch.bfloat16, memory_format=torch.channels_last)

    def measure(batch, mode):
        images = torch.randn(batch, 3, 240, 240, device="cuda", dtype=torch.bfloat16)
        images = images.to(memory_format=torch.channels_last)
        network = compiled(model, mode) if mode else model
        return rate(lambda: network(images), batch)

    with torch.no_grad():
        for mode in [None, *modes]:
            engine = f"torch compile {mode}" if mode else "torch eager"
            for batch in batches:
                done = tell("forward", engine, batch, lambda: measure(batch, mode))
                if mode and not done and torch._inductor.config.freezing:
                    torch._inductor.config.freezing = False
                    engine += ", not frozen"
                    tell("forward", engine, batch, lambda: measure(batch, mode))


def train(batches, modes):
    def measure(batch, mode):
        images = torch.randn(batch, 3, 240, 240, device="cuda")
        images = images.to(memory_format=torch.channels_last)
        labels = torch.randint(4, (batch,), device="cuda")
        model = torchvision.models.efficientnet_b1(num_classes=4, stochastic_depth_prob=0.0)
        model = model.cuda().to(memory_format=torch.channels_last)
        optimiser = torch.optim.SGD(
            model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True
        )
        network = compiled(model, mode) if mode else model

        def step():
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

        return rate(step, batch)

    for mode in [None, *modes]:
        engine = f"torch compile {mode}" if mode else "torch eager"
        for batch in batches:
            tell("train", engine, batch, lambda: measure(batch, mode))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["forward", "train"])
    parser.add_argument("batches", type=int, nargs="+", metavar="BATCH")
    parser.add_argument("--modes", help="of torch.compile, with commas")
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    if arguments.what == "forward":
        run, modes = forward, "reduce-overhead,max-autotune"
    else:
        run, modes = train, "default,reduce-overhead"
    run(arguments.batches, (arguments.modes or modes).split(","))


if __name__ == "__main__":
    main()
