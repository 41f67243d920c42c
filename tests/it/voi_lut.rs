//! VOI LUTs of files: read as the standard has them, or left out and told; the same in the window and on the command line.

use std::path::Path;

use dens::app::{App, Start};
use dens::dicom::scan;
use dens::jobs::JobCtx;
use dens::state::Command;
use dens::study::Series;
use dens::volume::{VoiTable, Window};
use egui::Key;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use crate::dicom_load::files::{Dcm, Encoding, Item};
use crate::support::dens;
use crate::ui::{is_loaded, press, until, window};

const LUTS: (u16, u16) = (0x28, 0x3010);
const ALL: [Encoding; 4] = [Encoding::ExplicitLe, Encoding::ImplicitLe, Encoding::ExplicitBe, Encoding::Deflated];

fn words(values: impl IntoIterator<Item = u16>) -> Vec<u8> {
    values.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// An item with this descriptor (its first value as signed), name and data.
fn lut(descriptor: [u16; 3], name: &str, (vr, data): (&'static str, Vec<u8>)) -> Item {
    let mut name = name.as_bytes().to_vec();
    name.resize(name.len().next_multiple_of(2), b' ');
    vec![((0x28, 0x3002), "SS", words(descriptor)), ((0x28, 0x3003), "LO", name), ((0x28, 0x3006), vr, data)]
}

fn signed(value: i16) -> u16 {
    value.cast_unsigned()
}

fn series(dcm: &Dcm, encoding: Encoding) -> Series {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("a.dcm"), dcm.bytes(encoding)).expect("written");
    let mut catalog = scan(folder.path(), &JobCtx::detached()).expect("a catalog");
    assert!(catalog.refused.is_empty(), "{:?}", catalog.refused);
    catalog.series.remove(0)
}

fn with(items: Vec<Item>, defined: bool) -> Dcm {
    Dcm::ct(0, 0.0).sequence(LUTS, defined, items).clone()
}

fn tables(series: &Series) -> Vec<&VoiTable> {
    series.file_windows.iter().filter_map(|window| window.table.as_deref()).collect()
}

#[test]
fn tables_of_every_encoding_size_and_packing_become_choices() {
    let items = vec![
        lut([4, signed(-2), 16], "BONE", ("US", words([0, 1000, 40000, 65535]))),
        // Packed bytes, an even and an odd number of them; and bytes in words of their own.
        lut([4, signed(-1000), 8], "PACKED", ("OW", vec![1, 2, 3, 255])),
        lut([3, 10, 8], "", ("OW", vec![9, 8, 7, 0])),
        lut([3, 10, 8], "WIDE", ("OW", words([9, 8, 7]))),
    ];
    for encoding in ALL {
        for defined in [false, true] {
            let mut dcm = with(items.clone(), defined);
            dcm.text((0x28, 0x1050), "DS", "40").text((0x28, 0x1051), "DS", "400");
            let series = series(&dcm, encoding);
            assert!(series.warnings.is_empty(), "{encoding:?}: {:?}", series.warnings);
            assert_eq!(series.file_windows[0], Window::linear(40.0, 400.0), "windows come first");
            let found: Vec<_> = tables(&series).iter().map(|t| (t.name(), t.first(), t.entries().to_vec())).collect();
            assert_eq!(
                found,
                [
                    ("BONE", -2, vec![0, 1000, 40000, 65535]),
                    ("PACKED", -1000, vec![1, 2, 3, 255]),
                    ("", 10, vec![9, 8, 7]),
                    ("WIDE", 10, vec![9, 8, 7])
                ],
                "{encoding:?}, lengths {defined}"
            );
        }
    }
}

#[test]
fn the_sign_of_the_first_value_is_that_of_what_is_looked_up() {
    let mut item = lut([2, signed(-1024), 16], "A", ("US", words([0, 65535])));
    item[0].1 = "US";
    // A rescale to -1024 makes signed values, whatever the type of the descriptor says.
    for encoding in ALL {
        assert_eq!(tables(&series(&with(vec![item.clone()], true), encoding))[0].first(), -1024, "{encoding:?}");
    }
    let mut dcm = with(vec![item], true);
    dcm.text((0x28, 0x1052), "DS", "0");
    assert_eq!(tables(&series(&dcm, Encoding::ImplicitLe))[0].first(), 64512);
    dcm.us((0x28, 0x103), 1);
    assert_eq!(tables(&series(&dcm, Encoding::ImplicitLe))[0].first(), -1024);
}

#[test]
fn the_largest_tables_are_read_and_more_of_them_than_sixteen_are_told() {
    let all: Vec<u8> = words(0..=u16::MAX);
    let large = lut([0, signed(-32768), 16], "ALL", ("OW", all));
    let found = series(&with(vec![large.clone(), large], false), Encoding::ExplicitLe);
    assert_eq!(tables(&found).iter().map(|t| t.entries().len()).collect::<Vec<_>>(), [65536, 65536]);
    let small = || lut([2, 0, 8], "S", ("OW", words([0, 255])));
    let found = series(&with((0..40).map(|_| small()).collect(), true), Encoding::ExplicitLe);
    assert_eq!(tables(&found).len(), 16);
    assert!(found.warnings[0].text.contains("more than 16"), "{:?}", found.warnings);
}

#[test]
fn what_contradicts_itself_is_told_and_nothing_panics() {
    let check = |item: Item, kept: usize, says: &str| {
        for (encoding, defined) in [(Encoding::ExplicitLe, true), (Encoding::ImplicitLe, false)] {
            let found = series(&with(vec![item.clone()], defined), encoding);
            assert_eq!(tables(&found).len(), kept, "{says}");
            let told = found.warnings.iter().any(|w| w.kind.name() == "voi-lut" && w.text.contains(says));
            assert!(told, "{says}: {:?}", found.warnings);
        }
    };
    check(lut([0, 0, 16], "A", ("OW", words([1, 2, 3]))), 0, "more entries than there are");
    check(lut([9, 0, 8], "A", ("OW", words([1, 2, 3]))), 0, "more entries than there are");
    check(lut([2, 0, 16], "A", ("OW", words([1, 2, 3]))), 1, "what follows its 2 entries");
    check(lut([3, 0, 8], "A", ("OW", words([0, 1000, 4095]))), 1, "8 bits, its entries need 12");
    check(lut([3, 0, 99], "A", ("OW", words([0, 10, 20]))), 1, "99 bits, its entries need 8");
    check(lut([3, 0, 16], "A", ("OW", Vec::new())), 0, "more entries than there are");
    let without = |at: usize| {
        let mut item = lut([2, 0, 8], "A", ("OW", words([0, 255])));
        item.remove(at);
        item
    };
    check(without(0), 0, "no descriptor");
    check(without(2), 0, "no data");
    let mut short = lut([2, 0, 8], "A", ("OW", words([0, 255])));
    short[0].2.truncate(4);
    check(short, 0, "three values");
    let mut modality = with(vec![lut([2, 0, 8], "A", ("OW", words([0, 255])))], true);
    modality.text((0x28, 0x1055), "LO", "");
    let mut both = Dcm::ct(0, 0.0);
    let item = || lut([2, 0, 8], "A", ("OW", words([0, 255])));
    both.sequence((0x28, 0x3000), true, vec![item()]).sequence(LUTS, true, vec![item()]);
    let found = series(&both, Encoding::ExplicitLe);
    assert!(tables(&found).is_empty() && found.warnings[0].text.contains("modality LUT"), "{:?}", found.warnings);
}

#[test]
fn no_changed_byte_of_a_table_makes_a_panic() {
    let items = vec![lut([4, signed(-2), 16], "BONE", ("US", words([0, 1000, 40000, 65535])))];
    for defined in [false, true] {
        let bytes = with(items.clone(), defined).bytes(Encoding::ExplicitLe);
        let at = bytes.windows(4).position(|w| w == [0x28, 0, 0x10, 0x30]).expect("the sequence");
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.dcm");
        for change in at..bytes.len() - 24 {
            for value in [0, 0x7F, 0xFF] {
                let mut other = bytes.clone();
                other[change] = value;
                std::fs::write(&path, other).expect("written");
                drop(scan(&path, &JobCtx::detached()).expect("a catalog"));
            }
        }
    }
}

/// Three slices of HU -1024 + 100 and on with a window and a table that falls: black is bright.
fn study(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("CT");
    std::fs::create_dir(&path).expect("a folder");
    let falling = (0..=200).rev().map(|i| i * 327).collect::<Vec<u16>>();
    for z in 1..=3 {
        let mut dcm = Dcm::ct(z + 100, f64::from(z));
        dcm.text((0x28, 0x1050), "DS", "40").text((0x28, 0x1051), "DS", "350");
        dcm.sequence(LUTS, false, vec![lut([201, signed(-1024), 16], "NEGATIVE", ("US", words(falling.clone())))]);
        std::fs::write(path.join(format!("{z}.dcm")), dcm.bytes(Encoding::ExplicitLe)).expect("written");
    }
    path
}

fn shown(harness: &Harness<'_, App>) -> Window {
    harness.state().state().active.as_ref().expect("a series").window.clone()
}

#[test]
fn a_table_is_chosen_in_the_menu_and_a_drag_goes_on_with_the_window_next_to_it() {
    let folder = tempfile::tempdir().expect("folder");
    let start = Start { paths: vec![study(folder.path())], ..Start::default() };
    let mut harness = window([1280.0, 720.0], start, folder.path(), false);
    until(&mut harness, "the series is read", is_loaded);
    press(&mut harness, Key::Backtick);
    assert_eq!(shown(&harness), Window::linear(40.0, 350.0), "the first of the file's");
    harness.get_by_label("Window").click();
    harness.run_steps(3);
    harness.get_by_label_contains("the file's own: VOI LUT NEGATIVE").click();
    harness.run_steps(3);
    let table = shown(&harness);
    assert!(table.table.is_some() && table.grey8(-1024.0) > table.grey8(-900.0));
    harness.get_by_label("Window").click();
    harness.run_steps(3);
    press(&mut harness, Key::Escape);
    let active = harness.state().state().active.as_ref().expect("a series");
    let text = dens::study::describe::corner_text(&active.series, 0, &active.window, 1.0, Default::default());
    assert_eq!(text.bottom_right[0], "VOI LUT NEGATIVE");
    // Kept under a name it is the window next to it, since the table is the file's.
    harness.state_mut().command(Command::StoreUserWindow);
    harness.state_mut().command(Command::DragWindow { width: 20.0, center: -4.0 });
    harness.run_steps(2);
    assert_eq!(shown(&harness), Window::linear(-928.0, 220.0));
    assert_eq!(harness.state().state().settings.user_windows[0].window, Window::linear(-924.0, 200.0));
}

#[test]
fn the_command_line_shows_the_same_and_lists_what_there_is() {
    let folder = tempfile::tempdir().expect("folder");
    study(folder.path());
    let listed = dens(&["info", "CT"], folder.path());
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.contains("file:1 W 350 L 40, file:2 VOI LUT NEGATIVE"), "{listed}");
    let output =
        dens(&["render", "CT", "--slice", "1", "--window", "file:2", "--exact", "--out", "a.png"], folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The first slice from the head has stored values from 103 on, the table 201 entries from stored 0 on.
    let expected: Vec<u8> = (103..115).map(|stored| ((200 - stored) * 327 * 255 / 65535) as u8).collect();
    assert_eq!(image::open(folder.path().join("a.png")).expect("a PNG").into_luma8().into_raw(), expected);
    let plane = ["render", "CT", "--plane", "axial", "--at", "2", "--window", "file:2", "--exact", "--out", "b.png"];
    assert!(dens(&plane, folder.path()).status.success());
    let plane = image::open(folder.path().join("b.png")).expect("a PNG").into_luma8().into_raw();
    assert!(plane.iter().max() > Some(&120) && plane.windows(2).any(|pair| pair[0] > pair[1]), "{plane:?}");
    let refused = dens(&["render", "CT", "--slice", "1", "--window", "file:3", "--out", "c.png"], folder.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the file offers file:1 W 350 L 40, file:2 VOI LUT"));
}
