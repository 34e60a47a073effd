"""torchvision's networks in PyTorch, for comparison with `cargo bench --bench candle`.

    torch_backbones.py BACKBONE f32|bf16 SIZE BATCH SECONDS

Forward in evaluation mode and steps of training (forward, backward, SGD), images/s on
two threads, convolutions channels_last, bf16 by autocast. `backbones.py` runs both in
turns.
"""

import sys
import time

import torch
import torchvision

torch.set_num_threads(2)
name, precision = sys.argv[1:3]
size, batch, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
torch.manual_seed(7)
options = {"num_classes": 4}
build = {"vit-b16": "vit_b_16"}.get(name, name.replace("-", "_"))
if name == "vit-b16":
    options["image_size"] = size
if name == "googlenet":
    options.update(aux_logits=False, init_weights=False)
if name.startswith("efficientnet"):
    options["stochastic_depth_prob"] = 0.0
network = getattr(torchvision.models, build)(**options)
network = network.to(memory_format=torch.channels_last)
images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
targets = torch.arange(batch) % 4
optimizer = torch.optim.SGD(network.parameters(), 1e-4, momentum=0.9, weight_decay=1e-4)
loss_function = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
cast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def forward():
    with torch.inference_mode(), cast:
        network(images)


def step():
    optimizer.zero_grad(set_to_none=True)
    with cast:
        loss = loss_function(network(images), targets)
    loss.backward()
    optimizer.step()


def rate(run):
    run()
    start, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - start < seconds:
        run()
        done += batch
    return done / (time.perf_counter() - start)


network.eval()
print(f"forward {rate(forward):.3f} images/s")
network.train()
print(f"step {rate(step):.3f} images/s")
