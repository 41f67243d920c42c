"""What eight-bit integers would give and cost: the shipped ResNet-50, quantised after training, on synthetic necks.

    python3 -m venv env && env/bin/pip install -r benches/peers/requirements.txt
    cargo build --release && env/bin/python benches/peers/int8.py target/release/dens

Necks are made and scored by dens. The pictures of the scored slices, cut as dens says that it cut them, go through the same
weights in ONNX Runtime and OpenVINO: as f32, and as int8 with weights quantised per channel and activations by what other
necks showed. The first table has the speed, the second how far slice scores move and what becomes of the area under the
curve over slices. That the f32 scores are those of dens is checked first.
"""

import argparse
import csv
import glob
import json
import os
import statistics
import subprocess
import tempfile
import time

from forward import SIDE, ours, plan, processor

# Slices of each of the two necks that calibrate, and of the others every so manieth besides those with a fracture.
CALIBRATING = 24
EVERY = 4
BLOCKS = [3, 4, 6, 3]


def weights(path):
    """Batch norm folded, in the order of the plan, and the last layer."""
    import numpy as np

    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    card = json.loads(header["__metadata__"]["dens.card"])

    def tensor(name):
        entry = header["backbone." + name]
        kind = {"F16": np.float16, "F32": np.float32}[entry["dtype"]]
        begin, end = entry["data_offsets"]
        return np.frombuffer(data[begin:end], kind).astype(np.float32).reshape(entry["shape"])

    def folded(conv, norm):
        scale = tensor(norm + ".weight") / np.sqrt(tensor(norm + ".running_var") + 1e-5)
        shift = tensor(norm + ".bias") - tensor(norm + ".running_mean") * scale
        return tensor(conv + ".weight") * scale[:, None, None, None], shift

    def of_target(target):
        if target == "stem":
            return folded("conv1", "bn1")
        kind, count = target.rstrip("0123456789"), int(target.lstrip("abcdefghijklmnopqrstuvwxyz"))
        stage, block = next((s, count - sum(BLOCKS[:s])) for s in range(4) if count < sum(BLOCKS[: s + 1]))
        layer = f"layer{stage + 1}.{block}."
        if kind == "short":
            return folded(layer + "downsample.0", layer + "downsample.1")
        number = {"a": 1, "b": 2, "out": 3}[kind]
        return folded(f"{layer}conv{number}", f"{layer}bn{number}")

    layers, _ = plan()
    return card, [of_target(target) for _, target, *_ in layers], (tensor("fc.weight"), tensor("fc.bias"))


def write_onnx(path, folded, last_layer):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    layers, last = plan()
    nodes, constants = [], []
    for (source, target, _, _, kernel, stride, relu, shortcut), (weight, bias) in zip(layers, folded):
        constants += [numpy_helper.from_array(weight, f"w_{target}"), numpy_helper.from_array(bias, f"b_{target}")]
        value = f"conv_{target}" if relu or shortcut else target
        nodes.append(helper.make_node("Conv", [source, f"w_{target}", f"b_{target}"], [value], name=f"conv_{target}",
                                      kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4))
        if shortcut:
            nodes.append(helper.make_node("Add", [value, shortcut], [f"sum_{target}"], name=f"add_{target}"))
            value = f"sum_{target}"
        if relu:
            nodes.append(helper.make_node("Relu", [value], [target], name=f"relu_{target}"))
        if target == "stem":
            nodes.append(helper.make_node("MaxPool", ["stem"], ["pooled"], name="pool", kernel_shape=[3, 3],
                                          strides=[2, 2], pads=[1] * 4))
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["averaged"], name="average"))
    nodes.append(helper.make_node("Flatten", ["averaged"], ["features"], name="flatten"))
    constants += [numpy_helper.from_array(last_layer[0], "w_fc"), numpy_helper.from_array(last_layer[1], "b_fc")]
    nodes.append(helper.make_node("Gemm", ["features", "w_fc", "b_fc"], ["y"], name="fc", transB=1))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "resnet50", [value("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
                              [value("y", TensorProto.FLOAT, [1, 1])], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def picture(file, box, card):
    """A slice as the network gets it: windows first, then the square, then mean and deviation."""
    import numpy as np
    import pydicom
    from PIL import Image

    image = pydicom.dcmread(file)
    hu = image.pixel_array * np.float32(image.RescaleSlope) + np.float32(image.RescaleIntercept)
    padding = image.get("PixelPaddingValue")
    if padding is not None:
        hu[image.pixel_array == padding] = -1024
    x0, y0, x1, y1 = box
    room = int(max(0, -x0, -y0, x1 - hu.shape[1], y1 - hu.shape[0])) + 2
    channels = []
    for (width, centre), mean, deviation in zip(card["windows_width_centre"], card["mean"], card["std"]):
        grey = np.clip((hu - (centre - width / 2)) / width, 0, 1).astype(np.float32)
        grey = Image.fromarray(np.pad(grey, room))
        cut = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(x0 + room, y0 + room, x1 + room, y1 + room))
        channels.append((np.minimum(np.asarray(cut), 1) - mean) / deviation)
    return np.stack(channels).astype(np.float32)[None]


def scored(program, study, folder):
    """The slices that dens scored: file, box and score."""
    out = os.path.join(folder, "scores.json")
    subprocess.run([program, "analyze", study, "--model", "resnet50", "--force", "--out", out], check=True,
                   stderr=subprocess.DEVNULL)
    with open(out) as file:
        return [one for one in json.load(file)["slices"] if one["score"] is not None]


def auc(scores, labels):
    import numpy as np

    hurt = scores[labels]
    rest = scores[~labels]
    order = (hurt[:, None] > rest[None]).mean() + (hurt[:, None] == rest[None]).mean() / 2
    return float(order) if np.isfinite(order) else float("nan")


def main():
    import numpy as np
    import onnxruntime
    import openvino
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program", help="the dens program, built with --release")
    parser.add_argument("--model", default="models/dens-resnet50.safetensors")
    parser.add_argument("--necks", type=int, default=8, help="the first two calibrate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    card, folded, last_layer = weights(arguments.model)
    scale = card["output"]["platt"]["slice"]

    with tempfile.TemporaryDirectory() as folder:
        necks = os.path.join(folder, "necks")
        subprocess.run([arguments.program, "phantom", "--out", necks, "--cases", str(arguments.necks), "--seed", "41000",
                        "--positive-fraction", "0.6"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        labels = labels_of(necks)
        studies = sorted(glob.glob(os.path.join(necks, "*_images", "*")))
        pictures, scores, truth = [], [], []
        for index, study in enumerate(studies):
            slices = scored(arguments.program, study, folder)
            step = max(1, len(slices) // CALIBRATING) if index < 2 else EVERY
            for at, one in enumerate(slices):
                hurt = labels(os.path.basename(study), os.path.basename(one["file"]))
                if at % step and (index < 2 or not hurt):
                    continue
                file = os.path.join(study, os.path.basename(one["file"]))
                pictures.append((index, picture(file, one["box"], card["input"])))
                scores.append(one["score"])
                truth.append(hurt)
        calibrating = [p for index, p in pictures if index < 2]
        tested = [p for index, p in pictures if index >= 2]
        wanted = np.array([s for (index, _), s in zip(pictures, scores) if index >= 2])
        truth = np.array([t for (index, _), t in zip(pictures, truth) if index >= 2])

        plain, ready, small = (os.path.join(folder, name) for name in ("f32.onnx", "ready.onnx", "int8.onnx"))
        write_onnx(plain, folded, last_layer)
        quant_pre_process(plain, ready)
        engines = {}

        def runtime(path):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = arguments.threads
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            return lambda x: session.run(None, {"x": x})[0]

        def vino(path, precision):
            settings = {"INFERENCE_NUM_THREADS": arguments.threads, "PERFORMANCE_HINT": "LATENCY"}
            if precision:
                settings["INFERENCE_PRECISION_HINT"] = precision
            request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
            return lambda x: request.infer({"x": x})[0]

        class Reader(CalibrationDataReader):
            def __init__(self):
                self.left = iter(calibrating)

            def get_next(self):
                x = next(self.left, None)
                return None if x is None else {"x": x}

        for name, method in (("largest values", CalibrationMethod.MinMax), ("99.99 %", CalibrationMethod.Percentile)):
            extra = {"CalibPercentile": 99.99} if method == CalibrationMethod.Percentile else {}
            path = small.replace("int8", f"int8-{len(engines)}")
            quantize_static(ready, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=False,
                            calibrate_method=method, extra_options=extra)
            engines[f"ONNX Runtime {onnxruntime.__version__}, int8 by {name}"] = runtime(path)
            engines[f"OpenVINO {openvino.__version__.split('-')[0]}, int8 by {name}"] = vino(path, None)
        engines["ONNX Runtime, f32"] = runtime(plain)
        engines["OpenVINO, f32"] = vino(plain, "f32")
        engines["OpenVINO, its default"] = vino(plain, None)
        report(engines, tested, wanted, truth, scale, arguments)


def report(engines, tested, wanted, truth, scale, arguments):
    import numpy as np

    times = {name: [] for name in [*engines, "dens, f32"]}
    for _ in range(arguments.rounds):
        times["dens, f32"].append(ours(arguments.program, "cpu", 1, arguments.threads, 5)[1])
        for name, run in engines.items():
            run(tested[0])
            begun = time.perf_counter()
            for x in tested[:5]:
                run(x)
            times[name].append(5 / (time.perf_counter() - begun))
    print(f"{processor()}, {arguments.threads} threads, {len(tested)} slices of {arguments.necks - 2} necks, "
          f"{int(truth.sum())} with a fracture\n")
    print("| engine | images/s | largest move of a score | 99 % within | mean | AUC over slices |\n|---|---|---|---|---|---|")
    for name, run in engines.items():
        logits = np.array([float(np.ravel(run(x))[0]) for x in tested])
        moved = np.abs(1 / (1 + np.exp(-(scale["slope"] * logits + scale["intercept"]))) - wanted)
        print(f"| {name} | {statistics.median(times[name]):.1f} | {moved.max():.4f} | {np.quantile(moved, 0.99):.4f} "
              f"| {moved.mean():.5f} | {auc(logits, truth):.4f} |")
    print(f"| dens, f32 | {statistics.median(times['dens, f32']):.1f} | | | | {auc(wanted, truth):.4f} |")


def labels_of(necks):
    """Whether a slice shows a fracture, by study and file."""
    boxes = {}
    for path in glob.glob(os.path.join(necks, "*bounding_boxes.csv")):
        with open(path) as file:
            for row in csv.DictReader(file):
                boxes.setdefault(row["StudyInstanceUID"], set()).add(int(row["slice_number"]))
    return lambda study, file: int(os.path.splitext(file)[0]) in boxes.get(study, set())


if __name__ == "__main__":
    main()
