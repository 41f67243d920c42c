//! What precedes the network, on all threads: the crops of a whole series, found once, and the input of one slice.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use dens::jobs::JobCtx;
use dens::phantom::{PatientSpec, patient};
use dens::preprocess::{INPUT_SIZE, Recipe, network_input, plan};

fn preprocess(criterion: &mut Criterion) {
    let spec = PatientSpec { matrix: 512, slice_spacing_mm: Some(0.48), ..PatientSpec::new(7) };
    let loaded = patient(&spec, &JobCtx::detached()).expect("nobody cancels").loaded;
    let slices = loaded.volume.slices();
    let (spacing_mm, position_mm) = (loaded.series.spacing_mm.expect("a spacing"), loaded.series.position_mm());
    let mut group = criterion.benchmark_group(format!("{} slices of 512 x 512", slices.len()));
    group.sample_size(10).throughput(Throughput::Elements(slices.len() as u64));
    for recipe in Recipe::ALL {
        let crops = || plan(recipe, &loaded.volume, spacing_mm, &position_mm, &JobCtx::detached()).expect("a plan");
        group.bench_function(format!("crops, {}", recipe.name()), |bencher| bencher.iter(|| black_box(crops())));
        let (index, crop) = crops().crops.into_iter().enumerate().find_map(|(i, crop)| Some((i, crop?))).expect("one");
        group.throughput(Throughput::Elements(1)).bench_function(format!("input, {}", recipe.name()), |bencher| {
            bencher.iter(|| black_box(network_input(&slices[index], &crop, INPUT_SIZE)));
        });
        group.throughput(Throughput::Elements(slices.len() as u64));
    }
    group.finish();
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
