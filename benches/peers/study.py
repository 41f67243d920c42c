"""A whole study, folder to case score: dens beside the same pipeline in Python, seconds in one table.

    python3 -m venv env && env/bin/pip install -r benches/peers/requirements.txt
    cargo build --release && env/bin/python benches/peers/study.py target/release/dens

The pipeline is the paper's, written as one writes it in Python: pydicom reads, numpy windows, scikit-image finds the bone
(Otsu) and resizes, OpenVINO runs ResNet-50 slice by slice and the BLSTM over all. The study is a synthetic neck of
512 x 512. Weights are random on both sides. Neither side's start of the program and making of the network counts.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import tempfile
import time

from forward import processor, write_onnx

WINDOWS = [(80, 300), (500, 1800), (400, 650)]
SIDE = 384
UNITS = 128


def write_lstm(path):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(2)
    shapes = {"w": (2, 4 * UNITS, 2048), "r": (2, 4 * UNITS, UNITS), "b": (2, 8 * UNITS)}
    constants = [numpy_helper.from_array(random.uniform(-0.1, 0.1, shape).astype(np.float32), name)
                 for name, shape in shapes.items()]
    node = helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=UNITS, direction="bidirectional")
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "blstm", [value("x", TensorProto.FLOAT, ["slices", 1, 2048])],
                              [value("y", TensorProto.FLOAT, ["slices", 2, 1, UNITS])], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def volume_of(folder):
    import numpy as np
    import pydicom

    slices = [pydicom.dcmread(path) for path in glob.glob(os.path.join(folder, "*.dcm"))]
    slices.sort(key=lambda image: -image.ImagePositionPatient[2])
    return np.stack([i.pixel_array * float(i.RescaleSlope) + float(i.RescaleIntercept) for i in slices]).astype(np.float32)


def network_input(hu):
    """Three windows, cropped to the bone that Otsu's threshold finds, padded to a square, resized."""
    import numpy as np
    from skimage.filters import threshold_otsu
    from skimage.measure import label, regionprops
    from skimage.transform import resize

    planes = [np.clip((hu - (centre - width / 2)) / width, 0, 1) for centre, width in WINDOWS]
    grey = np.uint8(255 * planes[2])
    boxes = [r.bbox for r in regionprops(label(grey > threshold_otsu(grey), connectivity=2)) if r.area >= 20]
    if boxes:
        top, left = np.min(boxes, axis=0)[:2]
        bottom, right = np.max(boxes, axis=0)[2:]
    else:
        (top, left), (bottom, right) = (0, 0), hu.shape
    height, width = bottom - top, right - left
    side = max(height, width)
    square = np.zeros((3, side, side), np.float32)
    y, x = (side - height) // 2, (side - width) // 2
    square[:, y : y + height, x : x + width] = [plane[top:bottom, left:right] for plane in planes]
    resized = [resize(plane, (SIDE, SIDE), order=1, anti_aliasing=True) for plane in square]
    return np.stack(resized).astype(np.float32)


class Pipeline:
    def __init__(self, folder, threads, precision):
        import openvino

        paths = [os.path.join(folder, name) for name in ("backbone.onnx", "blstm.onnx")]
        write_onnx(paths[0], 1)
        write_lstm(paths[1])
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_PRECISION_HINT": precision}
        self.backbone, self.sequence = (openvino.Core().compile_model(path, "CPU", settings) for path in paths)

    def run(self, folder):
        import numpy as np

        start = time.perf_counter()
        volume = volume_of(folder)
        loaded = time.perf_counter()
        inputs = [network_input(hu) for hu in volume]
        prepared = time.perf_counter()
        request = self.backbone.create_infer_request()
        features = np.stack([request.infer({"x": image[None]})[0].reshape(1, 2048) for image in inputs])
        self.sequence({"x": features})[0].mean()
        done = time.perf_counter()
        return {"total": done - start, "load": loaded - start, "preprocess": prepared - loaded,
                "network": done - prepared, "slices": len(volume)}


def ours(program, study, device, folder):
    out = os.path.join(folder, "findings.json")
    if os.path.exists(out):
        os.remove(out)
    subprocess.run([program, "analyze", study, "--model", "untrained", "--device", device, "--recipe", "paper",
                    "--force", "--out", out], check=True, capture_output=True)
    with open(out, encoding="utf-8") as file:
        report = json.load(file)
    return {**report["seconds"], "slices": len(report["slices"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the dens program, built with --release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precisions", default="f32,bf16", help="f32 alone where the processor has no bfloat16")
    arguments = parser.parse_args()
    devices = {"f32": "cpu", "bf16": "cpu-bf16"}
    precisions = {name: devices[name] for name in arguments.precisions.split(",")}
    threads = os.cpu_count() or 1  # dens takes all cores where it has no window
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([arguments.program, "phantom", "--out", os.path.join(folder, "study"), "--cases", "1", "--seed",
                        "113", "--matrix", "512"], check=True, capture_output=True)
        study = os.path.dirname(glob.glob(os.path.join(folder, "study", "**", "*.dcm"), recursive=True)[0])
        took = {}
        pipelines = {precision: Pipeline(folder, threads, precision) for precision in precisions}
        for _ in range(arguments.rounds):
            for precision, device in precisions.items():
                took.setdefault(f"dens, {precision}", []).append(
                    ours(arguments.program, study, device, folder))
                took.setdefault(f"Python, {precision}", []).append(pipelines[precision].run(study))
    slices = next(iter(took.values()))[0]["slices"]
    print(f"{processor()}, {threads} threads, {slices} slices of 512 x 512, ResNet-50 at {SIDE} x {SIDE} and "
          f"BLSTM-{UNITS}, seconds, median of {arguments.rounds} rounds\n")
    print("| | total | load | preprocess | network | dens is |\n|---|---|---|---|---|---|")
    medians = {name: {part: statistics.median(run[part] for run in runs)
                      for part in ("total", "load", "preprocess", "network")} for name, runs in took.items()}
    for name, parts in medians.items():
        ratio = parts["total"] / medians[f"dens, {name.split(', ')[1]}"]["total"]
        print(f"| {name} | {parts['total']:.2f} | {parts['load']:.2f} | {parts['preprocess']:.2f} | "
              f"{parts['network']:.2f} | {ratio:.2f} x |")


if __name__ == "__main__":
    main()
