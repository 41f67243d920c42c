use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::super::keeper::Keeper;
use super::*;
use crate::geometry::{PatientPoint, SlicePose, Vec3};
use crate::measure::{Ground, Kind, Reading, Sheet, Source, Space};
use crate::state::SheetKey;

fn content(lengths: usize) -> Content {
    let pose = SlicePose {
        origin: PatientPoint(Vec3::new(-10.0, -20.0, 30.5)),
        along_row: Vec3::new(1.0, 0.0, 0.0),
        along_column: Vec3::new(0.0, 1.0, 0.0),
    };
    let ground = Ground { space: Space::Patient, pose, spacing: [0.5, 0.5], source: Source::Slice { index: 3 } };
    let mut sheet = Sheet::default();
    for i in 0..lengths {
        let at = |x: f64| PatientPoint(Vec3::new(x, 0.125 * i as f64, 30.5));
        sheet.add(Kind::Length, ground, vec![at(0.0), at(0.375)], Reading::Nothing);
    }
    sheet.content().clone()
}

fn store() -> (tempfile::TempDir, MeasureStore, SheetKey) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = MeasureStore::at(folder.path().join("measurements"));
    (folder, store, SheetKey::for_tests("a"))
}

fn names(store: &MeasureStore) -> Vec<String> {
    let all = fs::read_dir(&store.folder).expect("a folder").flatten();
    let mut names: Vec<String> = all.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_read_back() {
    let (_folder, store, key) = store();
    assert_eq!(store.read(&key), Ok(MeasuresFile::default()), "nothing was kept yet");
    store.write(&key, &content(3)).expect("written");
    assert_eq!(store.read(&key).expect("read"), MeasuresFile { content: content(3), damage: None });
    assert_eq!(store.read(&SheetKey::for_tests("b")), Ok(MeasuresFile::default()), "another series");
    assert_eq!(names(&store).len(), 1, "one file, nothing temporary");
}

#[test]
fn a_damaged_file_is_kept_aside_and_told() {
    let (_folder, store, key) = store();
    for (round, text) in
        ["{\"dens_measurements\": 1, \"meas", "", "[]", "{\"dens_measurements\": 2, \"measurements\": []}"]
            .into_iter()
            .enumerate()
    {
        store.write(&key, &content(1)).expect("written");
        fs::write(store.path(&key), text).expect("damaged");
        let file = store.read(&key).expect("read");
        assert_eq!(file.content, Content::default());
        let aside = store.path(&key).with_extension(format!("damaged-{}.json", round + 1));
        assert!(file.damage.expect("told").contains(&aside.display().to_string()));
        assert_eq!(fs::read_to_string(aside).expect("kept"), text);
    }
    store.write(&key, &content(2)).expect("written anew");
    assert_eq!(names(&store).len(), 5, "four kept aside, one new");
}

#[test]
fn one_bad_entry_does_not_cost_the_others() {
    let (_folder, store, key) = store();
    store.write(&key, &content(3)).expect("written");
    let text = fs::read_to_string(store.path(&key)).expect("there");
    fs::write(store.path(&key), text.replacen("\"length\"", "\"lenght\"", 1)).expect("changed");
    let file = store.read(&key).expect("read");
    assert_eq!(file.content.measurements.len(), 2);
    assert!(file.damage.expect("told").starts_with("1 of the entries"));
    assert_eq!(names(&store).len(), 2, "a copy of the file as it was");
}

#[test]
fn a_file_that_cannot_be_read_is_not_written_over() {
    let (_folder, store, key) = store();
    fs::create_dir_all(store.path(&key)).expect("a folder in its place");
    assert!(store.read(&key).expect_err("a sentence").contains("could not be read"));
    assert!(store.write(&key, &content(1)).is_err());
}

#[test]
fn the_keeper_writes_the_last_of_many_and_ends_when_it_is_on_disk() {
    let (_folder, store, key) = store();
    let (events, answers) = channel();
    let mut keeper = Keeper::start("test", Some(store.clone()), events, Arc::new(|_| {}));
    keeper.send(Order::Read(key.clone()));
    for n in 1..=50 {
        keeper.send(Order::Save(key.clone(), content(n)));
    }
    keeper.finish();
    assert_eq!(store.read(&key).expect("read").content, content(50));
    let answers: Vec<Event> = answers.try_iter().collect();
    assert!(matches!(answers.first(), Some(Event::MeasuresRead { .. })));
    assert!(
        matches!(answers.last(), Some(Event::MeasuresSaved { content: c, result: Ok(()), .. }) if *c == content(50))
    );
}

/// A process that is killed while it writes leaves the old or the new state, never half of one. Run as a child of the
/// test after it.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os("DENS_TEST_MEASURE_FOLDER") else { return };
    let store = MeasureStore::at(folder.into());
    for n in (1..=200).cycle() {
        store.write(&SheetKey::for_tests("a"), &content(n)).expect("written");
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_file() {
    let (_folder, store, key) = store();
    store.write(&key, &content(1)).expect("written");
    let program = std::env::current_exe().expect("this program");
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..20_u64 {
        let mut child = std::process::Command::new(&program)
            .args(["--exact", "app::measures::tests::child_that_writes_until_it_is_killed", "--nocapture"])
            .env("DENS_TEST_MEASURE_FOLDER", &store.folder)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("a child");
        std::thread::sleep(Duration::from_millis(40 + 13 * round));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let file = store.read(&key).expect("read");
        assert_eq!(file.damage, None, "round {round}");
        let n = file.content.measurements.len();
        assert!(n >= 1 && file.content == content(n), "round {round}: {n}");
        seen.insert(n);
    }
    assert!(seen.len() > 1, "the child never wrote");
}
