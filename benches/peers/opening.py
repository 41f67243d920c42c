"""Opening a folder of CT, all slices to values in HU: dens beside SimpleITK and pydicom, seconds in one table.

    python3 -m venv env && env/bin/pip install -r benches/peers/requirements.txt
    cargo build --release && env/bin/python benches/peers/opening.py target/release/dens

Writes a study of noise in several transfer syntaxes to a temporary folder, so that everything comes from the page cache,
and lets the programs take turns. The time of starting a program is in none of the figures.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import tempfile

from forward import median_of, processor

PLAIN = "1.2.840.10008.1.2.1"
SYNTAXES = {
    "uncompressed": PLAIN,
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG Lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


def jpeg_lossless(pixels):
    """Encapsulated, by GDCM as it comes with SimpleITK: pydicom has no encoder for it."""
    import pydicom
    import SimpleITK

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "slice.dcm")
        writer = SimpleITK.ImageFileWriter()
        writer.SetFileName(path)
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.Execute(SimpleITK.GetImageFromArray(pixels[None]))
        written = pydicom.dcmread(path)
    stated = written.file_meta.TransferSyntaxUID, written.BitsStored, written.PixelRepresentation
    assert stated == (SYNTAXES["JPEG Lossless"], 16, 1), stated
    return written.PixelData


def write_study(folder, slices, side, syntax):
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import generate_uid

    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] - side / 2
    body = np.where(y * y + x * x < (0.4 * side) ** 2, 40, -1000)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for index in range(slices):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = PLAIN
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.Modality, image.InstanceNumber, image.BodyPartExamined = "CT", index + 1, "CSPINE"
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.PatientName, image.PatientID = "BENCH^NOISE", "1"
        image.ImagePositionPatient, image.ImageOrientationPatient = [-125, -125, -float(index)], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.SliceThickness = [250 / side] * 2, 1
        image.Rows = image.Columns = side
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, 0, "HU"
        noise = random.normal(0, 20, (side, side))
        pixels = np.rint(body + noise).astype("<i2")
        image.PixelData = pixels.tobytes()
        image["PixelData"].VR = "OW"
        if syntax == SYNTAXES["JPEG Lossless"]:
            image.file_meta.TransferSyntaxUID = syntax
            image.PixelData = jpeg_lossless(pixels)
            image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
        elif syntax != PLAIN:
            image.compress(syntax, generate_instance_uid=False)
        image.save_as(os.path.join(folder, f"{index:04d}.dcm"), enforce_file_format=True)


def read_bytes(folder):
    for path in glob.glob(os.path.join(folder, "*")):
        with open(path, "rb") as file:
            file.read()


def read_and_copy(folder, pixels):
    """The least that values in one array ask for, where pixels are at the end of their files as they are."""
    import numpy as np

    paths = glob.glob(os.path.join(folder, "*"))
    volume = np.empty((len(paths), pixels), np.int16)
    for index, path in enumerate(paths):
        with open(path, "rb") as file:
            content = file.read()
        volume[index] = np.frombuffer(content, np.int16, pixels, len(content) - 2 * pixels)
    return volume


def simple_itk(folder):
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    return SimpleITK.GetArrayViewFromImage(reader.Execute())


def with_pydicom(folder):
    import numpy as np
    import pydicom

    slices = [pydicom.dcmread(path) for path in glob.glob(os.path.join(folder, "*"))]
    slices.sort(key=lambda image: -image.ImagePositionPatient[2])
    return np.stack([image.pixel_array * int(image.RescaleSlope) + int(image.RescaleIntercept) for image in slices])


def ours(program, folder, runs):
    seconds = []
    for _ in range(runs):
        report = subprocess.run([program, "info", "--json", "--time", folder], check=True, capture_output=True, text=True)
        took = json.loads(report.stdout)["seconds"]
        seconds.append(took["headers"] + took["slices"])
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the dens program, built with --release")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--syntaxes", default=",".join(SYNTAXES), help="some of them, as in the table")
    parser.add_argument("--runs", type=int, default=3, help="runs of each program in a round")
    arguments = parser.parse_args()
    import pydicom
    import SimpleITK

    print(f"{processor()}, {os.cpu_count()} cores, {arguments.slices} slices of {arguments.side} x {arguments.side}, "
          f"SimpleITK {SimpleITK.Version.VersionString()}, pydicom {pydicom.__version__}, "
          f"median of {arguments.rounds} rounds of {arguments.runs}\n")
    print("| syntax | dens, s | plain read, s | read and copy, s | SimpleITK, s | dens is | pydicom, s | dens is |\n"
          "|---|---|---|---|---|---|---|---|")
    for name in arguments.syntaxes.split(","):
        syntax = SYNTAXES[name]
        with tempfile.TemporaryDirectory() as folder:
            write_study(folder, arguments.slices, arguments.side, syntax)
            programs = {
                "dens": lambda: ours(arguments.program, folder, arguments.runs),
                "read": lambda: median_of(lambda: read_bytes(folder), arguments.runs),
                "itk": lambda: median_of(lambda: simple_itk(folder), arguments.runs),
                "pydicom": lambda: median_of(lambda: with_pydicom(folder), arguments.runs),
            }
            if syntax == PLAIN:
                pixels = arguments.side ** 2
                programs["copy"] = lambda: median_of(lambda: read_and_copy(folder, pixels), arguments.runs)
            seconds = {program: [] for program in programs}
            for _ in range(arguments.rounds):
                for program, run in programs.items():
                    seconds[program].append(run())
            dens, read, itk, other, *copy = (statistics.median(times) for times in seconds.values())
            copied = f"{copy[0]:.3f}" if copy else ""
            print(f"| {name} | {dens:.3f} | {read:.3f} | {copied} | {itk:.3f} | {itk / dens:.1f} x | {other:.3f} | "
                  f"{other / dens:.1f} x |", flush=True)


if __name__ == "__main__":
    main()
