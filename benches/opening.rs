//! Opening a folder of CT: headers, then all slices, from a warm page cache, beside the plain reading of its bytes.
//! How that stands beside other software is told by `benches/peers/opening.py`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use dens::dicom::{self, Storage, Written};
use dens::jobs::JobCtx;
use dens::phantom::{PatientSpec, patient};

/// A synthetic patient of 512 x 512 as DICOM files, and how many bytes they hold.
fn study(folder: &Path) -> (usize, u64) {
    let spec = PatientSpec { matrix: 512, slice_spacing_mm: Some(0.48), ..PatientSpec::new(7) };
    let made = patient(&spec, &JobCtx::detached()).expect("nobody cancels");
    let count = made.loaded.series.slices.len();
    let mut bytes = 0;
    for index in 0..count {
        let uid = format!("2.25.{}", 1_000 + index);
        let written = Written {
            patient_name: "BENCH^SYNTHETIC",
            study_id: "1",
            frame_of_reference_uid: "2.25.1",
            sop_instance_uid: &uid,
            instance_number: index + 1,
            storage: Storage::USUAL,
        };
        let file = dicom::synthetic_ct(&made.loaded, index, &written).expect("a synthetic slice");
        bytes += file.len() as u64;
        std::fs::write(folder.join(format!("{index:04}.dcm")), file).expect("a file in a temporary folder");
    }
    (count, bytes)
}

fn opening(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (count, bytes) = study(folder.path());
    let mut group = criterion.benchmark_group(format!("{count} slices of 512 x 512"));
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    let ctx = JobCtx::detached();
    group.bench_function("read the bytes", |bencher| {
        bencher.iter(|| {
            let entries = std::fs::read_dir(folder.path()).expect("the folder");
            entries.map(|entry| std::fs::read(entry.expect("a file").path()).expect("bytes").len()).sum::<usize>()
        });
    });
    group.bench_function("headers", |bencher| {
        bencher.iter(|| black_box(dicom::scan(folder.path(), &ctx).expect("the folder")));
    });
    let series = Arc::new(dicom::scan(folder.path(), &ctx).expect("the folder").series.remove(0));
    group.bench_function("slices", |bencher| {
        bencher.iter(|| black_box(dicom::load_series(&series, 0, &ctx, &|_, _| {}).expect("a volume")));
    });
    group.finish();
}

criterion_group!(benches, opening);
criterion_main!(benches);
