"""Training steps of torchvision's EfficientNet-B1 in PyTorch, channels_last,
for comparison with `cargo bench --bench train`.

    torch_steps.py f32|bf16 [batch] [rounds] [sizes...]

`train.py` runs both in turns.
"""

import resource
import sys
import time

import torch
import torchvision

torch.set_num_threads(2)
precision = sys.argv[1]
numbers = [int(a) for a in sys.argv[2:]]
batch = numbers[0] if numbers else 24
rounds = numbers[1] if len(numbers) > 1 else 5
sizes = numbers[2:] or [240, 128]

torch.manual_seed(7)
network = torchvision.models.efficientnet_b1(num_classes=4, stochastic_depth_prob=0.0)
network = network.to(memory_format=torch.channels_last).train()
optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
loss_function = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
print("torch", torch.__version__, "threads", torch.get_num_threads())
for size in sizes:
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    targets = torch.arange(batch) % 4
    wall, cpu = [], []
    for step in range(rounds + 1):
        start = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_function(network(images), targets)
        loss.backward()
        optimizer.step()
        if step:
            wall.append(time.perf_counter() - start[0])
            cpu.append(time.process_time() - start[1])
    wall.sort()
    cpu.sort()
    print(
        f"{precision} {size} px, batch {batch}: {batch / wall[len(wall) // 2]:.1f} images/s (median),"
        f" {batch / wall[0]:.1f} (best), {batch / cpu[len(cpu) // 2]:.1f} a CPU second"
    )
print("peak memory:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "kB")
