"""One network of a hiwl model file as an ONNX graph, as an exporter from
PyTorch would write it for inference: batch norm folded into the convolutions
(in f64), SiLU as Sigmoid and Mul, a batch of any size.

The names and shapes of the tensors say which layers there are; only strides
and paddings, which leave no trace in weights, are written here. Nothing of
this project's own arithmetic is used, so equal logits check both.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open
from safetensors.numpy import load_file

# Of the first depthwise convolution in each of EfficientNet's seven stages.
STAGE_STRIDES = [1, 2, 2, 2, 1, 2, 1]


class Graph:
    """An ONNX graph that grows by one layer a call; calls return the name of
    their output."""

    def __init__(self, tensors, description):
        self.tensors = {name: t.astype(np.float64) for name, t in tensors.items()}
        self.epsilon = description["architecture"]["bn_eps"]
        self.padding = description["architecture"]["padding"]
        self.nodes, self.constants = [], []

    def has(self, name):
        return name in self.tensors

    def node(self, operator, *inputs, **attributes):
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def silu(self, x):
        return self.node("Mul", x, self.node("Sigmoid", x))

    def conv(self, x, name, weight, bias, stride=1):
        side = weight.shape[2]
        if self.padding == "same":
            padding = {"auto_pad": "SAME_UPPER"}
        else:
            padding = {"pads": [(side - 1) // 2] * 4}
        # A squeeze to one channel also has filters of depth one, but of side one.
        depthwise = weight.shape[1] == 1 and side > 1
        return self.node(
            "Conv",
            x,
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", bias),
            kernel_shape=[side, side],
            strides=[stride, stride],
            group=weight.shape[0] if depthwise else 1,
            **padding,
        )

    def conv_norm(self, x, prefix, stride=1):
        """Convolution `prefix.0` and batch norm `prefix.1`, as one."""
        gamma, beta, mean, variance = (
            self.tensors[f"{prefix}.1.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + self.epsilon)
        weight = self.tensors[f"{prefix}.0.weight"] * scale[:, None, None, None]
        return self.conv(x, prefix, weight, beta - mean * scale, stride)

    def conv_bias(self, x, prefix):
        return self.conv(x, prefix, self.tensors[f"{prefix}.weight"], self.tensors[f"{prefix}.bias"])

    def mb_conv(self, x, prefix, stride):
        """An inverted bottleneck with squeeze and excite."""
        # Expand, depthwise, SE, project; without the first where nothing expands.
        expands = self.has(f"{prefix}.3.0.weight")
        depthwise, se, project = (f"{prefix}.{i + expands}" for i in range(3))
        channels = self.tensors[f"{prefix}.0.0.weight"].shape[1 if expands else 0]
        inside = self.silu(self.conv_norm(x, f"{prefix}.0")) if expands else x
        inside = self.silu(self.conv_norm(inside, depthwise, stride))
        squeezed = self.node("GlobalAveragePool", inside)
        squeezed = self.silu(self.conv_bias(squeezed, f"{se}.fc1"))
        scale = self.node("Sigmoid", self.conv_bias(squeezed, f"{se}.fc2"))
        output = self.conv_norm(self.node("Mul", scale, inside), project)
        residual = stride == 1 and self.tensors[f"{project}.0.weight"].shape[0] == channels
        return self.node("Add", output, x) if residual else output

    def network(self, x):
        x = self.silu(self.conv_norm(x, "features.0", stride=2))
        for stage, stride in enumerate(STAGE_STRIDES, 1):
            block = 0
            while self.has(f"features.{stage}.{block}.block.0.0.weight"):
                prefix = f"features.{stage}.{block}.block"
                x = self.mb_conv(x, prefix, stride if block == 0 else 1)
                block += 1
        x = self.silu(self.conv_norm(x, f"features.{len(STAGE_STRIDES) + 1}"))
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        weight, bias = (
            self.constant(f"classifier.{part}", self.tensors[f"classifier.1.{part}"])
            for part in ("weight", "bias")
        )
        return self.node("Gemm", x, weight, bias, transB=1)


def description(path):
    """What a model file says of itself."""
    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["hiwl"])


def export(path, output, stage=1):
    """Writes the network of a stage: `images` `[N, 3, size, size]`, normalised
    f32, to `logits` `[N, classes]`."""
    prefix = f"stage{stage}."
    tensors = load_file(path)
    tensors = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    about = description(path)
    size, classes = about["input"]["size"], len(about["outputs"][f"stage{stage}"])
    graph = Graph(tensors, about)
    graph.network("images")
    graph.nodes[-1].output[0] = "logits"
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            about["architecture"]["name"],
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, size, size])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, output)
