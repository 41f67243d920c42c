//! Opening a folder of CT: headers, then all slices, from a warm page cache, beside the plain reading of its bytes.
//! How that stands beside other software is told by `benches/peers/opening.py`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use dens::dicom;
use dens::jobs::JobCtx;

mod common;
use common::write_study;

fn opening(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (count, bytes) = write_study(folder.path(), 512, 0.48, None);
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
