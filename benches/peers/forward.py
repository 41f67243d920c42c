"""ResNet-50 on the CPU: dens beside ONNX Runtime, OpenVINO and PyTorch, images per second in one table.

    python3 -m venv env && env/bin/pip install -r benches/peers/requirements.txt
    cargo build --release && env/bin/python benches/peers/forward.py target/release/dens

All engines run the same shapes (3 x 384 x 384, batch norm folded) on the same number of threads. They take turns, several
rounds, because the speed of a shared machine drifts: each figure is the median over the rounds of a round's median.
Engines whose package is missing are left out and named. The weights are random; the time does not depend on them.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

STAGES = [3, 4, 6, 3]
SIDE = 384


def plan():
    """The 53 convolutions as (input, output, channels in, out, kernel, stride, relu, shortcut), by names of maps."""
    layers, maps, channels, count = [], "pooled", 64, 0
    layers.append(("x", "stem", 3, 64, 7, 2, True, None))
    for stage, blocks in enumerate(STAGES):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            a, b, out, short = (f"{kind}{count}" for kind in ("a", "b", "out", "short"))
            layers.append((maps, a, channels, width, 1, 1, True, None))
            layers.append((a, b, width, width, 3, stride, True, None))
            if block == 0:
                layers.append((maps, short, channels, 4 * width, 1, stride, False, None))
            layers.append((b, out, width, 4 * width, 1, 1, True, short if block == 0 else maps))
            maps, channels, count = out, 4 * width, count + 1
    return layers, maps


def weights_of(layers):
    import numpy as np

    generator = np.random.default_rng(0)
    for _, _, inputs, outputs, kernel, *_ in layers:
        bound = (3 / (inputs * kernel * kernel)) ** 0.5
        weight = generator.uniform(-bound, bound, (outputs, inputs, kernel, kernel)).astype(np.float32)
        yield weight, generator.uniform(-0.1, 0.1, outputs).astype(np.float32)


def write_onnx(path, batch):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    layers, last = plan()
    nodes, constants = [], []
    for (source, target, _, _, kernel, stride, relu, shortcut), (weight, bias) in zip(layers, weights_of(layers)):
        constants += [numpy_helper.from_array(weight, f"w_{target}"), numpy_helper.from_array(bias, f"b_{target}")]
        value = f"conv_{target}" if relu or shortcut else target
        nodes.append(helper.make_node("Conv", [source, f"w_{target}", f"b_{target}"], [value],
                                      kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4))
        if shortcut:
            nodes.append(helper.make_node("Add", [value, shortcut], [f"sum_{target}"]))
            value = f"sum_{target}"
        if relu:
            nodes.append(helper.make_node("Relu", [value], [target]))
        if target == "stem":
            nodes.append(helper.make_node("MaxPool", ["stem"], ["pooled"], kernel_shape=[3, 3], strides=[2, 2],
                                          pads=[1] * 4))
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["y"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "resnet50", [value("x", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
                              [value("y", TensorProto.FLOAT, [batch, 2048, 1, 1])], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def picture(batch):
    import numpy as np

    return np.random.default_rng(1).normal(size=(batch, 3, SIDE, SIDE)).astype(np.float32)


def onnx_runtime(path, batch, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = picture(batch)
    return f"ONNX Runtime {onnxruntime.__version__}, f32", lambda: session.run(None, {"x": x})


def open_vino(path, batch, threads, precision):
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    request, x = compiled.create_infer_request(), picture(batch)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    name = {"float32": "f32", "bfloat16": "bf16"}.get(used, used)
    return f"OpenVINO {openvino.__version__.split('-')[0]}, {name}", lambda: request.infer({"x": x})


def pytorch(batch, threads):
    import torch

    torch.set_num_threads(threads)
    layers, last = plan()

    class Folded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = torch.nn.ModuleList()
            for (_, _, inputs, outputs, kernel, stride, *_), (weight, bias) in zip(layers, weights_of(layers)):
                conv = torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
                conv.weight.data, conv.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
                self.convs.append(conv)

        def forward(self, x):
            maps = {"x": x}
            for conv, (source, target, _, _, _, _, relu, shortcut) in zip(self.convs, layers):
                value = conv(maps[source])
                if shortcut:
                    value = value + maps[shortcut]
                maps[target] = torch.relu(value) if relu else value
                if target == "stem":
                    maps["pooled"] = torch.nn.functional.max_pool2d(maps["stem"], 3, 2, 1)
            return maps[last].mean((2, 3))

    x = torch.from_numpy(picture(batch))
    with torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(Folded().eval(), x))
        traced = torch.jit.optimize_for_inference(traced)

    def run():
        with torch.inference_mode():
            traced(x)

    return f"PyTorch {torch.__version__}, frozen, f32", run


def median_of(run, runs):
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def ours(program, device, batch, threads, runs):
    command = [program, "model", "time", "--json", "--model", "untrained", "--device", device, "--threads", str(threads),
               "--batch", str(batch), "--runs", str(runs)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["device"], report["slices_per_s"]


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the dens program, built with --release")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5, help="runs of each engine in a round")
    arguments = parser.parse_args()
    print(f"{processor()}, {arguments.threads} threads, ResNet-50, 3 x {SIDE} x {SIDE}, images per second, "
          f"median of {arguments.rounds} rounds of {arguments.runs}\n")
    for batch in arguments.batch:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "resnet50.onnx")
            engines = {}
            makers = [lambda: onnx_runtime(path, batch, arguments.threads),
                      lambda: open_vino(path, batch, arguments.threads, "f32"),
                      lambda: open_vino(path, batch, arguments.threads, None),
                      lambda: pytorch(batch, arguments.threads)]
            try:
                write_onnx(path, batch)
            except ImportError as error:
                print(f"left out: {error}", file=sys.stderr)
            for make in makers:
                try:
                    name, run = make()
                    engines[name] = run
                except Exception as error:  # a peer that is missing or refuses must not end the comparison
                    print(f"left out: {error}", file=sys.stderr)
            rates = {}
            for _ in range(arguments.rounds):
                for device in ("cpu", "cpu-bf16"):
                    name, rate = ours(arguments.program, device, batch, arguments.threads, arguments.runs)
                    rates.setdefault(f"dens, {'bf16' if 'bfloat16' in name else 'f32'}", []).append(rate)
                for name, run in engines.items():
                    rates.setdefault(name, []).append(batch / median_of(run, arguments.runs))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        print(f"| batch {batch} | images/s | spread | dens f32 is | dens bf16 is |\n|---|---|---|---|---|")
        for name, rate in medians.items():
            ratio = [f"{medians[mine] / rate:.2f} x" if mine in medians else "" for mine in ("dens, f32", "dens, bf16")]
            print(f"| {name} | {rate:.2f} | {min(rates[name]):.2f} to {max(rates[name]):.2f} | {ratio[0]} | {ratio[1]} |")
        print()


if __name__ == "__main__":
    main()
