//! Says whether a weight file ships with the program, so that it can be built without one.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(shipped_model)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=models");
    if std::path::Path::new("models/dens-nano.safetensors").is_file() {
        println!("cargo::rustc-cfg=shipped_model");
    }
}
