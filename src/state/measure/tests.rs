use std::path::PathBuf;

use super::*;
use crate::geometry::Plane;
use crate::study::{Catalog, Patient, SliceInfo, StudyInfo, Technique};
use crate::volume::{SlicePixels, Volume};

const SIZE: usize = 20;

/// Axial slices 2 mm apart from z 0 to the feet, 1 mm pixels, each with its own value; or without place or spacing.
fn series(slices: usize, placed: bool, spacing_mm: Option<[f64; 2]>, uid: &str) -> Series {
    let pose = |i: usize| SlicePose {
        origin: PatientPoint(Vec3::new(0.0, 0.0, -2.0 * i as f64)),
        along_row: Vec3::new(1.0, 0.0, 0.0),
        along_column: Vec3::new(0.0, 1.0, 0.0),
    };
    let info = |i: usize| SliceInfo {
        path: PathBuf::new(),
        packed: None,
        frame: None,
        file: format!("{i}"),
        sop_instance_uid: String::new(),
        instance_number: None,
        pose: placed.then(|| pose(i)),
    };
    Series {
        uid: uid.into(),
        frame_of_reference: "9.9".into(),
        study: Arc::new(StudyInfo::default()),
        patient: Arc::new(Patient::default()),
        modality: "CT".into(),
        number: None,
        description: String::new(),
        rows: SIZE,
        columns: SIZE,
        spacing_mm,
        slice_spacing_mm: placed.then_some(2.0),
        slices: (0..slices).map(info).collect(),
        technique: Technique::default(),
        photometric: Photometric::Monochrome2,
        values_are_hu: true,
        is_localizer: false,
        part: None,
        file_windows: Vec::new(),
        file_window_names: Vec::new(),
        reformatted: None,
        warnings: Vec::new(),
    }
}

fn slice(value: i16) -> Arc<Slice> {
    let pixels = SlicePixels::I16(vec![value; SIZE * SIZE].into());
    Arc::new(Slice { rows: SIZE, columns: SIZE, pixels, padding: None })
}

struct Opened {
    state: AppState,
    /// What was asked for and what was to be written, in order.
    effects: Vec<Effect>,
}

impl Opened {
    fn new(series: Series) -> Self {
        let mut opened =
            Self { state: AppState::new(Settings { auto_analyse: false, ..Settings::default() }), effects: Vec::new() };
        opened.apply(Command::OpenPath("/study".into()));
        let request = opened.state.scan_request;
        let catalog = Catalog { series: vec![series], ..Catalog::default() };
        opened.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
        opened
    }
    fn load(mut self) -> Self {
        let series = self.active().series.clone();
        let values = 0..i16::try_from(series.slices.len()).expect("few");
        let volume = Arc::new(Volume::new(values.map(|i| slice(100 * i)).collect()).expect("one size"));
        let request = self.state.load_request;
        let result = Ok((LoadedSeries { series, volume }, Vec::new()));
        self.receive(Event::Loaded { request, result, seconds: 0.0 });
        self
    }
    /// The answer of a disk on which nothing was kept, or this.
    fn kept(mut self, content: Content) -> Self {
        let key = self.key().expect("asked for");
        self.receive(Event::MeasuresRead { key, result: Ok(MeasuresFile { content, damage: None }) });
        self
    }
    fn apply(&mut self, command: Command) {
        let effects = self.state.apply(command);
        self.effects.extend(effects);
    }
    fn measure(&mut self, command: MeasureCommand) {
        self.apply(Command::Measure(command));
    }
    fn receive(&mut self, event: Event) {
        let effects = self.state.receive(event);
        self.effects.extend(effects);
    }
    fn active(&self) -> &ActiveSeries {
        self.state.active.as_ref().expect("a series")
    }
    fn key(&self) -> Option<SheetKey> {
        self.effects.iter().rev().find_map(|e| match e {
            Effect::ReadMeasures { key } => Some(key.clone()),
            _ => None,
        })
    }
    fn saves(&self) -> usize {
        self.effects.iter().filter(|e| matches!(e, Effect::SaveMeasures { .. })).count()
    }
    fn draw(&mut self, kind: Kind, pane: Pane, points: &[[f64; 3]]) -> Option<MeasureId> {
        self.apply(Command::SetTool(Tool::Measure(kind)));
        for [x, y, z] in points {
            let at = PatientPoint(Vec3::new(*x, *y, *z));
            self.measure(MeasureCommand::Preview(at));
            self.measure(MeasureCommand::Place { pane, at });
        }
        self.active().measures.sheet.selected
    }
    fn reading(&self, id: MeasureId) -> Reading {
        self.active().measures.sheet.get(id).expect("there").reading
    }
    fn shows(&self, pane: Pane, id: MeasureId) -> bool {
        let active = self.active();
        active.shows(pane, self.state.slab, active.measures.sheet.get(id).expect("there"))
    }
}

fn neck() -> Opened {
    Opened::new(series(9, true, Some([1.0, 1.0]), "1.2.3")).load().kept(Content::default())
}

const SAGITTAL: Pane = Pane::Across(Plane::Sagittal);

#[test]
fn a_measurement_stands_on_its_slice_and_nowhere_else() {
    let mut neck = neck();
    let id = neck.draw(Kind::Length, Pane::Slices, &[[2.0, 3.0, -8.0], [5.0, 7.0, -8.0]]).expect("drawn");
    assert_eq!(neck.reading(id), Reading::Length(5.0));
    assert!(neck.shows(Pane::Slices, id));
    assert!(!neck.shows(SAGITTAL, id), "it crosses that plane");
    neck.apply(Command::ScrollBy(1));
    assert!(!neck.shows(Pane::Slices, id));
    neck.measure(MeasureCommand::GoTo(id));
    assert_eq!(neck.active().current, 4);
    assert!(neck.shows(Pane::Slices, id));
}

#[test]
fn what_is_drawn_on_a_leaning_plane_is_shown_there_and_found_again() {
    let mut neck = neck();
    let axial = Pane::Across(Plane::Axial);
    let at = neck.active().planes.as_ref().expect("planes").crosshair;
    neck.apply(Command::TurnPlanes { within: Plane::Sagittal, degrees: 20.0, only: None });
    // Along the body's L-R axis, about which the plane leans, and along the leaning plane.
    let along = |state: &AppState| {
        let active = state.active.as_ref().expect("active");
        active.planes.as_ref().expect("planes").grid(Plane::Axial).expect("a plane").pose
    };
    let pose = along(&neck.state);
    let to = at.0 + pose.along_column * 3.0;
    let flat =
        neck.draw(Kind::Length, axial, &[[at.0.x, at.0.y, at.0.z], [at.0.x + 2.0, at.0.y, at.0.z]]).expect("drawn");
    let leaning = neck.draw(Kind::Length, axial, &[[at.0.x, at.0.y, at.0.z], [to.x, to.y, to.z]]).expect("drawn");
    assert!(matches!(neck.reading(leaning), Reading::Length(mm) if (mm - 3.0).abs() < 1e-9));
    assert!(neck.shows(axial, flat) && neck.shows(axial, leaning));
    let place = measure::place(neck.active().measures.sheet.get(leaning).expect("there"));
    assert!(place.starts_with("axial, oblique, 20\u{b0} about L-R, through ("), "{place}");
    neck.apply(Command::StandUp);
    assert!(neck.shows(SAGITTAL, leaning), "both lie in the sagittal plane");
    assert!(!neck.shows(Pane::Slices, leaning), "it crosses the slices");
    neck.measure(MeasureCommand::GoTo(leaning));
    assert_eq!(neck.state.focused_pane(), axial);
    assert!(neck.shows(axial, leaning), "the plane leans as it did");
    assert!((along(&neck.state).normal() - pose.normal()).length() < 1e-9);
    // What lies on a slice is shown on the slice.
    let z = neck.active().series.slices[3].pose.expect("a pose").origin.0.z;
    neck.apply(Command::StandUp);
    let on_slice = neck.draw(Kind::Length, Pane::Slices, &[[2.0, 3.0, z], [5.0, 7.0, z]]);
    neck.apply(Command::TurnBy(5.0));
    if let Some(id) = on_slice {
        neck.measure(MeasureCommand::GoTo(id));
        assert_eq!(neck.state.focused_pane(), Pane::Slices);
    }
}

#[test]
fn a_length_along_two_planes_is_shown_in_both_and_a_pin_in_all() {
    let mut neck = neck();
    let x = neck.active().planes.as_ref().expect("planes").crosshair.0.x;
    let id = neck.draw(Kind::Length, Pane::Slices, &[[x, 3.0, -8.0], [x, 7.0, -8.0]]).expect("drawn");
    assert!(neck.shows(Pane::Slices, id) && neck.shows(SAGITTAL, id));
    let pin = neck.draw(Kind::Pin, SAGITTAL, &[[x, 9.0, -8.4]]).expect("drawn");
    neck.measure(MeasureCommand::GoTo(pin));
    for pane in [Pane::Slices, SAGITTAL, Pane::Across(Plane::Coronal)] {
        assert!(neck.shows(pane, pin), "{pane:?}");
    }
    // Interpolated between the slices of 400 and 500.
    assert_eq!(neck.reading(pin), Reading::Value(Some(420.0)));
    let x = x + 3.0;
    neck.apply(Command::MoveCrosshair(PatientPoint(Vec3::new(x, 9.0, -8.4))));
    assert!(!neck.shows(SAGITTAL, pin) && !neck.shows(SAGITTAL, id));
    neck.measure(MeasureCommand::GoTo(pin));
    assert!(neck.shows(SAGITTAL, pin), "the jump goes to the plane of a measurement, too");
    assert_eq!(neck.state.focused_pane(), SAGITTAL);
}

#[test]
fn regions_read_the_exact_slice_and_slabs_say_so() {
    let mut neck = neck();
    let id = neck.draw(Kind::Ellipse, Pane::Slices, &[[2.0, 2.0, -8.0], [12.0, 9.0, -8.0]]).expect("drawn");
    let Reading::Region(r) = neck.reading(id) else { panic!("no region") };
    assert_eq!(r.statistics.map(|s| (s.mean, s.sd)), Some((400.0, 0.0)));
    neck.apply(Command::CycleProjection);
    let axial = neck.state.focused_pane();
    assert_eq!(axial, Pane::Across(Plane::Axial));
    let id = neck.draw(Kind::Pin, axial, &[[3.0, 3.0, -8.0]]).expect("drawn");
    assert_eq!(
        neck.reading(id),
        Reading::Value(Some(525.0)),
        "of the slab's lower face, a quarter beyond the next slice"
    );
    neck.apply(Command::ShowPlane(Plane::Sagittal));
    neck.apply(Command::CycleProjection);
    let x = neck.active().planes.as_ref().expect("planes").crosshair.0.x;
    let id = neck.draw(Kind::Rectangle, SAGITTAL, &[[x, 4.0, -3.0], [x, 9.0, -13.0]]).expect("drawn");
    let m = neck.active().measures.sheet.get(id).expect("there");
    assert!(measure::remark(m, neck.active().values()).expect("said").starts_with("MIP of"));
}

#[test]
fn handles_and_wholes_are_dragged_and_undone() {
    let mut neck = neck();
    let id = neck.draw(Kind::Length, Pane::Slices, &[[2.0, 3.0, -8.0], [5.0, 7.0, -8.0]]).expect("drawn");
    let at = |x: f64, y: f64| PatientPoint(Vec3::new(x, y, -8.0));
    let saves = neck.saves();
    neck.measure(MeasureCommand::Grab { id, part: Part::Handle(1), pane: Pane::Slices, at: at(5.0, 7.0) });
    neck.measure(MeasureCommand::DragTo(at(3.0, 3.0)));
    neck.measure(MeasureCommand::DragTo(at(8.0, 11.0)));
    assert_eq!(neck.saves(), saves, "not on every step of a drag");
    neck.measure(MeasureCommand::EndDrag);
    assert_eq!((neck.reading(id), neck.saves()), (Reading::Length(10.0), saves + 1));
    neck.measure(MeasureCommand::Grab { id, part: Part::Whole, pane: Pane::Slices, at: at(4.0, 4.0) });
    neck.measure(MeasureCommand::DragTo(at(5.0, 4.0)));
    neck.measure(MeasureCommand::EndDrag);
    let first = |neck: &Opened| neck.active().measures.sheet.get(id).expect("there").points[0].0;
    assert_eq!(first(&neck), Vec3::new(3.0, 3.0, -8.0));
    neck.measure(MeasureCommand::Nudge { steps: [1, -1], fine: false });
    neck.measure(MeasureCommand::Nudge { steps: [1, 0], fine: true });
    assert!((first(&neck) - Vec3::new(4.1, 2.0, -8.0)).length() < 1e-9);
    neck.apply(Command::FlipHorizontal);
    neck.measure(MeasureCommand::Nudge { steps: [1, 0], fine: false });
    assert!((first(&neck).x - 3.1).abs() < 1e-9, "right is where the reader sees it");
    for _ in 0..2 {
        neck.measure(MeasureCommand::Undo);
    }
    assert_eq!(first(&neck), Vec3::new(2.0, 3.0, -8.0));
    neck.measure(MeasureCommand::Redo);
    assert_eq!(first(&neck), Vec3::new(3.0, 3.0, -8.0));
    neck.measure(MeasureCommand::Rename(id, "gap\n".into()));
    neck.measure(MeasureCommand::DeleteSelected);
    assert!(neck.active().measures.sheet.measurements().is_empty());
    neck.measure(MeasureCommand::Undo);
    assert_eq!(neck.active().measures.sheet.get(id).map(|m| m.name.as_str()), Some("gap"));
    neck.measure(MeasureCommand::Clear);
    neck.measure(MeasureCommand::Undo);
    neck.measure(MeasureCommand::Undo);
    assert_eq!(neck.active().measures.sheet.get(id).map(|m| m.name.as_str()), Some(""));
}

#[test]
fn escape_ends_one_thing_at_a_time_and_destroys_nothing() {
    let mut neck = neck();
    let id = neck.draw(Kind::Length, Pane::Slices, &[[2.0, 3.0, -8.0], [5.0, 7.0, -8.0]]).expect("drawn");
    neck.draw(Kind::Angle, Pane::Slices, &[[2.0, 3.0, -8.0]]);
    assert!(neck.active().measures.draft.is_some());
    neck.apply(Command::Escape);
    assert!(neck.active().measures.draft.is_none() && neck.state.tool == Tool::Measure(Kind::Angle));
    neck.measure(MeasureCommand::Select(Some(id)));
    neck.apply(Command::Escape);
    assert_eq!(neck.active().measures.sheet.selected, None);
    neck.apply(Command::Escape);
    assert_eq!(neck.state.tool, Tool::Window);
    assert_eq!(neck.active().measures.sheet.measurements().len(), 1);
}

#[test]
fn two_clicks_on_one_place_draw_nothing() {
    let mut neck = neck();
    assert_eq!(neck.draw(Kind::Length, Pane::Slices, &[[2.0, 3.0, -8.0], [2.0, 3.0, -8.0]]), None);
    assert!(!neck.active().measures.sheet.can_undo() && neck.saves() == 0);
}

#[test]
fn without_spacing_values_are_pixels_and_without_place_they_keep_their_slice() {
    let unplaced = |spacing| {
        let mut opened = Opened::new(series(3, false, spacing, "1.2.4")).load().kept(Content::default());
        let id = opened.draw(Kind::Length, Pane::Slices, &[[2.0, 3.0, 0.0], [5.0, 7.0, 0.0]]).expect("drawn");
        assert!(opened.shows(Pane::Slices, id));
        opened.apply(Command::GoToSlice(0));
        assert!(!opened.shows(Pane::Slices, id));
        opened.measure(MeasureCommand::GoTo(id));
        assert_eq!(opened.active().current, 1);
        let active = opened.active();
        measure::label(active.measures.sheet.get(id).expect("there"), active.values())
    };
    assert_eq!(unplaced(Some([1.0, 1.0])), ["5.0 mm"]);
    assert_eq!(unplaced(None), ["5.0 px", "spacing unknown: in pixels"]);
}

#[test]
fn nothing_is_written_before_what_was_kept_has_been_read() {
    let mut kept = neck();
    kept.draw(Kind::Length, Pane::Slices, &[[2.0, 3.0, -8.0], [5.0, 7.0, -8.0]]);
    let content = kept.active().measures.sheet.content().clone();
    let key = kept.key();

    let mut again = Opened::new(series(9, true, Some([1.0, 1.0]), "1.2.3")).load();
    assert_eq!(again.key(), key, "the same series is found again");
    again.draw(Kind::Pin, Pane::Slices, &[[2.0, 3.0, -8.0]]);
    assert_eq!(again.saves(), 0);
    let mut again = again.kept(content.clone());
    assert_eq!(again.saves(), 1, "both are written now");
    let ids = again.active().measures.sheet.measurements().iter().map(|m| m.reading).collect::<Vec<_>>();
    assert_eq!(ids, [Reading::Length(5.0), Reading::Value(Some(400.0))], "values are made anew from the pixels");
    assert_eq!(again.active().measures.saved, Saved::Pending);
    let (key, content) = (key.expect("a key"), again.active().measures.sheet.content().clone());
    again.receive(Event::MeasuresSaved { key: key.clone(), content: content.clone(), result: Ok(()) });
    assert_eq!(again.active().measures.saved, Saved::Yes);
    again.receive(Event::MeasuresSaved { key, content, result: Err("disk full".into()) });
    assert_eq!(again.active().measures.saved, Saved::No("disk full".into()));
    assert!(again.state.notices.iter().any(|n| n.text.contains("disk full")));
}

#[test]
fn what_cannot_be_read_is_never_written_over() {
    let mut opened = Opened::new(series(9, true, Some([1.0, 1.0]), "1.2.3")).load();
    let key = opened.key().expect("asked for");
    opened.receive(Event::MeasuresRead { key, result: Err("it could not be read".into()) });
    opened.draw(Kind::Pin, Pane::Slices, &[[2.0, 3.0, -8.0]]);
    assert_eq!(opened.saves(), 0);
    assert!(matches!(opened.active().measures.saved, Saved::No(_)));
}

#[test]
fn keys_say_nothing_and_studies_without_names_are_told_apart_by_their_pixels() {
    let named = series(9, true, Some([1.0, 1.0]), "1.2.3");
    let key = SheetKey::new(&named, None).expect("a UID");
    assert!(key.name().len() == 64 && !key.name().contains("1.2.3"));
    let other_frame = Series { frame_of_reference: "9.8".into(), ..named.clone() };
    assert_ne!(SheetKey::new(&other_frame, None), Some(key));
    let nameless = series(9, true, Some([1.0, 1.0]), "");
    assert_eq!(SheetKey::new(&nameless, None), None);
    assert_ne!(SheetKey::new(&nameless, Some(&slice(1))), SheetKey::new(&nameless, Some(&slice(2))));
    let opened = Opened::new(nameless);
    assert_eq!(opened.key(), None, "not before its pixels are there");
    assert!(opened.load().key().is_some());
}

#[test]
fn a_region_sets_the_window_once() {
    let mut neck = neck();
    neck.apply(Command::SetTool(Tool::WindowRegion));
    for [x, y] in [[1.0, 1.0], [9.0, 9.0]] {
        neck.measure(MeasureCommand::Place { pane: Pane::Slices, at: PatientPoint(Vec3::new(x, y, -8.0)) });
    }
    let window = neck.active().window.clone();
    assert!((window.center - 400.5).abs() < 1.0 && window.is_valid(), "{window:?}");
    assert_eq!(neck.state.tool, Tool::Window);
    assert!(neck.active().measures.sheet.measurements().is_empty());
}

#[test]
fn the_list_is_stepped_through_and_copied() {
    let mut neck = neck();
    let a = neck.draw(Kind::Pin, Pane::Slices, &[[2.0, 3.0, -8.0]]).expect("drawn");
    neck.apply(Command::ScrollBy(2));
    let b = neck.draw(Kind::Pin, Pane::Slices, &[[2.0, 3.0, -12.0]]).expect("drawn");
    neck.measure(MeasureCommand::Step(1));
    assert_eq!((neck.active().measures.sheet.selected, neck.active().current), (Some(a), 4), "round the end");
    neck.measure(MeasureCommand::Step(-1));
    assert_eq!((neck.active().measures.sheet.selected, neck.active().current), (Some(b), 6));
    neck.measure(MeasureCommand::Copy);
    let text = neck.effects.iter().find_map(|e| match e {
        Effect::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    assert_eq!(
        text.as_deref(),
        Some("HU pin 1\tHU 400\t\tslice 5\t(2.0, 3.0, -8.0) mm\nHU pin 2\tHU 600\t\tslice 7\t(2.0, 3.0, -12.0) mm\n")
    );
}

#[test]
fn key_slices_are_marked_and_found_again() {
    let mut neck = neck();
    neck.measure(MeasureCommand::ToggleKeySlice);
    assert!(neck.active().is_key_slice(4) && neck.saves() == 1);
    let content = neck.active().measures.sheet.content().clone();
    // The same series without its first two slices.
    let mut part = series(9, true, Some([1.0, 1.0]), "1.2.3");
    part.slices.drain(..2);
    let part = Opened::new(part).load().kept(content);
    assert!(part.active().is_key_slice(2));
}
