//! Says which weight files ship with the program, so that it can be built without them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=models");
    for name in ["nano", "resnet50"] {
        println!("cargo::rustc-check-cfg=cfg(shipped_{name})");
        if std::path::Path::new(&format!("models/dens-{name}.safetensors")).is_file() {
            println!("cargo::rustc-cfg=shipped_{name}");
        }
    }
}
