//! Core-seconds for one synthetic patient: a pool of one thread, so that the time on the clock is the core's.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use dens::jobs::JobCtx;
use dens::phantom::{PatientSpec, patient};

/// The spacings below give this patient the slices of the names.
const SEED: u64 = 7;

fn patients(criterion: &mut Criterion) {
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut group = criterion.benchmark_group("phantom, core-seconds");
    group.sample_size(10);
    for (name, matrix, spacing_mm) in [("512x512x200", 512, 0.715), ("256x256x77", 256, 1.875)] {
        let spec = PatientSpec { matrix, slice_spacing_mm: Some(spacing_mm), ..PatientSpec::new(SEED) };
        let make = || patient(&spec, &JobCtx::detached()).expect("nobody cancels");
        group.bench_function(name, |bencher| one_core.install(|| bencher.iter(|| black_box(make()))));
    }
    group.finish();
}

criterion_group!(benches, patients);
criterion_main!(benches);
