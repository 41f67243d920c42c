"""A training step of ResNet-50 on the CPU: dens beside PyTorch, seconds in one table.

    python3 -m venv env && env/bin/pip install -r benches/peers/requirements.txt
    cargo build --release && env/bin/python benches/peers/training.py target/release/dens

A step is forward in training mode, back, and one step of Adam, f32, one logit. Both take turns for several rounds.
"""

import argparse
import json
import os
import statistics
import subprocess

from forward import STAGES, median_of, processor


def resnet50(torch):
    """torchvision's ResNet-50 with one logit, written out so that torchvision is not needed."""
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, channels, width, stride):
            super().__init__()
            def conv(a, b, kernel, stride=1):
                return [nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(b)]
            relu = nn.ReLU(inplace=True)
            self.own = nn.Sequential(*conv(channels, width, 1), relu, *conv(width, width, 3, stride), relu,
                                     *conv(width, 4 * width, 1))
            fits = stride == 1 and channels == 4 * width
            self.shortcut = nn.Identity() if fits else nn.Sequential(*conv(channels, 4 * width, 1, stride))

        def forward(self, x):
            return torch.relu(self.own(x) + self.shortcut(x))

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, blocks in enumerate(STAGES):
        for block in range(blocks):
            layers.append(Bottleneck(channels, 64 << stage, 2 if block == 0 and stage > 0 else 1))
            channels = 4 * (64 << stage)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1))


def pytorch(batch, side, threads, channels_last):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net, x = resnet50(torch).train(), torch.rand(batch, 3, side, side)
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    targets = torch.tensor([[float(i % 2)] for i in range(batch)])
    optimiser, loss = torch.optim.Adam(net.parameters(), lr=1e-4), torch.nn.BCEWithLogitsLoss()

    def step():
        optimiser.zero_grad()
        loss(net(x), targets).backward()
        optimiser.step()

    return f"PyTorch {torch.__version__}{', channels last' if channels_last else ''}", step


def ours(program, batch, side, threads, runs):
    command = [program, "model", "time", "--json", "--model", "untrained", "--device", "cpu", "--train",
               "--threads", str(threads), "--batch", str(batch), "--side", str(side), "--runs", str(runs)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["median_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the dens program, built with --release")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, nargs="+", default=[128, 224])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3, help="runs of each engine in a round")
    arguments = parser.parse_args()
    threads, batch = arguments.threads, arguments.batch
    print(f"{processor()}, {threads} threads, ResNet-50, one training step, batch {batch}, f32, "
          f"median of {arguments.rounds} rounds of {arguments.runs}\n")
    for side in arguments.side:
        engines = dict(pytorch(batch, side, threads, last) for last in (False, True))
        seconds = {}
        for _ in range(arguments.rounds):
            seconds.setdefault("dens", []).append(ours(arguments.program, batch, side, threads, arguments.runs))
            for name, step in engines.items():
                seconds.setdefault(name, []).append(median_of(step, arguments.runs))
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        print(f"| {side} x {side} | seconds | spread | dens is |\n|---|---|---|---|")
        for name, value in medians.items():
            low, high = min(seconds[name]), max(seconds[name])
            print(f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} | {value / medians['dens']:.2f} x |")
        print()


if __name__ == "__main__":
    main()
