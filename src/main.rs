//! Turns arguments into one `cli` command. Nothing else.

fn main() -> std::process::ExitCode {
    dens::cli::main()
}
