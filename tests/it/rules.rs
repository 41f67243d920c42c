//! The house rules, read from the sources: the module map in `src/lib.rs` is true, shaders are files, functions are
//! short, nothing strange lies at the top level. Test code (`#[cfg(test)]`, `tests.rs`) is free.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the README says: nothing in the program speaks to a network. The name of every crate that could is not known, but
/// all that do pull in one of these.
#[test]
fn no_crate_that_speaks_to_a_network_is_built_in() {
    const NETWORK: [&str; 16] = [
        "reqwest",
        "hyper",
        "ureq",
        "curl",
        "curl-sys",
        "isahc",
        "attohttpc",
        "surf",
        "rustls",
        "native-tls",
        "openssl",
        "openssl-sys",
        "socket2",
        "quinn",
        "hf-hub",
        "sentry",
    ];
    let lock = read(&root().join("Cargo.lock"));
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let found: Vec<String> = names.filter(|name| NETWORK.contains(name)).map(str::to_owned).collect();
    assert_none("crates that speak to a network", &found);
}

#[track_caller]
fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

/// Files with that extension under a folder, sorted.
fn files_under(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.expect("the sources can be read").into_path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

/// One source file as the rules see it.
struct Source {
    /// With `/`, from the root of the crate.
    name: String,
    /// The module of the map it belongs to; empty for `lib.rs` and `main.rs`.
    module: String,
    /// Without comments, without what literals hold, without test code; lines stay where they were.
    code: String,
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    files_under(&src, "rs")
        .into_iter()
        .filter_map(|path| {
            let inside = path.strip_prefix(&src).expect("found there").to_owned();
            let parts: Vec<String> = inside.iter().map(|p| p.to_string_lossy().into_owned()).collect();
            let test_file = parts.iter().any(|p| p == "tests" || p == "tests.rs" || p.ends_with("_tests.rs"));
            let module = match parts.as_slice() {
                [file] if file == "lib.rs" || file == "main.rs" => String::new(),
                [first, ..] => first.trim_end_matches(".rs").to_owned(),
                [] => return None,
            };
            let code = || without_tests(&code_only(&read(&path)));
            (!test_file).then(|| Source { name: format!("src/{}", parts.join("/")), module, code: code() })
        })
        .collect()
}

/// Blanks comments and the contents of string and character literals.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => find(bytes, at, b"\n").unwrap_or(bytes.len()),
            b'/' if bytes.get(at + 1) == Some(&b'*') => find(bytes, at + 2, b"*/").map_or(bytes.len(), |end| end + 2),
            b'"' => quoted_end(bytes, at),
            b'r' if !continues_a_word(bytes, at) => match raw_string_end(bytes, at) {
                Some(end) => end,
                None => at,
            },
            b'\'' => character_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("only whole literals and comments were blanked")
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|offset| from + offset)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte at `at` is not the first of its identifier (a `b` before `r"` apart).
fn continues_a_word(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|i| bytes[i]);
    match before(1) {
        Some(b'b') => before(2).is_some_and(is_word),
        Some(byte) => is_word(byte),
        None => false,
    }
}

fn quoted_end(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|&&b| b == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    Some(find(bytes, at + 2 + hashes, &close).map_or(bytes.len(), |end| end + close.len()))
}

/// The end of a character literal; `None` for a lifetime.
fn character_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        return find(bytes, at + 3, b"'").map(|end| end + 1);
    }
    let width = std::str::from_utf8(&bytes[at + 1..bytes.len().min(at + 5)])
        .or_else(|error| std::str::from_utf8(&bytes[at + 1..at + 1 + error.valid_up_to()]))
        .ok()?
        .chars()
        .next()?
        .len_utf8();
    (bytes.get(at + 1 + width) == Some(&b'\'')).then_some(at + 2 + width)
}

/// The offset after the brace that closes the one at `open`.
fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

/// Blanks each item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let item = start + "#[cfg(test)]".len();
        let end = match out[item..].find([';', '{']).map(|offset| item + offset) {
            Some(brace) if out.as_bytes()[brace] == b'{' => closing_brace(&out, brace),
            Some(semicolon) => semicolon + 1,
            None => out.len(),
        };
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

fn line_of(code: &str, offset: usize) -> usize {
    code[..offset].bytes().filter(|&b| b == b'\n').count() + 1
}

/// One row of the module map.
struct Row {
    module: String,
    /// `None`: all.
    may_use: Option<Vec<String>>,
    /// Crates that only rows naming them may use; `candle-*` stands for all that begin so.
    outside: Vec<String>,
}

/// The words of a comma-separated cell, without what stands in parentheses or is no name.
fn names(cell: &str) -> Vec<String> {
    let plain: String = cell
        .split('(')
        .enumerate()
        .map(|(i, part)| if i == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) })
        .collect();
    plain.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty() && !word.contains(' ')).collect()
}

fn module_map() -> Vec<Row> {
    let rows: Vec<Row> = read(&root().join("src/lib.rs"))
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("//! | [`")?.split('|').map(str::trim).collect();
            let [module, _purpose, may_use, outside, ..] = cells.as_slice() else {
                panic!("a row of the module map has too few cells: {line}");
            };
            Some(Row {
                module: module.trim_end_matches("`]").to_owned(),
                may_use: (*may_use != "all").then(|| names(may_use)),
                outside: names(outside),
            })
        })
        .collect();
    assert!(rows.len() > 10, "the module map in src/lib.rs was not found");
    rows
}

/// The first names of what stands after `crate::`, with their offsets; a group in braces gives several.
fn names_after_crate(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (offset, _) in code.match_indices("crate::") {
        // `$crate::` and `some_crate::` are other things.
        if offset > 0 && (is_word(code.as_bytes()[offset - 1]) || code.as_bytes()[offset - 1] == b'$') {
            continue;
        }
        let rest = &code[offset + "crate::".len()..];
        let word = |text: &str| text.trim_start().chars().take_while(|&c| c == '_' || c.is_alphanumeric()).collect();
        if !rest.starts_with('{') {
            found.push((offset, word(rest)));
            continue;
        }
        let mut depth = 0;
        let mut start = 1;
        for (i, c) in rest[..closing_brace(rest, 0)].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if (c == ',' && depth == 1) || depth == 0 {
                found.push((offset, word(&rest[start..i])));
                start = i + 1;
            }
        }
    }
    found
}

#[test]
fn modules_use_only_what_the_map_allows() {
    let map = module_map();
    let modules: Vec<&str> = map.iter().map(|row| row.module.as_str()).collect();
    let mut broken = Vec::new();
    for source in sources() {
        if source.module.is_empty() {
            continue;
        }
        let Some(row) = map.iter().find(|row| row.module == source.module) else {
            broken.push(format!("{} belongs to no module of the map", source.name));
            continue;
        };
        let Some(may_use) = &row.may_use else { continue };
        for (offset, name) in names_after_crate(&source.code) {
            if modules.contains(&name.as_str()) && name != row.module && !may_use.contains(&name) {
                let line = line_of(&source.code, offset);
                broken.push(format!("{}:{line} uses {name}, the map does not let {} do so", source.name, row.module));
            }
        }
    }
    assert_none("The module map in src/lib.rs is broken:", &broken);
}

#[test]
fn the_map_names_each_module_once() {
    let declared: Vec<String> = code_only(&read(&root().join("src/lib.rs")))
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.trim_end_matches(';').to_owned()))
        .collect();
    let mut mapped: Vec<String> = module_map().into_iter().map(|row| row.module).collect();
    mapped.sort();
    assert_eq!(declared, mapped, "modules of src/lib.rs and rows of its map");
}

/// Offsets of paths that begin with a crate of that name.
fn uses_of_crate(code: &str, name: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let hits = code.match_indices(name).filter(|&(offset, _)| {
        let before = code[..offset].trim_end();
        let in_front = offset == 0 || (!is_word(bytes[offset - 1]) && bytes[offset - 1] != b'$');
        let after = &code[offset + name.len()..];
        let path_start = in_front && !before.ends_with("::");
        let imported = ["use", "pub use"].iter().any(|word| before.ends_with(word));
        let import_ends = after.trim_start().starts_with([';', ' ']) || after.trim_start().starts_with("as ");
        path_start && (after.starts_with("::") || (imported && import_ends))
    });
    hits.map(|(offset, _)| offset).collect()
}

/// The dependencies of Cargo.toml that a cell's name or pattern stands for, as they are written in code.
fn crates_of(pattern: &str, dependencies: &[String]) -> Vec<String> {
    let matches = |name: &&String| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name.replace('-', "_") == pattern.replace('-', "_"),
    };
    dependencies.iter().filter(matches).map(|name| name.replace('-', "_")).collect()
}

fn dependencies() -> Vec<String> {
    let text = read(&root().join("Cargo.toml"));
    let section = text.split("[dependencies]").nth(1).expect("dependencies").split("\n[").next().expect("a section");
    section.lines().filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect()
}

#[test]
fn outside_crates_stay_in_their_modules() {
    let dependencies = dependencies();
    let map = module_map();
    // Which modules may use a confined crate.
    let mut homes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut broken = Vec::new();
    for row in &map {
        for pattern in &row.outside {
            let crates = crates_of(pattern, &dependencies);
            if crates.is_empty() {
                broken.push(format!("the map confines {pattern}, which is no dependency"));
            }
            for name in crates {
                homes.entry(name).or_default().push(&row.module);
            }
        }
    }
    for source in sources() {
        for (name, modules) in &homes {
            if !modules.contains(&source.module.as_str()) {
                for offset in uses_of_crate(&source.code, name) {
                    let line = line_of(&source.code, offset);
                    broken.push(format!("{}:{line} uses {name}, confined to {}", source.name, modules.join(", ")));
                }
            }
        }
    }
    assert_none("The module map confines outside crates:", &broken);
}

/// The shader files of each statement that includes some, in the order in which they are joined.
fn shader_programs() -> Vec<Vec<String>> {
    let mut programs = Vec::new();
    for path in files_under(&root().join("src"), "rs") {
        for statement in read(&path).split(';') {
            let included = statement.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            let shaders = included.filter(|file| file.ends_with(".wgsl"));
            let names: Vec<String> = shaders.filter_map(|file| Some(file.rsplit('/').next()?.to_owned())).collect();
            if !names.is_empty() {
                programs.push(names);
            }
        }
    }
    programs
}

#[test]
fn shaders_are_files_and_each_is_valid() {
    let mut broken = Vec::new();
    for path in files_under(&root().join("src"), "rs") {
        let text = read(&path);
        for stage in ["@vertex", "@fragment", "@compute"] {
            if text.contains(stage) {
                broken.push(format!("{} holds {stage}: shaders are files in shaders/", path.display()));
            }
        }
    }
    let folder = root().join("shaders");
    let programs = shader_programs();
    for path in if folder.is_dir() { files_under(&folder, "wgsl") } else { Vec::new() } {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if !programs.iter().any(|program| program.contains(&name)) {
            broken.push(format!("shaders/{name} is used by nobody"));
        }
    }
    for program in programs {
        let text = program.iter().map(|name| read(&folder.join(name))).collect::<Vec<_>>().join("\n");
        if let Err(error) = validated(&text, &program.join(" + ")) {
            broken.push(error);
        }
    }
    assert_none("Shaders:", &broken);
}

/// What naga has against a shader.
fn validated(text: &str, name: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string_with_path(text, name))?;
    let flags = naga::valid::ValidationFlags::all();
    let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
    validator.validate(&module).map(|_| ()).map_err(|error| error.emit_to_string_with_path(text, name))
}

#[test]
fn functions_are_short() {
    const MOST_LINES: usize = 120;
    let mut broken = Vec::new();
    for source in sources() {
        let code = &source.code;
        for (offset, _) in code.match_indices("fn ") {
            if offset > 0 && is_word(code.as_bytes()[offset - 1]) {
                continue;
            }
            let Some(body) = code[offset..].find([';', '{']).map(|at| offset + at) else { continue };
            if code.as_bytes()[body] == b'{' {
                let lines = code[offset..closing_brace(code, body)].matches('\n').count() + 1;
                if lines > MOST_LINES {
                    broken.push(format!("{}:{} has {lines} lines", source.name, line_of(code, offset)));
                }
            }
        }
    }
    assert_none("Functions of more than 120 lines:", &broken);
}

#[test]
fn nothing_is_unwrapped() {
    let unwrapped = sources().into_iter().flat_map(|source| {
        let at: Vec<usize> = source.code.match_indices(".unwrap()").map(|(offset, _)| offset).collect();
        at.into_iter().map(move |offset| format!("{}:{}", source.name, line_of(&source.code, offset)))
    });
    assert_none("unwrap() outside tests:", &unwrapped.collect::<Vec<_>>());
}

#[test]
fn the_top_level_is_tidy() {
    const ALLOWED: [&str; 20] = [
        ".ci",
        ".clippy.toml",
        ".git",
        ".gitignore",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "assets",
        "benches",
        "build.rs",
        "fuzz",
        "models",
        "rustfmt.toml",
        "setup.sh",
        "shaders",
        "src",
        "tests",
    ];
    let ignored: Vec<String> =
        read(&root().join(".gitignore")).lines().filter_map(|line| Some(line.strip_prefix('/')?.to_owned())).collect();
    let stray: Vec<String> = fs::read_dir(root())
        .expect("the root can be read")
        .map(|entry| entry.expect("the root can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| !ALLOWED.contains(&name.as_str()) && !ignored.contains(name))
        .collect();
    assert_none("At the top level lies what neither tools nor readers look for there:", &stray);
}

/// The reader of sources itself, so that a rule cannot pass because nothing was seen.
#[test]
fn sources_are_read_as_meant() {
    let text = "use crate::a; // crate::b\nlet s = \"crate::c {\"; let q = '{'; fn f<'a>() { r#\"crate::d\"#; }\n\
                #[cfg(test)]\nmod tests { use crate::e; }\nuse crate::{f::G, h::{i, j}};\n";
    let code = without_tests(&code_only(text));
    let used: Vec<String> = names_after_crate(&code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(used, ["a", "f", "h"]);
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    let uses = |code: &str| uses_of_crate(code, "wgpu").len();
    assert_eq!((uses("use wgpu::X;"), uses("use wgpu;"), uses("let d = wgpu::Y;")), (1, 1, 1));
    assert_eq!((uses("egui_wgpu::X"), uses("crate::wgpu::X"), uses("let wgpu = 1;"), uses("wgpux::Y")), (0, 0, 0, 0));
    assert_eq!(names("state, gpu (paint entry only), volume"), ["state", "gpu", "volume"]);
    assert!(names("nothing of ours").is_empty() && names("").is_empty());
    assert!(sources().len() > 20);
    assert!(validated("fn f() -> f32 { return 1.0; }", "good").is_ok() && validated("fn f() { g(); }", "bad").is_err());
}
